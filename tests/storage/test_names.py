"""The names of a database, found without reading what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keyp.storage.keys.keyspace import NAMES_AT_ONCE, Keyspace, WritableKeyspace
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.layout import ONE_PAGE_MAX, expiry_entry
from keyp.storage.lmdb.transaction import ReadTransaction, WriteTransaction
from keyp.storage.types import strings
from tests.storage.conftest import space_of

NOW_MS = 1_000_000
LONG = [b"k" * 480, b"k" * 600, b"k" * 460 + b"j" * 100]
NAMES = [b"", b"a", b"ab", b"b", b"k", *LONG, b"\xff", b"\xff\xff"]


Opened = Callable[..., Keyspace]


class CountingTransaction:
    """An LMDB transaction that counts how many values were asked for."""

    def __init__(self, txn: Any) -> None:
        self.txn = txn
        self.gets = 0

    def get(self, *args: Any) -> Any:
        self.gets += 1
        return self.txn.get(*args)

    def cursor(self, database: Any) -> Any:
        return self.txn.cursor(database)

    def stat(self, database: Any) -> Any:
        return self.txn.stat(database)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    environment = Environment(str(tmp_path / "store"), fsync=NO)
    yield environment
    environment.close()


@pytest.fixture
def opened(environment: Environment) -> Iterator[Opened]:
    """Gives a database with the names wanted, as a snapshot shows it."""
    snapshots = []

    def fill(alive: Iterable[bytes], dead: Iterable[bytes] = (), value: bytes = b"value") -> Keyspace:
        transaction = WriteTransaction(environment, NOW_MS)
        keys = WritableKeyspace(transaction, 0)
        for name in alive:
            strings.put(keys, name, value, NOW_MS)
        for name in dead:
            strings.put(keys, name, value, NOW_MS - 1)
        transaction.commit()
        snapshots.append(ReadTransaction(environment, NOW_MS))
        return Keyspace(snapshots[-1], 0)

    yield fill
    for snapshot in snapshots:
        snapshot.close()


def count_gets(keys: Keyspace) -> Any:
    counting: Any = CountingTransaction(keys.txn)
    keys.txn = counting
    keys._get = counting.get
    return counting


def test_a_database_without_a_space(opened: Opened) -> None:
    keys = opened([])
    assert list(keys.names()) == []
    assert keys.stored_names(10) == []
    assert keys.live([]) == []


def test_only_long_names_need_their_records(opened: Opened) -> None:
    keys = opened(NAMES)
    transaction = count_gets(keys)
    assert sorted(keys.names()) == sorted(NAMES)
    assert transaction.gets == len(LONG) + 1  # and the empty one


@pytest.mark.parametrize("prefix", [b"a", b"k", b"k" * 448, b"k" * 460, b"k" * 470, b"\xff", b"\xff\xff", b"nobody"])
def test_no_name_with_a_prefix_is_left_out(opened: Opened, prefix: bytes) -> None:
    keys = opened(NAMES)
    assert {name for name in NAMES if name.startswith(prefix)} <= set(keys.names(prefix))
    if len(prefix) < 448:
        assert all(name.startswith(prefix) for name in keys.names(prefix))


def test_names_in_steps_are_all_names_once(opened: Opened) -> None:
    keys = opened(NAMES)
    for count in range(1, len(NAMES) + 2):
        stored, after = [], b""
        while some := keys.stored_names(count, after):
            assert len(some) <= count
            stored += some
            after = some[-1]
        assert sorted(keys.full_name(name) for name in stored) == sorted(NAMES)
        assert len(set(stored)) == len(NAMES)


@pytest.mark.parametrize("dead", [0, 1, 9, 10, 11, 500])
def test_the_dead_are_told_from_the_living_without_more_looks_than_names(opened: Opened, dead: int) -> None:
    keys = opened([b"a%03d" % index for index in range(10)], [b"b%03d" % index for index in range(dead)])
    transaction = count_gets(keys)
    stored = keys.stored_names(1000)
    assert len(stored) == 10 + dead
    assert keys.live(stored) == stored[:10]
    assert transaction.gets <= len(stored)
    assert keys.live(stored[5:15]) == stored[5:10]
    assert transaction.gets <= len(stored) + 10
    assert keys.visit(1000) == (stored, stored[:10])


@pytest.mark.parametrize("size", [10, ONE_PAGE_MAX, 60_000])
def test_records_of_more_than_a_page_are_not_read(opened: Opened, size: int) -> None:
    names = [b"%03d" % index for index in range(50)]
    keys = opened(names, value=b"x" * size)
    transaction = count_gets(keys)
    assert list(keys.names()) == names
    assert keys.live(names) == names
    assert transaction.gets == 0


def test_an_index_entry_that_no_record_has_hides_no_name(environment: Environment, opened: Opened) -> None:
    keys = opened([b"a", b"b"], value=b"x" * 60_000)
    transaction = WriteTransaction(environment, NOW_MS)
    transaction.txn.put(expiry_entry(5, b"a"), b"", db=space_of(keys).expiry)
    transaction.commit()
    assert list(opened([b"c"]).names()) == [b"a", b"b", b"c"]


def test_more_names_than_are_taken_at_once(opened: Opened) -> None:
    names = [b"%05d" % index for index in range(NAMES_AT_ONCE * 2)]
    assert list(opened(names, [b"00000:"]).names()) == names
