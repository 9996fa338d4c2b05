"""Connections that cannot be served: the log reports them once a second, and no loop spins."""

from __future__ import annotations

import re
import socket

from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, wait_until
from tests.integration.test_daemon import ask

DESCRIPTORS = 60
REFUSED = 300


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except OSError:
        return True


def test_connections_without_a_descriptor_are_counted_in_the_log(server: StartServer) -> None:
    daemon = server(launcher=("prlimit", f"--nofile={DESCRIPTORS}"))
    before = len(daemon.log())
    held = [connect(daemon.port) for _ in range(DESCRIPTORS)]
    for _ in range(REFUSED):
        refused = connect(daemon.port)
        assert is_closed(refused)
        refused.close()

    def logged() -> int:
        return sum(map(int, re.findall(r"(\d+) connections were refused: no descriptor", daemon.log())))

    wait_until(lambda: logged() > REFUSED, "the log to report all of them")
    lines = daemon.log()[before:].splitlines()
    assert logged() <= REFUSED + DESCRIPTORS
    assert len(lines) < REFUSED / 10  # one a second
    assert "EMFILE" not in daemon.log()
    for connection in held:
        connection.close()
    wait_until(lambda: ask(daemon.port, "PING") == ["+PONG"], "the server to serve again")
    daemon.stop()


def test_clients_beyond_maxclients_are_not_in_the_log(server: StartServer) -> None:
    daemon = server()
    held = connect(daemon.port)
    held.sendall(b"CONFIG SET maxclients 1\r\n")
    assert held.recv(100) == b"+OK\r\n"
    before = daemon.log()
    for _ in range(REFUSED):
        refused = connect(daemon.port)
        assert refused.recv(100) == b"-ERR max number of clients reached\r\n"
        refused.close()
    assert daemon.log() == before
    held.close()
    daemon.stop()
