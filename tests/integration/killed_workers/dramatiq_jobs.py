"""dramatiq: a script takes messages and notes who has them; those of a worker without a heartbeat go back."""

from __future__ import annotations

import sys

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from tests.integration.killed_workers.program import URL, Program, work

EACH_TIME = 1_000_000  # of a million commands

broker = RedisBroker(url=URL, heartbeat_timeout=2000, maintenance_chance=EACH_TIME)
dramatiq.set_broker(broker)
job = dramatiq.actor(actor_name="job", broker=broker)(work)


class DramatiqJobs(Program):
    worker = (sys.executable, "-m", "dramatiq", __name__, "--processes=1", "--threads=2")

    def send(self, number: int) -> None:
        job.send(number)

    def settled(self, r: redis.Redis) -> bool:
        return not r.exists("dramatiq:default", "dramatiq:default.msgs")


program = DramatiqJobs()
