"""A consumer of a group, by walrus: takes entries, its own unfinished ones first, notes each as done, acknowledges it.

Its arguments are the port and its name. It waits for new entries until it is ended.
"""

import sys
from typing import Any

from walrus import Database

database = Database(port=int(sys.argv[1]), retry=None)
consumer: Any = database.consumer_group("workers", ["jobs"]).consumer(sys.argv[2])


def finish(entry_id: bytes) -> None:
    """What happens between the two is that the entry is done and not acknowledged."""
    database.rpush("done", entry_id)
    consumer.jobs.ack(entry_id)


for entry in consumer.jobs.pending():
    if entry["consumer"] == sys.argv[2].encode():
        finish(entry["message_id"])
while True:
    for _, entries in consumer.read(count=5, block=200) or []:
        for entry_id, _ in entries:
            finish(entry_id)
