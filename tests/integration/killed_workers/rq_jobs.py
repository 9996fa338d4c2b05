"""RQ: no job runs twice by itself. What a dead worker had is called failed, and run again when somebody says so.

A job's result is an entry of a stream.
"""

from __future__ import annotations

import sys
import time

import redis
from rq import Queue, SimpleWorker
from rq.job import JobStatus

from tests.integration.killed_workers.program import URL, Program, work

LATER_S = 1000  # RQ calls a job abandoned after a minute or two, which are not waited for

queue = Queue(connection=redis.Redis.from_url(URL))


class RqJobs(Program):
    worker = (sys.executable, "-m", "rq.cli", "worker", "--worker-class=rq.worker.SimpleWorker", f"--url={URL}")
    once = True

    def send(self, number: int) -> None:
        queue.enqueue(work, number, job_id=str(number))

    def settled(self, r: redis.Redis) -> bool:
        return not r.exists(queue.key, queue.intermediate_queue_key, queue.started_job_registry.key)

    def failed(self, r: redis.Redis) -> set[int]:
        known = set(queue.failed_job_registry.get_job_ids(cleanup=False))
        queue.started_job_registry.cleanup(time.time() + LATER_S)
        taken = queue.intermediate_queue  # which a job leaves a moment after it has come into the registry
        for job_id in taken.get_job_ids():
            r.set(taken.get_first_seen_key(job_id), time.time() - LATER_S)
        taken.cleanup(SimpleWorker([queue], connection=r), queue)
        new = set(queue.failed_job_registry.get_job_ids(cleanup=False)) - known
        for job_id in new:
            job = queue.fetch_job(job_id)
            assert job is not None
            assert job.get_status() == JobStatus.FAILED
            assert job.latest_result() is not None
        return set(map(int, new))


program = RqJobs()
