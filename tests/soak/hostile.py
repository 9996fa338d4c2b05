"""The long forms of the attacks of `tests/integration/hostile.py`, on Keyp and on a real server, with figures.

    python -m tests.soak.hostile             all of them, a quarter of an hour
    python -m tests.soak.hostile queued …    those whose names have one of the words

While an attack goes on, one client on a connection of its own sends GETs, one after the other. For each attack a line
says by how much the server has grown at most, what is left when the attacker has gone, the others' GETs (median, 99 %,
the longest), how long the attack took, and whether the server has cut it off. At the end stand ten thousand idle
connections. Exits with 1 where Keyp grew by more than the attack's bound, or did not answer.
"""

from __future__ import annotations

import multiprocessing
import resource
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Protocol

from tests.integration.daemon import Daemon
from tests.integration.hostile import ATTACKS, MB, Attacker
from tests.integration.real_server import RealServer
from tests.wire import request

IDLE = 10_000
SPARE = 500
SETTLING_S = 3.0  # in which a server gives back what it can
SAMPLE_S = 0.01
ATTACK_MAX_S = 180.0
ALLOWANCE = 64 * MB  # for buffers and the heaps of the C library

FORMAT = "{:32} {:>8} {:13} {:>9} {:>8} {:>9} {:>9} {:>9} {:>7}  {}"
TITLES = ("attack", "count", "server", "grown MB", "left MB", "p50 ms", "p99 ms", "max ms", "s", "")


class Served(Protocol):
    """A server that can be attacked."""

    port: int

    @property
    def pid(self) -> int:
        """Its process."""


def resident(pid: int) -> int:
    """The process's memory in bytes, without pages of files."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon:"))


class Watch:
    """Watches a process's memory while its block runs: `most` is the most that it had."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.most = resident(pid)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self.most = max(self.most, resident(self._pid))


def attack_in_process(port: int, number: int, pipe: Pipe) -> None:
    """What the attacker's process does: attacks, says whether it was cut off, and holds on until it is told to go."""
    with Attacker(port) as attacker:
        try:
            attacker.run(ATTACKS[number], ATTACKS[number].large)
            pipe.send("cut off" if attacker.was_cut_off else "served")
        except OSError as error:
            pipe.send(f"{type(error).__name__}")
        pipe.poll(ATTACK_MAX_S)


def ask(connection: socket.socket) -> float:
    """Milliseconds until a GET is answered."""
    began = time.perf_counter_ns()
    connection.sendall(request(b"GET", b"key"))
    assert connection.recv(100)
    return (time.perf_counter_ns() - began) / 1e6


def measure(server: Served, name: str, number: int) -> bool:
    """Attacks a server and prints the line; whether it grew by no more than it may."""
    attack = ATTACKS[number]
    other = socket.create_connection(("127.0.0.1", server.port), timeout=ATTACK_MAX_S)
    other.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    other.sendall(request(b"FLUSHALL"))
    other.recv(100)
    before, began = resident(server.pid), time.monotonic()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=attack_in_process, args=(server.port, number, theirs))
    times = []
    with Watch(server.pid) as watch:
        process.start()
        while not ours.poll() and time.monotonic() - began < ATTACK_MAX_S:
            times.append(ask(other))
            time.sleep(0.0005)
        took = time.monotonic() - began
        outcome = ours.recv() if ours.poll() else "not over"
        times += [ask(other) for _ in range(100)]
    ours.send("go")
    process.join(10)
    process.kill()
    time.sleep(SETTLING_S)
    ask(other)
    other.close()
    times.sort()
    grown, left = watch.most - before, resident(server.pid) - before
    figures = [times[len(times) // 2], times[len(times) * 99 // 100], times[-1]]
    print(
        FORMAT.format(
            attack.name,
            attack.large,
            name,
            f"{grown / MB:.1f}",
            f"{left / MB:.1f}",
            *[f"{figure:.2f}" for figure in figures],
            f"{took:.1f}",
            outcome,
        ),
        flush=True,
    )
    return grown < attack.room(attack.large) + ALLOWANCE


def measure_idle(server: Served, name: str) -> None:
    """Prints what ten thousand idle connections take, and how long they need to come, to be answered and to go."""
    before, began = resident(server.pid), time.monotonic()
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(IDLE)]
    for connection in connections:
        connection.sendall(b"PING\r\n")
    for connection in connections:
        assert connection.recv(100) == b"+PONG\r\n"
    took = time.monotonic() - began
    each = (resident(server.pid) - before) / IDLE
    for connection in connections:
        connection.close()
    print(
        f"{IDLE} idle connections: {name} {each / 1024:.2f} KB each, {took:.1f} s until all were answered", flush=True
    )


def on_both(do: Callable[[Served, str], object]) -> list[object]:
    """Does it on a new Keyp, and on a new real server after that."""
    done = []
    with tempfile.TemporaryDirectory() as directory:
        keyp = Daemon(Path(directory), "--fsync=no")
        keyp.start()
        try:
            done.append(do(keyp, "Keyp"))
        finally:
            keyp.kill()
    with tempfile.TemporaryDirectory() as directory:
        real = RealServer(Path(directory), "--maxclients", str(IDLE + SPARE))
        real.start()
        try:
            done.append(do(real, "real server"))
        finally:
            real.kill()
    return done


def main(words: list[str]) -> int:
    """The process's exit status."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (IDLE + SPARE, hard))
    chosen = [
        number for number, attack in enumerate(ATTACKS) if not words or any(word in attack.name for word in words)
    ]
    print(FORMAT.format(*TITLES), flush=True)
    exceeded = [ATTACKS[number].name for number in chosen if not compare(number)]
    if not words:
        on_both(measure_idle)
    if exceeded:
        print("took more than they may: " + ", ".join(exceeded))
    return 1 if exceeded else 0


def compare(number: int) -> bool:
    """Runs an attack on both; whether Keyp kept its bound."""
    return bool(on_both(lambda server, name: measure(server, name, number))[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
