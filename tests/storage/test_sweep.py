"""The sweeper: it removes what is due, nothing else, and stops at its budget."""

from __future__ import annotations

from typing import Any

import pytest

from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.keys.sweep import is_due, sweep
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.pieces import PIECE_BYTES
from keyp.storage.lmdb.transaction import ReadTransaction
from keyp.storage.types import strings
from tests.storage.conftest import space_of


def step(store: Any, budget: int = 1 << 30) -> tuple[int, int]:
    """One step; how much it removed and how many keys it found expired."""
    transaction = store.begin()
    databases = [WritableKeyspace(transaction, index) for index in range(store.databases)]
    removed = sweep(transaction, databases, budget)
    transaction.commit()
    assert store.problems() == []
    return removed, transaction.expired


def due(store: Any) -> bool:
    with ReadTransaction(store.environment, store.now_ms) as snapshot:
        return is_due(snapshot)


def names(store: Any, index: int = 0) -> list[bytes]:
    """What is stored, dead or alive."""
    found: list[bytes] = store.read(lambda keys: keys.stored_names(1 << 30), index)
    return found


def elements(store: Any) -> int:
    count: int = store.read(lambda keys: 0 if keys.space is None else keys.txn.stat(keys.space.elements)["entries"])
    return count


def put_with_deadlines(store: Any, count: int, index: int = 0) -> None:
    def put(keys: WritableKeyspace) -> None:
        for number in range(count):
            strings.put(keys, b"k%02d" % number, b"v", store.now_ms + number)

    store.write(put, index)


def test_nothing_to_do(store: Any) -> None:
    assert step(store) == (0, 0)
    store.write(lambda keys: strings.put(keys, b"k", b"v"))
    assert not due(store)
    assert step(store) == (0, 0)


def test_only_what_is_past_its_deadline_goes(store: Any) -> None:
    put_with_deadlines(store, 10)
    assert not due(store)
    store.now_ms += 4
    assert due(store)
    assert step(store) == (4, 4)
    assert names(store) == [b"k%02d" % number for number in range(4, 10)]
    assert not due(store)


def test_a_step_stops_at_its_budget(store: Any) -> None:
    put_with_deadlines(store, 10)
    store.now_ms += 100
    assert [step(store, 4) for _ in range(4)] == [(4, 4), (4, 4), (2, 2), (0, 0)]


def test_databases_take_turns_within_one_budget(store: Any) -> None:
    put_with_deadlines(store, 3, index=0)
    put_with_deadlines(store, 3, index=7)
    store.now_ms += 100
    assert step(store, 4) == (4, 4)
    assert (len(names(store)), len(names(store, 7))) == (0, 2)
    assert step(store, 4) == (2, 2)


def test_a_key_that_was_given_more_time_stays(store: Any) -> None:
    put_with_deadlines(store, 2)
    store.write(lambda keys: keys.touch(b"k00", keys.find(b"k00"), store.now_ms + 1000))
    store.write(lambda keys: keys.touch(b"k01", keys.find(b"k01"), 0))
    store.now_ms += 100
    assert step(store) == (0, 0)
    assert names(store) == [b"k00", b"k01"]


@pytest.mark.parametrize("name", [b"", b"n" * 480, b"n" * 100_000], ids=len)
def test_names_that_are_not_stored_as_they_are(store: Any, name: bytes) -> None:
    store.write(lambda keys: strings.put(keys, name, b"v", store.now_ms))
    store.now_ms += 1
    assert step(store) == (1, 1)
    assert names(store) == []


def test_pieces_of_a_removed_string_go_in_steps(store: Any) -> None:
    store.write(lambda keys: strings.put(keys, b"gone", bytes(10 * PIECE_BYTES)))
    store.write(lambda keys: strings.put(keys, b"kept", bytes(2 * PIECE_BYTES)))
    assert not due(store)
    store.write(lambda keys: keys.remove(b"gone"))
    assert due(store)
    left = []
    while step(store, 4)[0] == 4:
        left.append(elements(store))
    assert left == [8, 4]
    assert elements(store) == 2
    assert not due(store)
    assert store.read(lambda keys: strings.length(keys, b"kept")) == 2 * PIECE_BYTES


def test_an_expired_string_leaves_its_pieces_to_the_same_sweep(store: Any) -> None:
    store.write(lambda keys: strings.put(keys, b"k", bytes(10 * PIECE_BYTES), store.now_ms))
    store.now_ms += 1
    removed, expired = step(store)
    assert (removed, expired) == (11, 1)
    assert (names(store), elements(store)) == ([], 0)


def test_a_flushed_space_goes_in_steps(store: Any) -> None:
    def fill(keys: WritableKeyspace) -> None:
        for number in range(600):
            strings.put(keys, b"k%d" % number, bytes(5000), store.now_ms + 5)

    store.write(fill)
    store.write(lambda keys: keys.flush())
    store.write(lambda keys: strings.put(keys, b"new", b"v"))
    store.now_ms += 100
    steps = 0
    while step(store, 50)[0] == 50:
        steps += 1
    assert steps > 5
    assert not due(store)
    assert names(store) == [b"new"]
    space = store.environment.spaces[1]
    left = store.read(lambda keys: [keys.txn.stat(db)["entries"] for db in (space.keys, space.elements, space.expiry)])
    assert left == [0, 0, 0]


def test_damage_is_no_reason_to_remove_a_key(store: Any) -> None:
    def leave_a_stray_entry(keys: WritableKeyspace) -> None:
        strings.put(keys, b"k", b"v")
        keys.txn.put((1).to_bytes(8, "big") + b"k", b"", db=space_of(keys).expiry)

    store.write(leave_a_stray_entry)
    assert store.problems() == ["expiry:1 'k': no record has the deadline 1"]
    assert step(store) == (1, 0)
    assert names(store) == [b"k"]


def test_a_damaged_entry_of_the_garbage_clears_nothing(store: Any) -> None:
    def damage(keys: WritableKeyspace) -> None:
        strings.put(keys, b"long", bytes(3 * PIECE_BYTES))
        garbage = keys.transaction.environment.garbage
        for entry in (layout.space_garbage(1), layout.elements_garbage(1, 1)):
            keys.txn.put(entry, b"", db=garbage)
            keys.txn.put(entry[:-1] + b"\xff", layout.with_checksum(entry, b""), db=garbage)

    store.write(damage)
    step(store)
    assert not due(store)
    assert store.read(lambda keys: strings.get(keys, b"long")) == bytes(3 * PIECE_BYTES)


def test_a_damaged_record_is_not_swept_with_what_it_names(store: Any) -> None:
    """It may name another key's elements."""
    store.write(lambda keys: strings.put(keys, b"dies", bytes(PIECE_BYTES + 1), store.now_ms + 1))
    sound = store.read(lambda keys: keys.txn.get(b"dies", db=keys.space.keys))
    store.write(lambda keys: keys.txn.put(b"dies", sound[:-1] + bytes([sound[-1] ^ 1]), db=keys.space.keys))
    store.now_ms += 5
    with store.environment.lmdb.begin() as txn:
        before = txn.stat(store.environment.spaces[1].elements)["entries"]
    transaction = store.begin()
    sweep(transaction, [WritableKeyspace(transaction, 0)], 100)
    transaction.commit()
    assert elements(store) == before
    store.write(lambda keys: strings.put(keys, b"dies", b"x") if keys.remove(b"dies") else None)
    store.write(lambda keys: keys.discard_elements(1))
