"""What test_celery.py runs: an application with tasks whose results are in Keyp.

    KEYP_PORT=… celery --app celery_app worker

Messages between the application and its worker go through files: see test_celery.py for why not through Keyp.
"""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery, Task

queue = Path("queue").absolute()
queue.mkdir(exist_ok=True)

app = Celery(broker="filesystem://", backend=f"redis://127.0.0.1:{os.environ['KEYP_PORT']}/1")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(queue),
        "data_folder_out": str(queue),
        "control_folder": str(queue / "control"),
        "polling_interval": 0.05,  # seconds
    },
    result_expires=1000,
    result_extended=True,
    task_track_started=True,
)


@app.task
def add(one: int, other: int) -> int:
    return one + other


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
