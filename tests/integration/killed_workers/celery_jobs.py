"""Celery with late acknowledgement: what a dead worker held is delivered again after the visibility timeout.

Its transport takes a message by BRPOP and notes it as unacknowledged after that: a kill between the two loses it.
"""

from __future__ import annotations

import sys

import redis
from celery import Celery

from tests.integration.killed_workers.program import URL, Program, work

app = Celery(broker=URL)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={
        "visibility_timeout": 2,
        "unacked_restore_interval": 0.2,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 2,
    },
)
job = app.task(name="job")(work)


class CeleryJobs(Program):
    worker = (
        sys.executable,
        "-m",
        "celery",
        "--app",
        __name__,
        "worker",
        "--pool=solo",
        "--without-gossip",
        "--without-mingle",
    )
    unsafe = 1

    def send(self, number: int) -> None:
        job.delay(number)

    def settled(self, r: redis.Redis) -> bool:
        return not r.exists("celery", "unacked", "unacked_index")


program = CeleryJobs()
