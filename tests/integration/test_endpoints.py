"""Endpoints of every kind that Twisted has: those that work, and those that are refused with a reason."""

from __future__ import annotations

import os
import socket
import ssl
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from keyp.net.endpoints.proxy_header import SIGNATURE
from tests.integration.certificates import Authority
from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, Daemon, free_port, wait_until
from tests.integration.test_daemon import KEYP, assert_refused, run

ONE_HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 2222\r\n"
ADDRESSES = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2") + b"\x04\x57\x08\xae"
TWO_HEADER = SIGNATURE + b"\x21\x11\x00\x0c" + ADDRESSES
LOCAL_HEADER = SIGNATURE + b"\x20\x00\x00\x00"
OPEN = "--protected-mode=no"  # for who comes from elsewhere, or says so


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


def told(connection: socket.socket, request: bytes) -> bytes:
    """The rest of a bulk string that answers a request, its first line left out."""
    connection.sendall(request)
    with connection.makefile("rb") as answer:
        return answer.read(int(answer.readline()[1:]))


def field(info: bytes, name: str) -> str:
    """A field of a line of CLIENT INFO."""
    return dict(word.split("=", 1) for word in info.decode().split())[name]


def with_tls(directory: Path) -> tuple[Authority, list[str]]:
    """An authority, and the options of a server whose certificate it has signed; clients need none."""
    authority = Authority(directory)
    certificate, key = authority.sign("server")
    return authority, ["--tls-auth-clients=no", f"--tls-cert-file={certificate}", f"--tls-key-file={key}"]


def secured(authority: Authority, plain: socket.socket) -> ssl.SSLSocket:
    return ssl.create_default_context(cafile=str(authority.path)).wrap_socket(plain, server_hostname="127.0.0.1")


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("haproxy:ssl:0:privateKey=key.pem:certKey=cert.pem", ("comes before TLS", "haproxy:tls:")),
        ("tls:haproxy:tcp:0", ("comes first", "haproxy:tls:")),
        ("haproxy:haproxy:tcp:0", ("comes first, and once",)),
        ("tls:ssl:0:privateKey=key.pem:certKey=cert.pem", ("TLS in TLS",)),
        ("tls:tcp:0", ("tls-cert-file is needed",)),
        ("stdio:", ("no address",)),
        ("systemd:domain=INET:index=0", (".socket unit",)),
        ("tls:systemd:domain=INET:index=0", ()),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, endpoint: str, words: tuple[str, ...]) -> None:
    refused = run(tmp_path, *KEYP, f"--endpoint={endpoint}")
    assert_refused(refused, "cannot listen", *words)
    assert not (tmp_path / "data").exists()


# A proxy's header.


@pytest.mark.parametrize("header", [ONE_HEADER, TWO_HEADER], ids=["version 1", "version 2"])
def test_a_proxy_says_who_it_speaks_for(server: StartServer, header: bytes) -> None:
    """Also where the header comes byte by byte, and what the client sends with the last of them."""
    port = free_port()
    server(f"--endpoint=haproxy:tcp:{port}:interface=127.0.0.1", OPEN)
    value = b"x" * 300_000
    request = header + b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$300000\r\n" + value + b"\r\nGET a\r\nBLPOP q 0.01\r\n"
    expected = b"+OK\r\n$300000\r\n" + value + b"\r\n*-1\r\n"
    assert ask(("127.0.0.1", port), request, len(expected)) == expected
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as slow:
        slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(header)):
            slow.sendall(header[at : at + 1])
        info = told(slow, b"CLIENT INFO\r\n")
        assert (field(info, "addr"), field(info, "laddr")) == ("192.0.2.1:1111", "192.0.2.2:2222")


@pytest.mark.parametrize("header", [ONE_HEADER, TWO_HEADER], ids=["version 1", "version 2"])
def test_the_header_comes_before_tls(server: StartServer, tmp_path: Path, header: bytes) -> None:
    port = free_port()
    authority, options = with_tls(tmp_path)
    server(f"--endpoint=haproxy:tls:tcp:{port}:interface=127.0.0.1", OPEN, *options)
    plain = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
    plain.sendall(header)
    with secured(authority, plain) as connection:
        info = told(connection, b"CLIENT INFO\r\n")
        assert (field(info, "addr"), field(info, "laddr")) == ("192.0.2.1:1111", "192.0.2.2:2222")
        connection.sendall(b"SET a " + b"x" * 60_000 + b"\r\nSUBSCRIBE c\r\n")
        assert connection.recv(5) == b"+OK\r\n"


def test_who_comes_through_a_proxy_is_never_of_this_machine(server: StartServer) -> None:
    """Anybody who reaches the port could say so. But the proxy itself may look whether the server is there."""
    port = free_port()
    server(f"--endpoint=haproxy:tcp:{port}:interface=127.0.0.1")
    for header in (
        ONE_HEADER,
        b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
        b"PROXY UNKNOWN\r\n",
        SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216),
    ):
        assert ask(("127.0.0.1", port), header + b"PING\r\n", 7) == b"-DENIED"
    assert ask(("127.0.0.1", port), LOCAL_HEADER + b"PING\r\n", 7) == b"+PONG\r\n"


def test_who_sends_no_header_is_ended(server: StartServer) -> None:
    """One line in the log tells of all of them."""
    port = free_port()
    daemon = server(f"--endpoint=haproxy:tcp:{port}:interface=127.0.0.1")
    for request in (b"PING\r\n", ONE_HEADER[:-2] + b" \r\n", b"PROXY UNKNOWN " + b"x" * 200, SIGNATURE + b"\x99" * 40):
        with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as connection:
            connection.sendall(request)
            with suppress(ConnectionResetError):
                assert connection.recv(100) == b""
    assert daemon.log().count("127.0.0.1 sent no proxy's header") == 1


def test_connections_without_a_header_are_as_many_as_clients_may_be(server: StartServer) -> None:
    port = free_port()
    daemon = server(f"--endpoint=haproxy:tcp:{port}:interface=127.0.0.1", OPEN)
    with socket.create_connection(("127.0.0.1", daemon.port), DEADLINE_S) as admin:
        admin.sendall(b"CONFIG SET maxclients 5\r\n")
        assert admin.recv(100) == b"+OK\r\n"
        silent = [socket.create_connection(("127.0.0.1", port), DEADLINE_S) for _ in range(20)]
        with suppress(ConnectionResetError):
            assert silent[-1].recv(1) == b""
        for connection in silent:
            connection.close()

        def is_served() -> bool:
            with suppress(ConnectionResetError):
                return ask(("127.0.0.1", port), ONE_HEADER + b"PING\r\n", 7) == b"+PONG\r\n"
            return False

        wait_until(is_served, "room for a client")
    assert "Traceback" not in daemon.log()


# Unix sockets.


def over(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(DEADLINE_S)
    connection.connect(str(path))
    return connection


def test_a_unix_socket_is_of_this_machine(server: StartServer, tmp_path: Path) -> None:
    """As in Redis: both addresses are its path, and it is let in where there is no password."""
    path = tmp_path / "socket"
    server(f"--endpoint=unix:{path}:mode=660")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with over(path) as connection:
        info = told(connection, b"CLIENT INFO\r\n")
    assert (field(info, "addr"), field(info, "laddr"), field(info, "flags")) == (f"{path}:0", f"{path}:0", "U")


def test_tls_and_a_proxy_on_a_unix_socket(server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    authority, options = with_tls(tmp_path)
    server(f"--endpoint=haproxy:tls:unix:{path}", OPEN, *options)
    plain = over(path)
    plain.sendall(TWO_HEADER)
    with secured(authority, plain) as connection:
        info = told(connection, b"CLIENT INFO\r\n")
    assert (field(info, "addr"), field(info, "laddr")) == ("192.0.2.1:1111", f"{path}:0")


# IPv6.


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_ipv6(server: StartServer) -> None:
    """As an endpoint, and by the name `localhost`; addresses are written as Redis writes them."""
    port = free_port()
    daemon = server(f"--endpoint=tcp6:{port}:interface=\\:\\:1", "--host=localhost")
    for each in (port, daemon.port):
        with socket.create_connection(("::1", each), DEADLINE_S) as connection:
            info = told(connection, b"CLIENT INFO\r\n")
            own = connection.getsockname()
        assert (field(info, "addr"), field(info, "laddr")) == (f"[::1]:{own[1]}", f"[::1]:{each}")


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_one_socket_for_both_families(server: StartServer) -> None:
    """IPv4 is shown as such, and 127.0.0.1 is this machine, though the kernel calls it ::ffff:127.0.0.1."""
    port = free_port()
    server(f"--endpoint=tcp6:{port}:interface=\\:\\:", "--host=127.0.0.1")
    for host, shown in (("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")):
        with socket.create_connection((host, port), DEADLINE_S) as connection:
            info = told(connection, b"CLIENT INFO\r\n")
            own = connection.getsockname()
        assert (field(info, "addr"), field(info, "laddr")) == (f"{shown}:{own[1]}", f"{shown}:{port}")


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["* -::*", "0.0.0.0 ::", "-::* *"])
def test_all_addresses_of_both_families(server: StartServer, host: str) -> None:
    """The first is what Redis listens on where nothing is said."""
    daemon = server(f"--host={host}")
    for address in ("127.0.0.1", "::1"):
        with socket.create_connection((address, daemon.port), DEADLINE_S) as connection:
            assert field(told(connection, b"CLIENT INFO\r\n"), "addr")


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_a_port_of_ipv6_is_of_ipv6_alone(server: StartServer) -> None:
    """As in Redis: `::` does not open the port to what else IPv4 has."""
    daemon = server("--host=127.0.0.1 ::")
    with socket.create_connection(("::1", daemon.port), DEADLINE_S) as connection:
        assert field(told(connection, b"CLIENT INFO\r\n"), "addr")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", daemon.port), DEADLINE_S)


# Sockets of systemd's.

HAND_OVER = """
import os, socket, sys
where, mode, program = sys.argv[1], int(sys.argv[2], 8), sys.argv[3:]
if where.startswith("/"):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(where)
    os.chmod(where, mode)
else:
    listening = socket.create_server(("127.0.0.1", int(where)))
listening.listen()
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="keyp")
os.execv(program[0], program)
"""


def activated(server: StartServer, where: object, *options: str) -> Daemon:
    """A server that is started as for a .socket unit: the listening socket is descriptor 3, as the environment says."""
    return server(*options, launcher=("/usr/bin/env", "python3", "-c", HAND_OVER, str(where), "600"))


@pytest.mark.parametrize("which", ["index=0", "name=keyp"])
def test_a_socket_of_systemds(server: StartServer, which: str) -> None:
    port = free_port()
    activated(server, port, f"--endpoint=systemd:domain=INET:{which}")
    assert ask(("127.0.0.1", port), b"PING\r\n", 7) == b"+PONG\r\n"


def test_tls_on_a_socket_of_systemds(server: StartServer, tmp_path: Path) -> None:
    port = free_port()
    authority, options = with_tls(tmp_path)
    activated(server, port, "--endpoint=tls:systemd:domain=INET:index=0", *options)
    with secured(authority, socket.create_connection(("127.0.0.1", port), DEADLINE_S)) as connection:
        assert field(told(connection, b"CLIENT INFO\r\n"), "laddr") == f"127.0.0.1:{port}"


def test_a_unix_socket_of_systemds_stays_as_it_is(server: StartServer, tmp_path: Path) -> None:
    """It has the mode that its unit gives it, and is there when the server has stopped: the next one gets it too."""
    path = tmp_path / "socket"
    daemon = activated(server, path, "--endpoint=systemd:domain=UNIX:index=0")
    with over(path) as connection:
        info = told(connection, b"CLIENT INFO\r\n")
    assert (field(info, "addr"), field(info, "flags")) == (f"{path}:0", "U")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    daemon.stop()
    assert path.exists()


def test_sockets_for_another_process_are_not_taken(tmp_path: Path) -> None:
    """LISTEN_PID is of a process that has started this one."""
    lie = f"import os; os.environ.update(LISTEN_PID={str(os.getpid())!r}, LISTEN_FDS='1'); "
    started = run(tmp_path, "-c", f"{lie}from keyp.main import main; main()", "--endpoint=systemd:domain=INET:index=0")
    assert_refused(started, "no socket was handed over")
