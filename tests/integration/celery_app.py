"""What test_celery.py runs: an application with tasks whose messages and results are in Keyp.

KEYP_PORT=… celery --app celery_app worker

KEYP_URLS, two in JSON, may say instead where messages and results are.
"""

from __future__ import annotations

import json
import os

from celery import Celery, Task

if "KEYP_URLS" in os.environ:
    broker, backend = json.loads(os.environ["KEYP_URLS"])
else:
    broker, backend = [f"redis://127.0.0.1:{os.environ['KEYP_PORT']}/{database}" for database in (2, 1)]
app = Celery(broker=broker, backend=backend)
app.conf.update(
    result_expires=1000,
    result_extended=True,
    task_track_started=True,
)


@app.task
def add(one: int, other: int) -> int:
    return one + other


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(bind=True)
def fails_twice(self: Task) -> int:
    if self.request.retries < 2:
        raise self.retry(countdown=0.1)
    return int(self.request.retries)


@app.task
def fails() -> None:
    raise ValueError("never mind")


@app.task(bind=True)
def reports(self: Task, text: str) -> str:
    self.update_state(state="HALFWAY", meta={"text": text[: len(text) // 2]})
    return text
