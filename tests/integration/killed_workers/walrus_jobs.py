"""A consumer group by walrus: a worker first does what it had when it died, since it has the same name."""

from __future__ import annotations

import sys
from typing import Any

import redis
from walrus import Database

from tests.integration.killed_workers.program import PORT, Program, work

database = Database(port=PORT)
group: Any = database.consumer_group("workers", ["jobs"])


class WalrusJobs(Program):
    worker = (sys.executable, "-m", __name__)

    def __init__(self) -> None:
        group.create(ensure_keys_exist=True)
        group.set_id("0")

    def send(self, number: int) -> None:
        group.jobs.add({"number": number})

    def settled(self, r: redis.Redis) -> bool:
        (info,) = r.xinfo_groups("jobs")
        return (info["pending"], info["lag"]) == (0, 0)


def consume() -> None:
    """Does what comes until it is killed."""
    for entry in group.jobs.pending():
        finish(*group.jobs[entry["message_id"]])
    while True:
        for _, entries in group.read(count=5, block=200) or []:
            for entry in entries:
                finish(*entry)


def finish(entry_id: bytes, fields: dict[bytes, bytes]) -> None:
    work(int(fields[b"number"]))
    group.jobs.ack(entry_id)


if __name__ == "__main__":
    consume()
else:
    program = WalrusJobs()
