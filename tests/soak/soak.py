"""A long mixed load on a real server, with a ledger of every write and samples of what the server takes.

    KEYP_SOAK_SECONDS=3600 python -m tests.soak.soak

At the end: every acknowledged write is there, also after the server was killed and started again; the log holds no
error; memory, the file, threads and descriptors have not grown; the store passes its check.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

from tests.integration.daemon import Daemon, wait_until
from tests.soak.ledger import Tally
from tests.soak.load import RESTLESS, LedgerLoad, Outcome, connect, run_loads
from tests.soak.samples import Sample, errors_in_log, growth, look, table

DEFAULT_SECONDS = 3600.0
LEDGERS = (3, 3)  # connections with a ledger in each process
SAMPLES = 720  # at most one a second

# How much more the last quarter may take than the first after the warm-up: a share of it, and what is noise anyway.
GROWTH = 1.10
MEMORY_NOISE_KB = 16 << 10
FILE_NOISE_KB = 32 << 10
DESCRIPTORS_NOISE = 12
# The short form is all warm-up: only what would be wild is seen.
SHORT_S = 300.0
MEMORY_WILD_KB = 400 << 10
FILE_WILD_KB = 1000 << 10


class Result:
    """What a soak has shown; `problems` must be empty."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.tally = Tally()
        self.samples: list[Sample] = []
        self.problems: list[str] = []

    def report(self) -> str:
        """All of it for people, in Markdown."""
        lines = [f"Soak of {self.seconds:.0f} s.", "", table(self.samples), "", "| done | times |", "|---|---|"]
        lines += [f"| {what} | {times} |" for what, times in sorted(self.tally.counts.items())]
        lines += ["", *(self.problems or ["No problem was found."])]
        return "\n".join(lines)


def soak(daemon: Daemon, seconds: float, progress: bool = False) -> Result:
    """Loads a running server for so long, judges it, and stops it."""
    result = Result(seconds)
    with ProcessPoolExecutor(len(LEDGERS) + 1, multiprocessing.get_context("spawn")) as pool:
        homes = [
            pool.submit(run_loads, [LedgerLoad] * count, daemon.port, 100 * index, seconds)
            for index, count in enumerate(LEDGERS)
        ]
        homes.append(pool.submit(run_loads, list(RESTLESS), daemon.port, 1000, seconds))
        _watch(daemon, homes, result, max(1.0, seconds / SAMPLES), progress)
        outcomes = [home.result() for home in homes]
    for outcome in outcomes:
        result.tally.add(outcome.tally)
    result.problems += result.tally.errors
    _judge_growth(result)
    _judge_end(daemon, outcomes, result)
    return result


def _watch(daemon: Daemon, homes: list[Future[Outcome]], result: Result, every_s: float, progress: bool) -> None:
    """Takes samples until the load is over."""
    started = time.monotonic()
    reported = 0.0
    while not all(home.done() for home in homes):
        time.sleep(every_s)
        if not daemon.running:
            result.problems.append("the server has exited")
            return
        sample = look(daemon, time.monotonic() - started)
        result.samples.append(sample)
        if progress and sample.second - reported >= 60:
            reported = sample.second
            print(f"{reported:.0f} s: {sample.memory_kb >> 10} MB, file {sample.file_kb >> 10} MB", flush=True)


def _judge_growth(result: Result) -> None:
    most = Sample(*(max(column) for column in zip(*result.samples, strict=True)))
    if most.memory_kb > MEMORY_WILD_KB:
        result.problems.append(f"memory has reached {most.memory_kb} kB")
    if most.file_kb > FILE_WILD_KB:
        result.problems.append(f"the file has reached {most.file_kb} kB")
    if result.seconds < SHORT_S:
        return
    first, last = growth(result.samples)
    for what, before, after, noise in (
        ("memory in kB", first.memory_kb, last.memory_kb, MEMORY_NOISE_KB),
        ("the file in kB", first.file_kb, last.file_kb, FILE_NOISE_KB),
        ("the number of threads", first.threads, last.threads, 0),
        ("the number of descriptors", first.descriptors, last.descriptors, DESCRIPTORS_NOISE),
    ):
        if after > before * GROWTH + noise:
            result.problems.append(f"{what} has grown from {before} to {after}")


def _judge_end(daemon: Daemon, outcomes: list[Outcome], result: Result) -> None:
    """What the load has left behind: nothing but its keys, and those for good."""
    client = connect(daemon.port)
    wait_until(lambda: connect(daemon.port, 2).dbsize() == 0, "keys past their deadline are gone")
    wait_until(lambda: client.info("clients")["connected_clients"] <= 2, "connections are gone")
    result.samples.append(look(daemon, result.seconds))
    daemon.kill()
    daemon.start()
    client = connect(daemon.port)
    for outcome in outcomes:
        for ledger in outcome.ledgers:
            result.tally.count("keys verified after the kill", ledger.verify(client))
            result.problems += ledger.tally.errors
    result.problems += errors_in_log(daemon)
    client.close()
    daemon.stop()
    daemon.check()


def main() -> None:
    seconds = float(os.environ.get("KEYP_SOAK_SECONDS", DEFAULT_SECONDS))
    with tempfile.TemporaryDirectory(prefix="keyp-soak-") as folder:  # on the disk, as a server's store is
        daemon = Daemon(Path(folder))
        daemon.start()
        try:
            result = soak(daemon, seconds, progress=True)
        finally:
            if daemon.running:
                daemon.kill()
    print(result.report())
    sys.exit(1 if result.problems else 0)


if __name__ == "__main__":
    main()
