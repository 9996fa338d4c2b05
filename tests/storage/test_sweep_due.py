"""Whether the sweeper has anything to do, and that after it has done it, it has not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.keys.sweep import collect_garbage, is_due, sweep
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.transaction import ReadTransaction, WriteTransaction
from keyp.storage.types import strings

NOW_MS = 1_000_000


class Store:
    """An environment and one transaction after the other."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    def write(self, work: Callable[[WriteTransaction], Any], now_ms: int = NOW_MS) -> Any:
        transaction = WriteTransaction(self.environment, now_ms)
        result = work(transaction)
        transaction.commit()
        return result

    def put(self, name: bytes, value: bytes = b"", deadline_ms: int = 0, database: int = 0) -> None:
        self.write(lambda writing: strings.put(WritableKeyspace(writing, database), name, value, deadline_ms))

    def is_due(self, now_ms: int = NOW_MS) -> bool:
        with ReadTransaction(self.environment, now_ms) as snapshot:
            return is_due(snapshot)

    def sweep(self, budget: int, now_ms: int = NOW_MS) -> int:
        def step(writing: WriteTransaction) -> int:
            databases = [WritableKeyspace(writing, index) for index in range(self.environment.databases)]
            return sweep(writing, databases, budget)

        removed: int = self.write(step, now_ms)
        return removed

    def entries(self) -> int:
        with ReadTransaction(self.environment, NOW_MS) as snapshot:
            spaces = self.environment.spaces.values()
            return sum(
                snapshot.txn.stat(part)["entries"]
                for space in spaces
                for part in (space.keys, space.elements, space.expiry)
            )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    environment = Environment(str(tmp_path / "store"), databases=4, fsync=NO)
    yield Store(environment)
    environment.close()


def test_nothing_is_due_where_nothing_is_or_lives_on(store: Store) -> None:
    assert not store.is_due()
    store.put(b"a")
    store.put(b"b", deadline_ms=NOW_MS)
    assert not store.is_due()


@pytest.mark.parametrize("database", [0, 3])
def test_a_deadline_of_any_database_is_due_when_it_has_passed(store: Store, database: int) -> None:
    store.put(b"a", deadline_ms=NOW_MS, database=database)
    assert not store.is_due(NOW_MS)
    assert store.is_due(NOW_MS + 1)
    assert store.sweep(10, NOW_MS + 1) == 1
    assert not store.is_due(NOW_MS + 1)
    assert store.entries() == 0


def test_elements_left_behind_are_due(store: Store) -> None:
    store.put(b"a", bytes(300_000))
    assert not store.is_due()
    store.write(lambda writing: WritableKeyspace(writing, 0).remove(b"a"))
    assert store.is_due()
    assert store.sweep(2) == 2
    assert store.is_due()
    assert 0 < store.sweep(100) < 100
    assert not store.is_due()
    assert store.entries() == 0


def fill(writing: WriteTransaction, count: int) -> None:
    keys = WritableKeyspace(writing, 0)
    random = Random(1)
    for index in range(count):
        strings.put(keys, b"%d" % index, random.randbytes(300), NOW_MS * 2 + index)


def test_a_flushed_database_is_due_until_it_is_empty(store: Store) -> None:
    store.write(lambda writing: fill(writing, 5000))
    store.write(lambda writing: WritableKeyspace(writing, 0).flush())
    steps = 0
    while store.is_due():
        assert store.sweep(1000) <= 1000
        steps += 1
    assert 1 < steps <= 11
    assert store.entries() == 0


def test_a_space_made_and_flushed_in_one_transaction_is_cleared_in_it(store: Store) -> None:
    def work(writing: WriteTransaction) -> None:
        fill(writing, 5000)
        WritableKeyspace(writing, 0).flush()
        while collect_garbage(writing, 1000) == 1000:
            pass

    store.write(work)
    assert not store.is_due()
    assert store.entries() == 0
    store.put(b"new")
    assert store.entries() == 1


def test_a_snapshot_of_a_space_not_announced_yet_can_wait(store: Store) -> None:
    store.put(b"a", deadline_ms=1)
    announced = store.environment.spaces
    store.environment.spaces = {}
    store.environment.database_list = None
    assert not store.is_due()
    store.environment.spaces = announced
    assert store.is_due()
