"""Streams of a thousand entries and of a million, and consumer groups: what one entry costs in each.

On a scale of 10 the long stream has ten million entries.
"""

from __future__ import annotations

import time

from benchmarks.load import RANDOM, Load, rate
from benchmarks.results import MEGABYTES, MILLISECONDS, REQUESTS
from benchmarks.rounds import Bench, Section
from benchmarks.servers import NONE, Server
from benchmarks.wire import Connection, encode

SIZES = (1000, 1_000_000)
CLIENTS = 10
CONSUMERS = 50
REQUESTS_EACH = 20_000
RANGES = 4000  # requests of a hundred entries
VALUE = "x" * 50
AT_ONCE = 500
TIME = 1_000_000_000_000  # in the ids of the entries, which have their number behind it


def streams(bench: Bench) -> None:
    """Each command on a short and on a long stream, made again for each round."""
    with bench.servers() as servers:
        for size in [SIZES[0], bench.scaled(SIZES[1])]:
            for server in bench.turns(servers, f"streams: {size:,} entries"):
                with Connection(server.port, timeout_s=600) as connection:
                    _make(connection, size)
                    server.settle()
                    _measure(bench, server, connection, size)
                    _measure_whole(bench, server, connection, size)
                _rest(server)


def _make(connection: Connection, size: int) -> None:
    connection.call("FLUSHALL")
    for start in range(0, size, AT_ONCE):
        numbers = range(start + 1, min(size, start + AT_ONCE) + 1)
        connection.call("MULTI")
        connection.socket.sendall(
            b"".join([encode("XADD", "stream", f"{TIME}-{number}", "field", VALUE) for number in numbers])
        )
        connection.read(len(numbers) * len(b"+QUEUED\r\n"))
        connection.call("EXEC")


def _measure(bench: Bench, server: Server, connection: Connection, size: int) -> None:
    requests = min(REQUESTS_EACH, bench.scaled(REQUESTS_EACH))
    connection.call("XGROUP", "CREATE", "stream", "group", 0)

    def measure(
        name: str, *command: str, clients: int = CLIENTS, count: int = requests, drawn: int = CONSUMERS
    ) -> None:
        bench.record(name, REQUESTS, rate(server.port, Load(command, count, clients, drawn)), entries=size)

    measure("SET", "SET", "KEY", VALUE)
    measure("XLEN", "XLEN", "stream")
    measure("XRANGE of 100", "XRANGE", "stream", "-", "+", "COUNT", "100", count=min(RANGES, bench.scaled(RANGES)))
    measure("XADD", "XADD", "stream", "*", "field", VALUE)
    measure("XADD MAXLEN ~", "XADD", "stream", "MAXLEN", "~", str(size), "*", "field", VALUE)
    measure("XTRIM MAXLEN ~", "XTRIM", "stream", "MAXLEN", "~", str(size))
    read = ("XREADGROUP", "GROUP", "group", f"consumer:{RANDOM}", "COUNT", "1", "STREAMS", "stream", ">")
    measure("XREADGROUP", *read, clients=CONSUMERS)
    measure("XACK", "XACK", "stream", "group", f"{TIME}-{RANDOM}", clients=CONSUMERS, drawn=size)


def _measure_whole(bench: Bench, server: Server, connection: Connection, size: int) -> None:
    memory = server.anonymous_megabytes()
    if memory is not None:
        bench.record("memory", MEGABYTES, memory, entries=size)
    bench.record("RENAME", MILLISECONDS, connection.timed("RENAME", "stream", "renamed"), entries=size)
    bench.record("DEL", MILLISECONDS, connection.timed("DEL", "renamed"), entries=size)


def _rest(server: Server) -> None:
    """Waits until what was deleted has been cleared behind the replies: the next turn is another server's."""
    while int(server.info("memory")["lazyfree_pending_objects"]):
        time.sleep(0.1)


STREAMS = Section(
    "streams",
    "One entry of a short and of a long stream",
    NONE,
    f"{CLIENTS} clients, XREADGROUP and XACK {CONSUMERS}, as consumers of one group; entries of one field with "
    f"{len(VALUE)} bytes. SET stands beside for comparison. XRANGE returns the first hundred entries. The streams are "
    "trimmed to the length they were made with. RENAME and DEL are one call each, by one client, after the loads; "
    "so is the look at the process's own memory (RssAnon).",
    ("entries",),
    streams,
)
