"""taskiq on a stream: an entry is acknowledged when its task has run, and claimed by another worker where it was not.

Entries are claimed only behind new ones.
"""

from __future__ import annotations

import asyncio
import sys

import redis
from taskiq_redis import RedisStreamBroker

from tests.integration.killed_workers.program import URL, Program, work

broker = RedisStreamBroker(URL, consumer_id="0", xread_block=100, idle_timeout=1000, unacknowledged_lock_timeout=2)
job = broker.task(task_name="job")(work)


class TaskiqJobs(Program):
    worker = (sys.executable, "-m", "taskiq", "worker", f"{__name__}:broker", "--workers=1", "--max-async-tasks=2")
    company = True

    def send(self, number: int) -> None:
        async def kick() -> None:
            await job.kiq(number)
            await broker.connection_pool.disconnect()  # which belongs to this loop

        asyncio.run(kick())

    def settled(self, r: redis.Redis) -> bool:
        (group,) = r.xinfo_groups("taskiq")
        return (group["pending"], group["lag"]) == (0, 0)


program = TaskiqJobs()
