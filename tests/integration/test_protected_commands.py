"""What a client may do to the machine, and not only to the data: nothing, unless the command line allows it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, Daemon, free_port
from tests.integration.test_endpoints import LOCAL_HEADER, ONE_HEADER, has_ipv6, over

NOT_ALLOWED = b'-ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it'
REMOTE = ("elsewhere by proxy", "this machine by proxy")
SETTINGS = ("dir", "dbfilename", "aclfile", "enable-debug-command", "enable-protected-configs", "enable-module-command")


class Ways:
    """The ways to one server: by IPv4, IPv6, a Unix socket, and through a proxy that speaks for others."""

    def __init__(self, server: StartServer, directory: Path, *options: str) -> None:
        self.path = directory / "socket"
        self.proxied = free_port()
        endpoints = (f"--endpoint=unix:{self.path}", f"--endpoint=haproxy:tcp:{self.proxied}:interface=127.0.0.1")
        self.daemon: Daemon = server(*endpoints, "--host=localhost", "--protected-mode=no", *options)

    def ask(self, request: bytes) -> dict[str, bytes]:
        """The first line of the answer by each way."""
        port = self.daemon.port
        ways = {
            "IPv4": (socket.create_connection(("127.0.0.1", port), DEADLINE_S), b""),
            "Unix": (over(self.path), b""),
            "the proxy itself": (self._through_proxy(), LOCAL_HEADER),
            REMOTE[0]: (self._through_proxy(), ONE_HEADER),
            REMOTE[1]: (self._through_proxy(), b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"),
        }
        if has_ipv6():
            ways["IPv6"] = (socket.create_connection(("::1", port), DEADLINE_S), b"")
        answers = {}
        for name, (connection, header) in ways.items():
            with connection, connection.makefile("rb") as answer:
                connection.sendall(header + request)
                answers[name] = answer.readline()
        return answers

    def _through_proxy(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.proxied), DEADLINE_S)


@pytest.mark.parametrize("who", ["no", "local", "yes"])
def test_debug(server: StartServer, tmp_path: Path, who: str) -> None:
    """`local` is this machine: not whom a proxy speaks for, whatever it says."""
    answers = Ways(server, tmp_path, f"--enable-debug-command={who}").ask(b"DEBUG SLEEP 0\r\n")
    for name, answer in answers.items():
        may = who == "yes" or (who == "local" and name not in REMOTE)
        assert answer == b"+OK\r\n" if may else answer.startswith(NOT_ALLOWED), name


def test_where_files_are_and_what_is_allowed_cannot_be_set(server: StartServer, tmp_path: Path) -> None:
    """Nor by a pipeline, in MULTI, or together with something that may be."""
    daemon = server()
    with socket.create_connection(("127.0.0.1", daemon.port), DEADLINE_S) as connection:
        answer = connection.makefile("rb")
        for name in SETTINGS:
            for words in (f"{name} {tmp_path / 'mine'}", f"timeout 5 {name.upper()} yes"):
                connection.sendall(f"CONFIG SET {words}\r\n".encode())
                line = answer.readline()
                assert line.startswith(b"-ERR CONFIG SET failed (possibly related to argument '"), line
                assert b"can't set protected config" in line or b"can't set immutable config" in line
        connection.sendall(b"CONFIG GET timeout\r\nSAVE\r\n")
        assert [answer.readline() for _ in range(6)] == [
            b"*2\r\n",
            b"$7\r\n",
            b"timeout\r\n",
            b"$1\r\n",
            b"0\r\n",
            b"+OK\r\n",
        ]
        for command in (b"MODULE LOAD /tmp/x.so", b"MODULE LOADEX /tmp/x.so", b"MIGRATE 127.0.0.1 1 k 0 100"):
            connection.sendall(command + b"\r\n")
            assert answer.readline().startswith(b"-ERR unknown "), command
    assert not (tmp_path / "mine").exists()
    assert (daemon.data_dir / "backup" / "data.mdb").exists(), "SAVE writes where it always does"
