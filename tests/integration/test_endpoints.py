"""Endpoints of every kind that Twisted has: those that work, and those that are refused with a reason."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, free_port
from tests.integration.test_daemon import KEYP, assert_refused, run

PROXY_HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 2222\r\n"


def ask(address: tuple[str, int], request: bytes, length: int) -> bytes:
    """The first bytes of the answer to what a new connection sends."""
    with socket.create_connection(address, timeout=DEADLINE_S) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as answer:
            return answer.read(length)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("haproxy:ssl:0:privateKey=key.pem:certKey=cert.pem", ("behind a proxy",)),
        ("stdio:", ("no address",)),
        ("systemd:domain=INET:index=0", (".socket unit",)),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, endpoint: str, words: tuple[str, ...]) -> None:
    refused = run(tmp_path, *KEYP, f"--endpoint={endpoint}")
    assert_refused(refused, "cannot listen on", endpoint, *words)
    assert not (tmp_path / "data").exists()


def test_a_proxy_may_say_who_it_speaks_for(server: StartServer) -> None:
    port = free_port()
    server(f"--endpoint=haproxy:tcp:{port}:interface=127.0.0.1")
    value = b"x" * 300_000
    request = PROXY_HEADER + b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$300000\r\n" + value + b"\r\nGET a\r\nBLPOP q 0.01\r\n"
    expected = b"+OK\r\n$300000\r\n" + value + b"\r\n*-1\r\n"
    assert ask(("127.0.0.1", port), request, len(expected)) == expected


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_endpoint(server: StartServer) -> None:
    port = free_port()
    server(f"--endpoint=tcp6:{port}:interface=\\:\\:1")
    assert ask(("::1", port), b"PING\r\n", 7) == b"+PONG\r\n"


def test_a_socket_of_systemds(server: StartServer) -> None:
    """What systemd does for a .socket unit: the listening socket is descriptor 3, and the environment says so."""
    port = free_port()
    hand_over = (
        "import os, socket, sys; listening = socket.create_server(('127.0.0.1', int(sys.argv[1])));"
        "os.dup2(listening.fileno(), 3); os.set_inheritable(3, True);"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='keyp');"
        "os.execv(sys.argv[2], sys.argv[2:])"
    )
    launcher = ("/usr/bin/env", "python3", "-c", hand_over, str(port))
    server("--endpoint=systemd:domain=INET:index=0", launcher=launcher)
    assert ask(("127.0.0.1", port), b"PING\r\n", 7) == b"+PONG\r\n"
