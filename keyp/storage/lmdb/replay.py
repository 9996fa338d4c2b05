"""Replay: the changes that the journal has of commits after the last checkpoint, made once more.

Several records are one transaction, which is a good deal cheaper; no client sees the store meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from keyp.storage.journal import redo
from keyp.storage.journal.redo import DELETE, DELETE_RANGE, PUT
from keyp.storage.lmdb.journal import Journal
from keyp.storage.lmdb.store import GARBAGE, Database, Transaction, space_and_part

if TYPE_CHECKING:
    from keyp.storage.lmdb.environment import Environment

RECORDS_AT_ONCE: Final = 1000
BYTES_AT_ONCE: Final = 4 << 20


def replay(environment: Environment, journal: Journal) -> int:
    """Replays all records; how many there were. Takes checkpoints on the way, as a server does.

    Raises OSError, lmdb.Error.
    """
    count = size = 0
    waiting: list[bytes] = []
    for record in journal.ring.records():
        waiting.append(record)
        size += len(record)
        count += 1
        if len(waiting) == RECORDS_AT_ONCE or size >= BYTES_AT_ONCE:
            _replay(environment, journal, waiting)
            size = 0
            waiting = []
    _replay(environment, journal, waiting)
    return count


def _replay(environment: Environment, journal: Journal, records: list[bytes]) -> None:
    if not records:
        return
    changes = [change for record in records for change in redo.decode(record)]
    with environment.lmdb.begin(write=True) as txn:
        handles: dict[int, Database] = {}
        for kind, number, name, data in changes:
            handle = handles.get(number)
            if handle is None:
                if number > GARBAGE:  # a space is there as a whole or not at all
                    environment.open_space(txn, space_and_part(number)[0])
                handle = handles[number] = environment.handle(txn, number)
            if kind == PUT:
                txn.put(name, data, db=handle)
            elif kind == DELETE:
                txn.delete(name, db=handle)
            elif kind == DELETE_RANGE:
                _delete_range(txn, handle, name, data)
            else:
                txn.drop(handle, delete=False)
    journal.replayed(changes)


def _delete_range(txn: Transaction, handle: Database, first: bytes, last: bytes) -> None:
    with txn.cursor(handle) as cursor:
        found = cursor.set_range(first) if first else cursor.first()
        while found and cursor.key() and cursor.key() <= last:  # behind the last entry the key is empty
            cursor.delete()
