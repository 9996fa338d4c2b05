"""Snapshots of other processes hold pages of the store; those of processes that have died must not do so for ever."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keyp.net.server import READERS_LOOKED_AT_S
from keyp.storage.lmdb.environment import NO, Environment
from tests.fakes import Lab

READ = """
import sys, lmdb
environment = lmdb.open(sys.argv[1], readonly=True, max_dbs=1, lib_version=0)
with environment.begin() as snapshot:
    print("reading", flush=True)
    sys.stdin.read()
"""
COMMITS = 300


@contextmanager
def reader(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a snapshot of the store until it is ended."""
    command = [sys.executable, "-c", READ, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        yield process
        process.kill()


def growth(lab: Lab) -> int:
    """By how many pages the file grows while the same ten keys are overwritten, each time in a commit of its own."""
    before = lab.environment.lmdb.info()["last_pgno"]
    client = lab.connect()
    for number in range(COMMITS):
        client.call(f"SET k{number % 10} v")
    client.lose()
    return int(lab.environment.lmdb.info()["last_pgno"] - before)


def a_minute_passes(lab: Lab) -> None:
    for _ in range(READERS_LOOKED_AT_S):
        lab.server.each_second()


def test_a_snapshot_costs_a_few_pages_for_each_commit_and_they_are_used_again(lab: Lab, tmp_path: Path) -> None:
    growth(lab)
    assert growth(lab) == 0
    with reader(tmp_path):
        assert COMMITS < growth(lab) < 8 * COMMITS
    a_minute_passes(lab)
    assert growth(lab) == 0


def test_a_dead_reader_is_forgotten_within_a_minute(lab: Lab, tmp_path: Path) -> None:
    growth(lab)
    with reader(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert growth(lab) > COMMITS
    a_minute_passes(lab)
    growth(lab)  # its pages come free with the next commit
    assert growth(lab) == 0
    assert lab.environment.forget_dead_readers() == 0


def test_a_living_reader_is_left_alone(lab: Lab, tmp_path: Path) -> None:
    with reader(tmp_path):
        assert lab.environment.forget_dead_readers() == 0
        assert growth(lab) > COMMITS


def test_opening_forgets_dead_readers(tmp_path: Path) -> None:
    """LMDB begins a new table of readers when the last process leaves; here a living reader keeps the table."""
    Environment(str(tmp_path), fsync=NO).close()
    with reader(tmp_path), reader(tmp_path) as dead:
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        environment = Environment(str(tmp_path), fsync=NO)
        assert environment.forget_dead_readers() == 0
        environment.close()
