"""Connections that cannot be served: the log reports them once a second, and no loop spins."""

from __future__ import annotations

import re
import resource
import socket
from pathlib import Path

from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, Daemon, wait_until
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


def maxclients(port: int) -> bytes:
    with connect(port) as connection:
        connection.sendall(b"CONFIG GET maxclients\r\nQUIT\r\n")
        return connection.makefile("rb").read().split()[4]


def test_connections_without_a_descriptor_are_counted_in_the_log(server: StartServer) -> None:
    daemon = server()
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
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


def test_the_limit_of_descriptors_is_raised_for_maxclients(server: StartServer) -> None:
    daemon = server(launcher=("prlimit", "--nofile=1024:15000"))
    assert resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE) == (10_032, 15_000)
    assert maxclients(daemon.port) == b"10000"
    assert "maxclients" not in daemon.log()
    daemon.stop()


def test_maxclients_is_what_the_limit_of_descriptors_leaves(server: StartServer) -> None:
    daemon = server(launcher=("prlimit", "--nofile=40:200"))
    assert resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE) == (200, 200)
    assert "maxclients is 168, not 10000: no more descriptors are allowed (ulimit -n)" in daemon.log()
    assert maxclients(daemon.port) == b"168"
    held = [connect(daemon.port) for _ in range(168)]
    for connection in held:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"+PONG\r\n"  # the 32 others are enough for the server itself
    with connect(daemon.port) as refused:
        assert refused.recv(100) == b"-ERR max number of clients reached\r\n"
    for connection in held:
        connection.close()
    daemon.stop()


def test_no_start_without_a_descriptor_for_a_client(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.launcher = ["prlimit", "--nofile=32"]
    assert "too few files may be open for even one client (ulimit -n)" in daemon.start_in_vain()
    daemon.launcher = []
    daemon.start()
    daemon.stop()
    daemon.check()
