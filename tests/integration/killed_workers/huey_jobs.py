"""huey: a worker takes a task out of its queue and runs it, so that none runs twice and a kill costs the one it has."""

from __future__ import annotations

import sys

import redis
from huey import RedisHuey

from tests.integration.killed_workers.program import PORT, Program, work

huey = RedisHuey("app", port=PORT, results=False)
job = huey.task()(work)


class HueyJobs(Program):
    worker = (
        sys.executable,
        "-m",
        "huey.bin.huey_consumer",
        f"{__name__}.huey",
        "--workers=1",
        "--no-periodic",
        "--max-delay=0.1",
    )
    once = True
    unsafe = 1

    def send(self, number: int) -> None:
        job(number)

    def settled(self, r: redis.Redis) -> bool:
        return not huey.pending_count()


program = HueyJobs()
