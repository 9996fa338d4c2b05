"""Replay: the changes that the journal has of commits after the last checkpoint, made once more.

Several records are one transaction, which is a good deal cheaper; no client sees the store meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from keyp.storage.journal import redo
from keyp.storage.journal.redo import DELETE, DELETE_RANGE, PUT, Change
from keyp.storage.lmdb.dirty_pages import dirty_bytes
from keyp.storage.lmdb.journal import Journal
from keyp.storage.lmdb.store import Database, Engine, Transaction

RECORDS_AT_ONCE: Final = 1000
BYTES_AT_ONCE: Final = 4 << 20


def replay(engine: Engine, journal: Journal, handle_of: Callable[[Transaction, int], Database]) -> int:
    """Replays all records; how many there were. Takes checkpoints on the way, as a server does.

    `handle_of` a transaction and a number in the journal is a sub-database. Raises OSError, lmdb.Error.
    """
    count = size = 0
    waiting: list[bytes] = []
    for record in journal.ring.records():
        waiting.append(record)
        size += len(record)
        count += 1
        if len(waiting) == RECORDS_AT_ONCE or size >= BYTES_AT_ONCE:
            _replay(engine, journal, handle_of, waiting)
            size = 0
            waiting = []
    _replay(engine, journal, handle_of, waiting)
    return count


def _replay(
    engine: Engine, journal: Journal, handle_of: Callable[[Transaction, int], Database], records: list[bytes]
) -> None:
    if not records:
        return
    changes = [change for record in records for change in redo.decode(record)]
    with engine.begin(write=True) as txn:
        make_changes(txn, handle_of, changes)

        def pages(number: int) -> int:
            return tree_pages(txn, handle_of(txn, number))

        written = dirty_bytes(changes, pages)
    journal.replayed(written)


def tree_pages(txn: Transaction, database: Database) -> int:
    """How many pages a sub-database's tree has."""
    stat = txn.stat(database)
    return int(stat["branch_pages"]) + int(stat["leaf_pages"])


def make_changes(txn: Transaction, handle_of: Callable[[Transaction, int], Database], changes: list[Change]) -> None:
    """Makes changes once more, in a transaction that shows the state before them or a later one. Raises lmdb.Error."""
    handles: dict[int, Database] = {}
    for operation, number, name, data in changes:
        handle = handles.get(number)
        if handle is None:
            handle = handles[number] = handle_of(txn, number)
        if operation == PUT:
            txn.put(name, data, db=handle)
        elif operation == DELETE:
            txn.delete(name, db=handle)
        elif operation == DELETE_RANGE:
            with txn.cursor(handle) as cursor:
                _delete_range(cursor, name, data)
        else:
            txn.drop(handle, delete=False)


def _delete_range(cursor: Any, first: bytes, last: bytes) -> None:
    found = cursor.set_range(first) if first else cursor.first()
    while found:
        name: bytes = cursor.key()
        if not name or name > last:  # behind the last entry it is empty
            return
        cursor.delete()
