"""Ten thousand connections: what each takes while it is idle, and that all are served who come at once."""

from __future__ import annotations

import resource
import selectors
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, Daemon, wait_until
from tests.integration.test_daemon import ask

MANY = 10_000
BYTES_EACH = 12 * 1024
SPARE = 500  # descriptors that are none of the connections'
IDLE_S = 2
TICKS_AT_REST = 60  # hundredths of a second of processor time; a loop that spins takes all 200 of IDLE_S


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """The test's own process may have as many open files; it fails where the system does not allow it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY + SPARE
    assert hard == resource.RLIM_INFINITY or hard >= wanted, f"ulimit -Hn is {hard}, less than {wanted}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect_all(port: int, count: int) -> list[socket.socket]:
    """So many connections, all begun before the first is awaited."""
    connections = []
    with selectors.DefaultSelector() as waiting:
        for _ in range(count):
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", port))
            waiting.register(connection, selectors.EVENT_WRITE)
            connections.append(connection)
        while waiting.get_map():
            ready = waiting.select(DEADLINE_S)
            assert ready, f"{len(waiting.get_map())} connections wait in vain"
            for key, _ in ready:
                waiting.unregister(key.fileobj)
    for connection in connections:
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        connection.settimeout(DEADLINE_S)
    return connections


def replies(connections: list[socket.socket]) -> list[bytes]:
    """What each is answered to a PING."""
    for connection in connections:
        with suppress(OSError):  # it has been refused, and what it was told can still be read
            connection.sendall(b"PING\r\n")
    found = []
    for connection in connections:
        try:
            found.append(connection.recv(100))
        except ConnectionResetError:
            found.append(b"")
    return found


def close_all(connections: list[socket.socket]) -> None:
    for connection in connections:
        connection.close()


def resident(daemon: Daemon) -> int:
    lines = Path(f"/proc/{daemon.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:"))


def ticks(daemon: Daemon) -> int:
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def told(port: int, section: str, field: str) -> int:
    """A number that INFO tells."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
        connection.sendall(f"INFO {section}\r\nQUIT\r\n".encode())
        text = connection.makefile("rb").read().decode()
    return int(text.partition(f"\n{field}:")[2].split()[0])


def test_ten_thousand_come_and_stay_idle_and_come_again(server: StartServer) -> None:
    daemon = server("--fsync=no")
    before = resident(daemon)
    for _ in range(2):
        connections = connect_all(daemon.port, MANY - 1)
        assert replies(connections) == [b"+PONG\r\n"] * (MANY - 1)
        assert (resident(daemon) - before) / MANY < BYTES_EACH
        close_all(connections)
        wait_until(lambda: told(daemon.port, "clients", "connected_clients") == 1, "all are gone")
    assert told(daemon.port, "stats", "rejected_connections") == 0
    daemon.stop()


def test_those_beyond_maxclients_are_told_and_cost_nothing_then(server: StartServer) -> None:
    daemon = server("--fsync=no")
    assert ask(daemon.port, "CONFIG SET maxclients 100") == ["+OK"]
    connections = connect_all(daemon.port, 2000)
    found = replies(connections)
    refused = b"-ERR max number of clients reached\r\n"
    assert found.count(b"+PONG\r\n") == 100
    assert found.count(refused) + found.count(b"") == 1900
    assert found.count(refused) > 0
    for connection in connections[:-100]:
        connection.close()
    wait_until(lambda: ask(daemon.port, "PING") == ["+PONG"], "there is room again")
    held = connections[-100:]  # they have been refused, and do not close
    began = ticks(daemon)
    assert ask(daemon.port, f"BLPOP nosuch {IDLE_S}") == ["*-1"]
    assert ticks(daemon) - began < TICKS_AT_REST
    close_all(held)
    daemon.stop()
