"""What test_huey.py runs: an application with tasks.  KEYP_PORT=… HUEY=RedisHuey huey_consumer huey_app.huey"""

from __future__ import annotations

import os

import huey as library
import redis

port = int(os.environ["KEYP_PORT"])
huey = getattr(library, os.environ["HUEY"])("app", port=port, notify_result=True)
tries = redis.Redis(port=port, db=1)


@huey.task()
def add(one: int, other: int) -> int:
    return one + other


@huey.task(retries=3)
def fails_twice(name: str) -> None:
    """Tried again at once: huey puts it back into the queue."""
    if int(tries.incr(name)) < 3:
        raise ValueError("not yet")


@huey.task()
def fails() -> None:
    raise ValueError("never mind")


@huey.task()
def note(what: str) -> None:
    tries.rpush("notes", what)
