"""BullMQ: a job that its worker no longer has a lock for is called stalled, and waits again."""

from __future__ import annotations

import select
import subprocess
from pathlib import Path

import redis

from tests.integration.daemon import DEADLINE_S
from tests.integration.killed_workers.program import Program
from tests.integration.node import program as path_of

SCRIPT = str(Path(__file__).with_suffix(".js"))


class BullmqJobs(Program):
    def __init__(self) -> None:
        self.worker = (path_of("node"), SCRIPT)
        self._queue = subprocess.Popen(
            [*self.worker, "queue"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def send(self, number: int) -> None:
        answer = self._ask(str(number))
        assert answer == "accepted"

    def settled(self, r: redis.Redis) -> bool:
        return self._ask("settled") == "yes"

    def _ask(self, line: str) -> str:
        assert self._queue.stdin is not None
        assert self._queue.stdout is not None
        self._queue.stdin.write(f"{line}\n")
        assert select.select([self._queue.stdout], [], [], DEADLINE_S)[0], "the queue does not answer"
        return self._queue.stdout.readline().strip()

    def close(self) -> None:
        self._queue.kill()
        self._queue.communicate()


program = BullmqJobs()
