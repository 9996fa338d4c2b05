"""A store whose process is killed: its files are copied while it is open, and opened as a start finds them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.store import Store
from keyp.storage.lmdb.transaction import ReadTransaction


def copy_of(path: str | Path, target: Path) -> Path:
    """The files in `path` as they are at this moment, in a directory of their own."""
    shutil.copytree(path, target)
    return target


def contents(store: Store) -> dict[bytes, dict[bytes, bytes]]:
    """All entries of all sub-databases, by the name of each; the empty ones are left out."""
    with ReadTransaction(store, 0) as snapshot:
        return contents_of(store, snapshot)


def contents_of(store: Store, snapshot: ReadTransaction) -> dict[bytes, dict[bytes, bytes]]:
    """The same, as a snapshot shows it."""
    found = {}
    for name in store.records(snapshot.txn):
        handle: Any = store.lmdb.open_db(name, txn=snapshot.txn, create=False)
        with snapshot.txn.cursor(handle) as cursor:
            found[name] = dict(cursor.iternext())
    return {name: entries for name, entries in found.items() if entries}


def contents_at(path: Path, **options: Any) -> dict[bytes, dict[bytes, bytes]]:
    """Starts on the store in `path` and stops: what it had then."""
    environment = Environment(str(path), **options)
    try:
        return contents(environment)
    finally:
        environment.close()
