"""Task queues whose worker and server are killed in the middle of their work, again and again.

No job is lost that the program's own promise covers, and none runs twice where it promises that: what has run is in a
file of the jobs' own. KEYP_LONG=1 kills twenty times, and a real server as well, with a log that it syncs each time.
"""

from __future__ import annotations

import importlib
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.conftest import StartServer
from tests.integration.daemon import LONG, Daemon, wait_until
from tests.integration.node import fetch
from tests.integration.programs import Worker
from tests.integration.real_server import RealServer

KILLS = 20 if LONG else 2
JOBS = 20  # more of them before each kill
COMPANY_S = 0.5  # between jobs for a program that looks after old ones only behind new ones
FAMILY = "tests.integration.killed_workers"

IN_LONG_FORM = pytest.mark.skipif(not LONG, reason="many kills, and npm: only with KEYP_LONG=1")

Server = Daemon | RealServer


@pytest.fixture(params=["keyp", pytest.param("real server", marks=IN_LONG_FORM)])
def victim(server: StartServer, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    if request.param == "keyp":
        yield server()
        return
    real = RealServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    real.start()
    yield real
    real.kill()


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("node")
    fetch(folder, "bullmq", "ioredis")
    return folder / "node_modules"


PROGRAMS = ["celery", "dramatiq", "huey", "rq", "taskiq", "walrus"]


@pytest.fixture(params=[*PROGRAMS, pytest.param("bullmq", marks=IN_LONG_FORM)])
def program(victim: Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The program, as those who ask for jobs import it."""
    if request.param == "bullmq":
        monkeypatch.setenv("NODE_PATH", str(request.getfixturevalue("node_modules")))
    else:
        pytest.importorskip(request.param)
    monkeypatch.setenv("KEYP_PORT", str(victim.port))
    monkeypatch.setenv("KEYP_LEDGER", str(victim.directory / "ledger"))
    program = importlib.import_module(f"{FAMILY}.{request.param}_jobs").program
    yield program
    program.close()
    for name in [name for name in sys.modules if name.startswith(FAMILY)]:
        del sys.modules[name]


def ran(victim: Server) -> Counter[int]:
    path = victim.directory / "ledger"
    return Counter(map(int, path.read_text().split())) if path.exists() else Counter()


def kill_both(first: Worker | Server, second: Worker | Server) -> None:
    first.kill()
    second.kill()


def test_worker_and_server_are_killed(victim: Server, program: Any) -> None:
    chance = random.Random(os.environ["KEYP_SEED"])
    worker = Worker(program.worker, victim.directory)
    sent, failed = set[int](), set[int]()
    asked: list[float] = []

    def send() -> None:
        program.send(len(sent))
        asked.append(time.monotonic())
        sent.add(len(sent))

    def some_ran(count: int) -> None:
        enough = ran(victim).total() + count
        wait_until(lambda: ran(victim).total() >= enough, "some jobs have run")

    def settled() -> bool:
        if program.settled(r):
            return True
        if program.company and time.monotonic() > asked[-1] + COMPANY_S and ran(victim)[max(sent)]:
            send()
        return False

    with redis.Redis(port=victim.port) as r, worker:
        for kill in range(KILLS):
            for _ in range(JOBS):
                send()
            some_ran(chance.randrange(1, JOBS // 2))
            kill_both(*(worker, victim) if kill % 2 else (victim, worker))
            victim.start()
            failed |= program.failed(r)
            worker.start()
        send()
        wait_until(settled, "nothing waits")
        wait_until(lambda: ran(victim)[max(sent)], "the last job has run")
        wait_until(
            lambda: len(sent - ran(victim).keys() - failed) <= program.unsafe * KILLS, "no job is lost that is safe"
        )
    done = ran(victim)
    assert done.keys() <= sent
    assert len(failed) <= KILLS
    if program.once:
        assert set(done.values()) == {1}
