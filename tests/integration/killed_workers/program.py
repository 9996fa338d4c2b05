"""What the programs whose workers are killed have in common, and where their jobs note that they have run.

A job notes it in a file, which no server's death touches; its path is in KEYP_LEDGER, the server's port in KEYP_PORT.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import redis

PORT = int(os.environ["KEYP_PORT"])
URL = f"redis://127.0.0.1:{PORT}"
WORK_S = 0.005  # what a job takes, so that most kills meet one in a worker's hands


def work(number: int) -> None:
    """What every job does. Its line is written as the last thing, in one piece."""
    time.sleep(WORK_S)
    with open(os.environ["KEYP_LEDGER"], "ab", buffering=0) as ledger:
        ledger.write(b"%d\n" % number)


class Program:
    """A task queue, and what it promises of a job whose worker is killed.

    `worker`: the command that is its worker. `once`: no job runs twice. `unsafe`: how many jobs a kill may cost, since
    its workers have them before they have them safe. `company`: what a dead worker had is done only behind new jobs.
    """

    worker: Sequence[str]
    once = False
    unsafe = 0
    company = False

    def send(self, number: int) -> None:
        """Asks for the job; it is accepted when this returns."""
        raise NotImplementedError

    def settled(self, r: redis.Redis) -> bool:
        """Whether no job waits and none is in a worker's hands."""
        raise NotImplementedError

    def failed(self, r: redis.Redis) -> set[int]:
        """The jobs that it says have failed with the worker that has just been killed: it has them, and asks."""
        return set()

    def close(self) -> None:
        """Ends what it has started beside its workers."""
