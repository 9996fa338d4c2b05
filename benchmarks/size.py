"""What size costs: opening a store, removing what is big, a million deadlines at the same moment.

    python benchmarks/size.py [start strings flush deadlines] [--fsync always] [--keys 5000000] [--dying 1000000]

Prints Markdown tables, Keyp beside redis-server where that says something. Data goes to a temporary directory (TMPDIR
chooses where), some gigabytes of it; stores for Keyp are filled without a server, which takes seconds, not minutes.

Each figure is what one client sees on a loopback connection. The machine's speed drifts: compare columns, not days.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench import Candidate, free_port

from keyp.storage import strings
from keyp.storage.environment import NO, Environment
from keyp.storage.keyspace import WritableKeyspace
from keyp.storage.transaction import WriteTransaction

VALUE = 100
STRINGS = (1, 100_000_000, 500_000_000)
KEYS_AT_ONCE = 100_000
QUIET_S = 15.0
SWEEP_S = 120.0
LIVE_KEYS = 10_000


def row(*cells: object) -> None:
    print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)


def head(*titles: str) -> None:
    print()
    row(*titles)
    row(*["---"] * len(titles))


class Connection:
    """One connection that sends a request and waits for its whole reply."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=300)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def call(self, *words: bytes | str | int) -> bytes | int | None:
        """The reply: bytes of a simple or bulk string, an int. Raises `RuntimeError` for an error reply."""
        encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        parts = [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)]
        self._socket.sendall(b"".join(parts))
        line = self._file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
        return rest

    def close(self) -> None:
        self._file.close()
        self._socket.close()


# The servers.


def keyp(directory: Path, fsync: str) -> Candidate:
    port = free_port()
    command = [sys.executable, "-m", "keyp", "--host=127.0.0.1", f"--port={port}", f"--fsync={fsync}"]
    return Candidate("Keyp", command, port, directory)


def redis(directory: Path, fsync: str = "") -> Candidate:
    """With `fsync` it keeps an append-only file, synced so; without it keeps the snapshot of a SAVE."""
    port = free_port()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    if fsync:
        command += ["--appendonly", "yes", "--appendfsync", fsync]
    return Candidate("redis-server", command, port, directory)


HAS_REDIS = shutil.which("redis-server") is not None


def fill_keyp(directory: Path, count: int, deadline_ms: int = 0, prefix: bytes = b"key:") -> None:
    """Writes `count` keys of 100 bytes into Keyp's store in `directory`, where no server runs."""
    environment = Environment(str(directory / "data"), fsync=NO)
    for start in range(0, count, KEYS_AT_ONCE):
        transaction = WriteTransaction(environment, 1)
        transaction.next_version()
        keys = WritableKeyspace(transaction, 0)
        for number in range(start, min(start + KEYS_AT_ONCE, count)):
            strings.put(keys, b"%b%08d" % (prefix, number), bytes(VALUE), deadline_ms)
        transaction.commit()
    environment.close()


def fill_redis(connection: Connection, count: int, deadline_ms: int = 0) -> None:
    expiry = f", 'PXAT', {deadline_ms}" if deadline_ms else ""
    script = "for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do redis.call('SET', string.format('key:%08d', i), ARGV[3]"
    for start in range(0, count, KEYS_AT_ONCE):
        last = min(start + KEYS_AT_ONCE, count) - 1
        connection.call("EVAL", f"{script}{expiry}) end", 0, start, last, bytes(VALUE))


# Opening.


def first_reply(start: Callable[[], Candidate], key: str) -> float:
    """Seconds from starting the process to its first answer to a GET."""
    started = time.monotonic()
    with start() as server:
        while True:
            try:
                connection = Connection(server.port)
                connection.call("GET", key)
                took = time.monotonic() - started
                connection.close()
                return took
            except (OSError, RuntimeError):  # not there yet, or LOADING
                time.sleep(0.005)


def measure_start(folder: Path, arguments: argparse.Namespace) -> None:
    print("\nFrom the start of the process to the first reply, seconds, keys of 100 bytes, median of 3")
    head("keys", "Keyp", "redis-server (snapshot)")
    for count in (1000, 1_000_000, arguments.keys):
        own, other = folder / f"start-keyp-{count}", folder / f"start-redis-{count}"
        own.mkdir()
        other.mkdir()
        fill_keyp(own, count)
        times = [first_reply(lambda own=own: keyp(own, arguments.fsync), "key:00000001") for _ in range(3)]
        reference = "–"
        if HAS_REDIS:
            with redis(other) as server:
                connection = Connection(server.port)
                fill_redis(connection, count)
                connection.call("SAVE")
            others = [first_reply(lambda other=other: redis(other), "key:00000001") for _ in range(3)]
            reference = f"{median(others):.2f}"
        row(f"{count:,}", f"{median(times):.2f}", reference)
        shutil.rmtree(own)
        shutil.rmtree(other)


# Removing and renaming what is big.


def timed(connection: Connection, *words: str | int) -> float:
    """Milliseconds until the reply."""
    started = time.perf_counter()
    connection.call(*words)
    return (time.perf_counter() - started) * 1e3


def string_times(server: Candidate, size: int) -> list[float]:
    """Milliseconds of EXPIRE, RENAME, DEL and UNLINK of a string of that size: medians of a few."""
    connection = Connection(server.port)
    rounds: list[list[float]] = []
    for _ in range(20 if size < 1000 else 3):
        connection.call("SET", "k", bytes(size))
        connection.call("SET", "u", bytes(size))
        time.sleep(0.1)
        steps = (("EXPIRE", "k", 1000), ("RENAME", "k", "n"), ("DEL", "n"), ("UNLINK", "u"))
        rounds.append([timed(connection, *step) for step in steps])
    connection.close()
    return [median(column) for column in zip(*rounds, strict=True)]


def measure_strings(folder: Path, arguments: argparse.Namespace) -> None:
    print("\nOne command on one string, milliseconds until the reply, medians")
    head("string", "server", "EXPIRE", "RENAME", "DEL", "UNLINK")
    for size in STRINGS:
        for start in [keyp, redis][: 1 + HAS_REDIS]:
            directory = Path(tempfile.mkdtemp(dir=folder))
            with start(directory, arguments.fsync) as server:
                row(f"{size:,} B", server.name, *(f"{ms:.2f}" for ms in string_times(server, size)))
            shutil.rmtree(directory)


def measure_flush(folder: Path, arguments: argparse.Namespace) -> None:
    print("\nFLUSHDB, milliseconds until the reply, keys of 100 bytes, median of 3")
    head("keys", "Keyp", "redis-server SYNC", "redis-server ASYNC")
    for count in (10, 1_000_000):
        own, others = [], {"SYNC": [0.0][:0], "ASYNC": [0.0][:0]}
        for _ in range(3):
            directory = Path(tempfile.mkdtemp(dir=folder))
            fill_keyp(directory, count)
            with keyp(directory, arguments.fsync) as server:
                own.append(timed(Connection(server.port), "FLUSHDB"))
            shutil.rmtree(directory)
            for manner, times in others.items() if HAS_REDIS else ():
                directory = Path(tempfile.mkdtemp(dir=folder))
                with redis(directory, arguments.fsync) as server:
                    connection = Connection(server.port)
                    fill_redis(connection, count)
                    times.append(timed(connection, "FLUSHDB", manner))
                shutil.rmtree(directory)
        row(f"{count:,}", f"{median(own):.2f}", *(f"{median(t):.2f}" if t else "–" for t in others.values()))


# A million deadlines at once.


class Latencies:
    """What one client sees that does GET and SET in turns."""

    def __init__(self) -> None:
        self.gets: list[float] = []
        self.sets: list[float] = []

    def run(self, connection: Connection, until: Callable[[], bool]) -> None:
        number = 0
        value = bytes(VALUE)
        while not until():
            for _ in range(50):
                number = (number * 7919 + 1) % LIVE_KEYS
                key = b"live:%08d" % number
                started = time.perf_counter()
                connection.call("GET", key)
                middle = time.perf_counter()
                connection.call("SET", key, value)
                self.sets.append(time.perf_counter() - middle)
                self.gets.append(middle - started)

    def cells(self) -> list[str]:
        """p50, p99, p99.9 and the worst of GET, then of SET, in milliseconds."""
        cells: list[str] = []
        for times in (self.gets, self.sets):
            ordered = sorted(times)
            picked = [ordered[int(len(ordered) * share)] for share in (0.5, 0.99, 0.999)] + ordered[-1:]
            cells += [f"{seconds * 1e3:.2f}" for seconds in picked]
        return cells


def sweep_beside(server: Candidate, deadline_ms: int, dying: int, live: int) -> list[tuple[str, list[str], str]]:
    """The client's latencies before and after the deadline; how long the sweep took beside this load."""
    connection, watcher = Connection(server.port), Connection(server.port)
    while time.time() * 1000 < deadline_ms - QUIET_S * 1000:
        time.sleep(0.1)
    quiet, busy = Latencies(), Latencies()
    quiet.run(connection, lambda: time.time() * 1000 > deadline_ms - 100)
    while time.time() * 1000 < deadline_ms:
        time.sleep(0.01)
    end = time.monotonic() + SWEEP_S
    looked: list[float] = [0.0]
    left: list[int] = [dying]

    def over() -> bool:
        now = time.monotonic()
        if now - looked[0] > 0.25:
            looked[0] = now
            size: Any = watcher.call("DBSIZE")
            left[0] = size - live
        return left[0] <= 0 or now > end

    started = time.monotonic()
    busy.run(connection, over)
    took = time.monotonic() - started
    result = f"{took:.1f} s" if left[0] <= 0 else f"{left[0]:,} left after {took:.0f} s"
    return [("quiet", quiet.cells(), ""), ("while they die", busy.cells(), result)]


def measure_deadlines(folder: Path, arguments: argparse.Namespace) -> None:
    dying = arguments.dying
    print(f"\n{dying:,} keys with the same deadline; GET and SET of another client in turns, milliseconds")
    columns = [f"{command} {share}" for command in ("GET", "SET") for share in ("p50", "p99", "p99.9", "max")]
    head("server", "when", *columns, "all gone after")
    for name in ["Keyp", "redis-server"][: 1 + HAS_REDIS]:
        directory = Path(tempfile.mkdtemp(dir=folder))
        deadline_ms = time.time_ns() // 1_000_000 + int((QUIET_S + 10 + dying / 25_000) * 1000)
        if name == "Keyp":
            fill_keyp(directory, LIVE_KEYS, prefix=b"live:")
            fill_keyp(directory, dying, deadline_ms)
        start = keyp if name == "Keyp" else redis
        with start(directory, arguments.fsync) as server:
            if name != "Keyp":
                connection = Connection(server.port)
                for number in range(LIVE_KEYS):
                    connection.call("SET", f"live:{number:08d}", bytes(VALUE))
                fill_redis(connection, dying, deadline_ms)
            for when, cells, took in sweep_beside(server, deadline_ms, dying, LIVE_KEYS):
                row(name, when, *cells, took)
        shutil.rmtree(directory)


MEASURES: dict[str, Callable[[Path, argparse.Namespace], None]] = {
    "start": measure_start,
    "strings": measure_strings,
    "flush": measure_flush,
    "deadlines": measure_deadlines,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what size costs.")
    parser.add_argument("what", nargs="*", help=f"which of {', '.join(MEASURES)}; all without")
    parser.add_argument("--fsync", choices=["always", "everysec", "no"], default="always", help="for both servers")
    parser.add_argument("--keys", type=int, default=5_000_000, help="the largest store to open")
    parser.add_argument("--dying", type=int, default=1_000_000, help="keys with the same deadline")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keyp-size-") as folder:
        for name in arguments.what or MEASURES:
            MEASURES[name](Path(folder), arguments)


if __name__ == "__main__":
    main()
