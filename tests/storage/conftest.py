"""`store`: an environment in a temporary directory, whose contents must be sound when the test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis.stateful import RuleBasedStateMachine

from keyp.storage.check import check
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.keys.sweep import sweep
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.store import Space
from keyp.storage.lmdb.transaction import ReadTransaction, WriteTransaction
from tests.scratch import scratch_directory

NOW_MS = 1_700_000_000_000


class Store:
    """An environment and short ways to one transaction each. `now_ms` is the clock."""

    def __init__(self, path: Path, databases: int = 16) -> None:
        self.path = path
        self.databases = databases
        self.now_ms = NOW_MS
        self.environment = Environment(str(path), databases=databases, fsync=NO)

    def reopen(self) -> None:
        self.environment.close()
        self.environment = Environment(str(self.path), databases=self.databases, fsync=NO)

    def begin(self) -> WriteTransaction:
        """A write transaction with the version of a first command; commit or abort it."""
        transaction = WriteTransaction(self.environment, self.now_ms)
        transaction.version += 1
        transaction.in_write = True
        return transaction

    def write(self, change: Callable[[WritableKeyspace], object], index: int = 0) -> None:
        """Makes a change to a database in a transaction of its own."""
        transaction = self.begin()
        change(WritableKeyspace(transaction, index))
        transaction.commit()

    def read(self, look: Callable[[Keyspace], Any], index: int = 0) -> Any:
        """Looks at a database in a snapshot of its own."""
        with ReadTransaction(self.environment, self.now_ms) as snapshot:
            return look(Keyspace(snapshot, index))

    def sweep(self) -> int:
        """Lets the sweeper do all there is to do; how much it removed."""
        transaction = WriteTransaction(self.environment, self.now_ms)
        databases = [WritableKeyspace(transaction, index) for index in range(self.databases)]
        removed = sweep(transaction, databases, 1 << 30)
        transaction.commit()
        return removed

    def problems(self) -> list[str]:
        with ReadTransaction(self.environment, self.now_ms) as snapshot:
            return check(snapshot)


def space_of(keys: Keyspace) -> Space:
    """The space of a database in which something has been written."""
    assert keys.space is not None
    return keys.space


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    try:
        yield store
        assert store.problems() == []
    finally:
        store.environment.close()


class StoreMachine(RuleBasedStateMachine):
    """A machine on a store of its own, which must be sound in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = scratch_directory()
        self.store = Store(Path(self.directory.name) / "store")

    def teardown(self) -> None:
        try:
            assert self.store.problems() == []
        finally:
            self.store.environment.close()
            self.directory.cleanup()
