"""What test_taskiq.py runs: tasks on a stream.  KEYP_PORT=… taskiq worker tests.integration.taskiq_app:broker"""

from __future__ import annotations

import os

from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

url = f"redis://127.0.0.1:{os.environ['KEYP_PORT']}"
broker = RedisStreamBroker(
    url, consumer_id="0", xread_block=100, idle_timeout=200, unacknowledged_lock_timeout=10
).with_result_backend(RedisAsyncResultBackend(url, result_ex_time=1000))


@broker.task
async def double(number: int) -> int:
    return 2 * number


@broker.task
async def fail() -> None:
    raise ValueError("never mind")
