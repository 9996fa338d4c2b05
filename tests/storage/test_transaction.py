"""Transactions: which space a database uses as it is filled, flushed and swapped, and what a snapshot makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.keys.sweep import collect_garbage
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.transaction import NotYetOpen, ReadTransaction, WriteTransaction
from keyp.storage.types import strings


def space_number(store: Any, index: int = 0) -> int | None:
    number: int | None = store.read(lambda keys: None if keys.space is None else keys.space.number, index)
    return number


def put(key: bytes, data: bytes = b"v") -> Any:
    return lambda keys: strings.put(keys, key, data)


def get(key: bytes) -> Any:
    return lambda keys: strings.get(keys, key)


def fill(keys: WritableKeyspace) -> None:
    """More pages than a flush empties at once."""
    for number in range(300):
        strings.put(keys, b"k%d" % number, bytes(5000))


def flush(keys: WritableKeyspace) -> None:
    keys.flush()


def sweep_all(store: Any) -> None:
    transaction = store.begin()
    collect_garbage(transaction, 1 << 30)
    transaction.commit()


def test_an_empty_database_has_no_space(store: Any) -> None:
    assert space_number(store) is None
    store.write(put(b"k"), index=3)
    assert space_number(store) is None
    assert space_number(store, 3) == 4


def test_a_database_keeps_its_space_over_a_restart(store: Any) -> None:
    store.write(put(b"k", b"five"), index=5)
    store.write(put(b"k", b"zero"))
    store.reopen()
    assert store.read(get(b"k")) == b"zero"
    assert store.read(get(b"k"), 5) == b"five"
    assert store.read(get(b"k"), 1) is None


def test_flushing_little_empties_the_space_where_it_is(store: Any) -> None:
    store.write(put(b"k"))
    store.write(flush)
    assert space_number(store) == 1
    assert store.read(get(b"k")) is None
    assert store.read(lambda keys: keys.txn.stat(store.environment.garbage)["entries"]) == 0


def test_flushing_nothing_changes_nothing(store: Any) -> None:
    store.write(flush)
    assert space_number(store) is None


def test_flushing_much_leaves_the_space_to_the_sweeper(store: Any) -> None:
    store.write(fill)
    store.write(flush)
    assert space_number(store) is None
    assert store.read(lambda keys: keys.size()) == 0
    store.write(put(b"k"))
    assert space_number(store) == 2


def test_a_swept_space_is_used_again(store: Any) -> None:
    store.write(fill)
    store.write(flush)
    sweep_all(store)
    store.write(put(b"k"))
    assert space_number(store) == 1
    assert store.read(lambda keys: list(keys.names())) == [b"k"]


def test_a_space_filled_and_flushed_in_one_transaction_is_swept_too(store: Any) -> None:
    transaction = store.begin()
    keys = WritableKeyspace(transaction, 0)
    fill(keys)
    keys.flush()
    strings.put(keys, b"k", b"new")
    collect_garbage(transaction, 1 << 30)
    transaction.commit()
    assert store.read(lambda keys: list(keys.names())) == [b"k"]
    assert store.problems() == []


def test_flushes_that_outrun_the_sweeper_never_take_a_database_its_space(store: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("keyp.storage.lmdb.transaction.SMALL_SPACE_PAGES", 0)
    for _ in range(store.environment.max_spaces + 5):
        store.write(put(b"k"))
        store.write(flush)
        store.write(put(b"k", b"after"))
    for index in range(store.databases):
        store.write(put(b"k", b"all"), index)
        assert store.read(get(b"k"), index) == b"all"
    store.reopen()
    sweep_all(store)
    # Now that the sweeper has been there, a flush is cheap again.
    store.write(flush)
    assert space_number(store) is None


def test_swap(store: Any) -> None:
    store.write(put(b"k", b"zero"), 0)
    store.write(put(b"k", b"one"), 1)
    transaction = store.begin()
    one, other = WritableKeyspace(transaction, 0), WritableKeyspace(transaction, 1)
    transaction.swap(0, 1)
    one.refresh()
    other.refresh()
    assert strings.get(one, b"k") == b"one"
    strings.put(other, b"new", b"in one")
    transaction.commit()
    assert store.read(get(b"k"), 0) == b"one"
    assert store.read(get(b"k"), 1) == b"zero"
    assert store.read(get(b"new"), 1) == b"in one"


def test_swap_with_an_empty_database(store: Any) -> None:
    store.write(put(b"k", b"zero"))
    transaction = store.begin()
    transaction.swap(0, 9)
    transaction.commit()
    assert store.read(get(b"k"), 0) is None
    assert store.read(get(b"k"), 9) == b"zero"
    store.write(put(b"k", b"new"), 0)
    assert [store.read(get(b"k"), index) for index in (0, 9)] == [b"new", b"zero"]


def test_what_was_removed_before_a_swap_is_still_swept(store: Any) -> None:
    store.write(put(b"long", bytes(200_000)))
    store.write(lambda keys: keys.remove(b"long"))
    transaction = store.begin()
    transaction.swap(0, 1)
    transaction.commit()
    sweep_all(store)
    assert store.read(lambda keys: keys.txn.stat(keys.space.elements)["entries"], 1) == 0


def test_nothing_of_an_aborted_transaction_stays(store: Any) -> None:
    transaction = store.begin()
    keys = WritableKeyspace(transaction, 0)
    strings.put(keys, b"k", bytes(200_000), store.now_ms + 1)
    transaction.swap(0, 1)
    transaction.abort()
    assert space_number(store) is None
    store.write(put(b"k", b"new"))
    assert store.read(get(b"k")) == b"new"


def test_a_snapshot_stays_as_it_was(store: Any) -> None:
    store.write(put(b"k", b"old"))
    with ReadTransaction(store.environment, store.now_ms) as snapshot:
        store.write(put(b"k", b"new"))
        store.write(put(b"k", b"other"), 1)
        assert strings.get(Keyspace(snapshot, 0), b"k") == b"old"
        assert Keyspace(snapshot, 1).space is None
    assert store.read(get(b"k")) == b"new"


def test_a_space_that_has_not_been_announced_is_not_yet_open(store: Any) -> None:
    store.write(put(b"k"))
    space = store.environment.spaces.pop(1)
    store.environment.database_list = None
    with ReadTransaction(store.environment, store.now_ms) as snapshot, pytest.raises(NotYetOpen):
        snapshot.space(0)
    store.environment.spaces[1] = space
    assert store.read(get(b"k")) == b"v"


def test_versions_grow_with_each_command_and_are_kept(store: Any) -> None:
    transaction = store.begin()
    keys = WritableKeyspace(transaction, 0)
    strings.put(keys, b"a", b"v")
    transaction.version += 1
    strings.put(keys, b"b", b"v")
    transaction.commit()
    store.reopen()
    assert store.read(lambda keys: (keys.version(b"a"), keys.version(b"b"), keys.version(b"c"))) == (1, 2, 0)
    store.write(put(b"a"))
    assert store.read(lambda keys: keys.version(b"a")) == 3


def test_collections_never_share_an_id(store: Any) -> None:
    ids = []
    for _ in range(2):
        transaction = store.begin()
        ids += [transaction.new_collection(), transaction.new_collection()]
        transaction.commit()
        store.reopen()
    assert len(set(ids)) == 4


def test_a_store_may_be_opened_with_fewer_databases(store: Any) -> None:
    store.write(put(b"k", b"fifteen"), 15)
    store.databases = 4
    store.reopen()
    store.write(put(b"k", b"zero"))
    store.databases = 16
    store.reopen()
    assert store.read(get(b"k"), 15) == b"fifteen"
    assert space_number(store, 15) == 16


def test_a_store_of_many_databases_opens_with_few(tmp_path: Path) -> None:
    many = Environment(str(tmp_path), 200, "no")
    transaction = WriteTransaction(many, 1000)
    for index in range(200):
        strings.put(WritableKeyspace(transaction, index), b"k", b"%d" % index)
    transaction.commit()
    many.close()
    few = Environment(str(tmp_path), 2, "no")
    with ReadTransaction(few, 1000) as read:
        assert [strings.get(Keyspace(read, index), b"k") for index in range(2)] == [b"0", b"1"]
    few.close()
    again = Environment(str(tmp_path), 200, "no")
    with ReadTransaction(again, 1000) as read:
        assert strings.get(Keyspace(read, 199), b"k") == b"199"
    again.close()
