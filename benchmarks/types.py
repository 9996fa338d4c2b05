"""Lists, hashes, sets and sorted sets of ten elements and of a million: what one element costs in each."""

from __future__ import annotations

import time

from benchmarks.load import Load, rate
from benchmarks.results import MILLISECONDS, REQUESTS
from benchmarks.rounds import Bench, Section
from benchmarks.servers import NONE, Server
from benchmarks.wire import Connection, key

SIZES = (10, 1_000_000)
CLIENTS = 10
REQUESTS_EACH = 20_000
NEW = 100_000_000  # members drawn from so many are nearly all new
AT_ONCE = 500  # elements that one command adds
DELETED = 50  # collections of each size, but for the largest of which one is enough


def types(bench: Bench) -> None:
    """Each command on a small and on a large collection that stay on the same servers, made again for each round."""
    with bench.servers() as servers:
        for size in [SIZES[0], bench.scaled(SIZES[1])]:
            for server in bench.turns(servers, f"types: {size:,} elements"):
                with Connection(server.port, timeout_s=600) as connection:
                    connection.call("FLUSHALL")
                    for words in _collections(size):
                        connection.call(*words)
                    server.settle()
                    _measure(bench, server, size)
                    _delete(bench, connection, size)


def _collections(size: int) -> list[list[str]]:
    """The commands that make a list, a hash, a set and a sorted set with members 0 to `size`."""
    made = []
    for start in range(0, size, AT_ONCE):
        members = [key(number) for number in range(start, min(size, start + AT_ONCE))]
        made.append(["RPUSH", "list", *members])
        made.append(["HSET", "hash", *[word for member in members for word in (member, "value")]])
        made.append(["SADD", "set", *members])
        made.append(
            ["ZADD", "zset", *[word for at, member in enumerate(members) for word in (str(start + at), member)]]
        )
    return made


def _measure(bench: Bench, server: Server, size: int) -> None:
    middle = size // 2
    loads: list[tuple[tuple[str, ...], int]] = [
        (("LINDEX", "list", str(middle)), size),
        (("HGET", "hash", "KEY"), size),
        (("SISMEMBER", "set", "KEY"), size),
        (("ZSCORE", "zset", "KEY"), size),
        (("ZRANK", "zset", "KEY"), size),
        (("ZRANGE", "zset", str(middle), str(middle + 9)), size),
        (("SRANDMEMBER", "set"), size),
        (("HSET", "hash", "KEY", "other"), size),
        (("ZINCRBY", "zset", "1", "KEY"), size),
        (("LPUSH", "list", "KEY"), NEW),
        (("SADD", "set", "KEY"), NEW),
        (("ZADD", "zset", "5", "KEY"), NEW),
    ]
    for command, drawn in loads:
        load = Load(command, bench.scaled(REQUESTS_EACH), CLIENTS, drawn)
        bench.record(command[0], REQUESTS, rate(server.port, load), elements=size)


def _delete(bench: Bench, connection: Connection, size: int) -> None:
    """Milliseconds until the reply to the DEL of a whole hash."""
    names = ["hash"]
    if size == SIZES[0]:
        names = [f"hash:{number}" for number in range(DELETED)]
        for name in names:
            connection.call("HSET", name, *[word for number in range(size) for word in (key(number), "value")])
    began = time.perf_counter()
    for name in names:
        connection.call("DEL", name)
    bench.record("DEL", MILLISECONDS, (time.perf_counter() - began) * 1e3 / len(names), elements=size)


TYPES = Section(
    "types",
    "One element of a small and of a large collection",
    NONE,
    f"{CLIENTS} clients, members drawn at random. LINDEX and ZRANGE (ten members) look in the middle. HSET writes "
    "fields that are there, ZINCRBY moves members; LPUSH, SADD and ZADD add new ones, so that a collection of ten "
    "does not stay so small. DEL: one client, milliseconds until the reply for a hash.",
    ("elements",),
    types,
)
