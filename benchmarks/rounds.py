"""Rounds in which the servers take turns, and the order of the turns alternates."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.results import SectionResult
from benchmarks.servers import Program, Server, Tls
from benchmarks.wire import Connection, fill

SMALLEST = 10_000
WARM_KEYS = 20_000


@dataclass(frozen=True)
class Section:
    """One theme: what it is called, how it is measured, in the words of the report, and the function that does it.

    `columns` are the facts of its rows, in the order in which a table shows them after the rows' name.
    """

    name: str
    title: str
    promise: str
    note: str
    columns: tuple[str, ...]
    run: Callable[[Bench], None]


class Bench:
    """What a section works with: the programs, the number of rounds, the scale, and where results go.

    `scale` makes the work smaller than the full 1.0. `saved` is called whenever there is something new to be kept.
    """

    def __init__(
        self,
        programs: list[Program],
        folder: Path,
        rounds: int,
        scale: float,
        promise: str,
        result: SectionResult,
        saved: Callable[[], None],
    ) -> None:
        self.rounds = rounds
        self.promise = promise
        self._result = result
        self._programs = programs
        self._folder = folder
        self._scale = scale
        self._saved = saved
        self._bar: Any = None
        self._turn = (0, "")

    def scaled(self, count: int) -> int:
        """So many, on this scale; small numbers stay as they are for longer, because a short run measures nothing."""
        least = min(count, int(SMALLEST * min(1.0, 10 * self._scale)))
        return max(least, int(count * self._scale), 200)

    def sampled(self, count: int) -> int:
        """So many samples, on this scale; fewer than a tenth of the full work still needs a third of the samples."""
        return max(100, int(count * min(1.0, self._scale) ** 0.5))

    @contextmanager
    def servers(self, tls: Callable[[Path], Tls] | None = None) -> Iterator[list[Server]]:
        """One server of each program, all running, on empty directories that are removed in the end.

        Where `tls` makes a second port for each, with its files in a directory, programs without TLS are left out.
        """
        folder = Path(tempfile.mkdtemp(prefix="servers-", dir=self._folder))
        try:
            with ExitStack() as stack:
                servers = [
                    Server(program, self.promise, folder / program.name, tls and tls(folder))
                    for program in self._programs
                    if not tls or program.has_tls()
                ]
                for server in servers:
                    stack.enter_context(server)
                    with Connection(server.port) as connection:
                        fill(connection, range(self.scaled(WARM_KEYS)), prefix="warm:")
                        connection.call("FLUSHALL")
                yield servers
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def turns(self, servers: list[Server], title: str) -> Iterator[Server]:
        """Each server once in each round, the first of one round being the last of the next."""
        from tqdm import tqdm

        with tqdm(total=self.rounds * len(servers), desc=title, unit="turn", disable=None, leave=True) as bar:
            self._bar = bar
            for number in range(self.rounds):
                for server in servers if number % 2 == 0 else reversed(servers):
                    self._turn = (number, server.name)
                    os.sync()  # what the one before has left to the kernel is not to be written during this turn
                    if bar.disable:
                        print(
                            f"{title}: round {number + 1} of {self.rounds}, {server.name}", file=sys.stderr, flush=True
                        )
                    yield server
                    self._saved()
                    bar.update()
            self._bar = None

    def record(self, name: str, unit: str, value: float, /, **facts: Any) -> None:
        """Notes what the server whose turn it is has done."""
        number, server = self._turn
        self._result.put(name, unit, facts, number, server, value)
        if self._bar is not None:
            self._bar.set_postfix_str(f"{server} {name}")

    def fill(self, server: Server, numbers: range, title: str = "", **how: Any) -> None:
        """Makes the keys of these numbers, as `wire.fill` does; with a bar of its own where there is a title."""
        from tqdm import tqdm

        with (
            Connection(server.port) as connection,
            tqdm(total=len(numbers), desc=title, unit="key", unit_scale=True, disable=None if title else True) as bar,
        ):
            fill(connection, numbers, progress=bar.update, **how)
