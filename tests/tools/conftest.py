"""Stores without a server, with a bit of everything in them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keyp.storage import function_libraries
from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.pieces import PIECE_BYTES
from keyp.storage.lmdb.reader import StoreReader
from keyp.storage.lmdb.transaction import WriteTransaction
from keyp.storage.types import strings

Entries = dict[bytes, list[tuple[bytes, bytes]]]
MakeStore = Callable[..., Path]

DEADLINE_MS = 4_000_000_000_123


def fill(keys: WritableKeyspace, marker: bytes) -> None:
    strings.put(keys, b"marker", marker)
    strings.put(keys, b"dying", b"v", DEADLINE_MS)
    strings.put(keys, b"n" * 600, b"v", DEADLINE_MS + 1)
    strings.put(keys, b"long", b"x" * (3 * PIECE_BYTES))
    for number in range(300):
        strings.put(keys, b"key:%d" % number, b"v" * 50)
    function_libraries.put(keys.transaction, b"lib", b"#!lua name=lib\nredis.register_function('f', function() end)")


def write(path: Path, *changes: Callable[[WritableKeyspace], object], database: int = 0) -> None:
    """Opens a store, makes each change in a transaction of its own, and closes it."""
    environment = Environment(str(path), fsync=NO)
    try:
        for change in changes:
            transaction = WriteTransaction(environment, 0)
            transaction.version += 1
            transaction.in_write = True
            change(WritableKeyspace(transaction, database))
            transaction.commit()
    finally:
        environment.close()


def entries(path: Path) -> Entries:
    """Everything that the store in a directory holds, by the names of its sub-databases."""
    with StoreReader(str(path)) as store:
        txn = store.snapshot.txn
        found: Entries = {}
        for name in store.records(txn):
            with txn.cursor(store.lmdb.open_db(name, txn=txn, create=False)) as cursor:
                found[name] = list(cursor)
        return found


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """A function that makes a store in a directory below the test's own; `marker` is the value of one of its keys."""

    def make(name: str = "data", marker: bytes = b"first") -> Path:
        path = tmp_path / name
        write(path, lambda keys: fill(keys, marker))
        write(path, lambda keys: strings.put(keys, b"elsewhere", b"v", DEADLINE_MS), database=7)
        return path

    return make


@pytest.fixture
def signals() -> Iterator[None]:
    """Keeps Ctrl-C as it is, for tests of what changes it."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)
