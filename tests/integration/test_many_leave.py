"""Many clients leave at the same moment: the others go on, and new connections are accepted."""

from __future__ import annotations

import socket

import pytest

from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S
from tests.integration.test_daemon import Connection

MANY = 300
RESET = b"\x01\0\0\0\0\0\0\0"  # SO_LINGER of no time: a close that is a reset


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_the_places_of_many_who_leave_are_free_at_once(server: StartServer, reset: bool) -> None:
    daemon = server()
    other = Connection(daemon.port)
    assert other.call(f"CONFIG SET maxclients {MANY + 1}") == ["+OK"]
    for _ in range(3):
        clients = [socket.create_connection(("127.0.0.1", daemon.port), timeout=DEADLINE_S) for _ in range(MANY)]
        for client in clients:
            client.sendall(b"PING\r\n")
        for client in clients:
            assert client.recv(100) == b"+PONG\r\n"
        for client in clients:
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
        assert other.call("PING") == ["+PONG"]
    other.close()
    daemon.stop()
