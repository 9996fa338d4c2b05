"""What becomes slower, or larger, as keys become more; and what one command on something large costs."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from benchmarks.load import Load, rate
from benchmarks.results import KEYS, MEGABYTES, MILLISECONDS, REQUESTS, SECONDS
from benchmarks.rounds import Bench, Section
from benchmarks.servers import ALWAYS, EVERYSEC, Server
from benchmarks.wire import Connection, key

SIZES = (10_000, 1_000_000, 5_000_000)
BYTES_A_KEY = 1000  # what both servers together may need on the disk, logs that are being rewritten included
CLIENTS = 50
REQUESTS_EACH = 60_000
DELETED_SHARE = 3  # no more requests of DEL in a row than one for so many keys
RENEW_FROM = 50  # where DEL took more than one key of so many, all are made again
SCANNED = 200_000
SCAN_COUNT = 100
WITNESS, TESTIMONY = "witness", b"still here"
VALUE = "x" * 50

LARGE = 100_000_000
MANY_KEYS = 1_000_000


def growth(bench: Bench) -> None:
    """GET, SET, DEL and SCAN, memory and restarts, at each number of keys. The same servers grow from size to size."""
    with bench.servers() as servers:
        sizes = sorted({bench.scaled(size) for size in SIZES})
        _require_room(servers[0].directory, sizes[-1])
        present = 0
        for size in sizes:
            for server in servers:
                bench.fill(server, range(present, size), title=f"growth: {server.name} to {size:,} keys")
                with Connection(server.port) as connection:
                    connection.call("SET", WITNESS, TESTIMONY)
            present = size
            for server in bench.turns(servers, f"growth: {size:,} keys"):
                server.settle()
                _measure(bench, server, size)


def _require_room(folder: Path, keys: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < keys * BYTES_A_KEY:
        needed = keys * BYTES_A_KEY / 1e9
        raise RuntimeError(
            f"The section growth needs {needed:.1f} GB of disk, {free / 1e9:.1f} GB are free: see --folder."
        )


def _measure(bench: Bench, server: Server, size: int) -> None:
    requests = bench.scaled(REQUESTS_EACH)
    for command in (("GET", "KEY"), ("SET", "KEY", VALUE)):
        load = Load(command, requests, CLIENTS, size)
        bench.record(command[0], REQUESTS, rate(server.port, load), keys=size)
    bench.record("DEL", REQUESTS, _deletes(bench, server, size, requests), keys=size)
    bench.record("SCAN", KEYS, _scan(server, min(size, bench.scaled(SCANNED))), keys=size)
    memory = server.anonymous_megabytes()
    if memory is not None:
        bench.record("memory", MEGABYTES, memory, keys=size)
    server.settle()
    server.stop()
    bench.record("restart", SECONDS, server.start(lambda: _testifies(server)), keys=size)


def _deletes(bench: Bench, server: Server, size: int, requests: int) -> float:
    """Requests a second, over as many runs as it takes not to delete more than a part of the keys in any of them."""
    each = min(requests, size // DELETED_SHARE)
    done, seconds = 0, 0.0
    while done < requests:
        seconds += each / rate(server.port, Load(("DEL", "KEY"), each, CLIENTS, size))
        done += each
        if each * RENEW_FROM > size:
            bench.fill(server, range(size))
    return done / seconds


def _scan(server: Server, wanted: int) -> float:
    """Keys a second of one client that follows the cursor until it has seen so many keys, or all."""
    seen, cursor = 0, b"0"
    with Connection(server.port) as connection:
        began = time.perf_counter()
        while seen < wanted:
            reply = connection.call("SCAN", cursor, "COUNT", SCAN_COUNT)
            assert isinstance(reply, list)
            cursor, names = reply  # type: ignore[assignment]
            seen += len(names)  # type: ignore[arg-type]
            if cursor == b"0":
                break
        return seen / (time.perf_counter() - began)


def _testifies(server: Server) -> bool:
    with Connection(server.port) as connection:
        return connection.call("GET", WITNESS) == TESTIMONY


def large(bench: Bench) -> None:
    """One command on one long string, and on a whole database."""
    size = min(LARGE, bench.scaled(LARGE))
    many = bench.scaled(MANY_KEYS)
    with bench.servers() as servers:
        for server in bench.turns(servers, "large"):
            bench.fill(server, range(many))
            with Connection(server.port) as connection:
                flush = connection.timed("FLUSHDB")
                value = bytes(size)
                connection.call("SET", "k", value)
                connection.call("SET", "u", value)
                for command in (("EXPIRE", "k", 1000), ("RENAME", "k", "n"), ("DEL", "n"), ("UNLINK", "u")):
                    bench.record(str(command[0]), MILLISECONDS, connection.timed(*command), on=f"{size:,} B")
                bench.record("FLUSHDB", MILLISECONDS, flush, on=f"{many:,} keys")


GROWTH = Section(
    "growth",
    "By number of keys",
    EVERYSEC,
    f"Keys of {len(key(0))} bytes, values of 3 to 100, made over the wire; {CLIENTS} clients on keys drawn at "
    f"random. SCAN: one client follows the cursor with COUNT {SCAN_COUNT} through the first {SCANNED:,} keys. "
    "Memory: the process's own (RssAnon) after these loads, without the kernel's cache of files. Restart: from the "
    "start of the process, after an orderly stop, to the first right answer to a GET, the files being in the "
    "kernel's cache. Up to a million keys, those that DEL took are made again; at five million they are one in a "
    "hundred each round.",
    ("keys",),
    growth,
)
LARGE_THINGS = Section(
    "large",
    "One command on something large",
    ALWAYS,
    "One client, milliseconds until the reply.",
    ("on",),
    large,
)
