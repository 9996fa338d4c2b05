"""What a keyspace notifies of by itself: keys that are new, have expired, were missing; and what it counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keyp import events
from keyp.events import ALL, EXPIRED, GENERIC, KEY_MISS, NEW, STRING
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.keys.sweep import sweep
from keyp.storage.lmdb.transaction import ReadTransaction, WriteTransaction
from keyp.storage.types import strings
from tests.storage.conftest import NOW_MS, Store

EVERYTHING = ALL | NEW | KEY_MISS


class Listening:
    """A write transaction on database 3, and the events it has collected."""

    def __init__(self, store: Store, wanted: int = EVERYTHING) -> None:
        self.transaction = store.begin()
        self.transaction.wanted_events = wanted
        self.keys = WritableKeyspace(self.transaction, 3)

    def notified(self) -> list[tuple[str, bytes]]:
        assert all(event.database == 3 for event in self.transaction.events)
        notified = [(event.name, event.key) for event in self.transaction.events]
        self.transaction.events.clear()
        return notified


def test_new_keys(store: Store) -> None:
    listening = Listening(store)
    strings.put(listening.keys, b"a", b"1")
    strings.put(listening.keys, b"a", b"2")
    strings.append(listening.keys, b"b", b"x" * 100_000)
    strings.append(listening.keys, b"b", b"y")
    strings.set_range(listening.keys, b"c", 5, b"x")
    assert listening.notified() == [("new", b"a"), ("new", b"b"), ("new", b"c")]
    listening.transaction.commit()


def test_new_comes_before_what_the_same_command_has_told_already(store: Store) -> None:
    listening = Listening(store)
    for event_class, name, key in [
        (GENERIC, "del", b"a"),
        (KEY_MISS, "keymiss", b"a"),
        (STRING, "one", b"b"),
        (STRING, "two", b"a"),
        (STRING, "three", b"a"),
    ]:
        listening.keys.notify(event_class, name, key)
    strings.put(listening.keys, b"a", b"1")
    assert [name for name, _ in listening.notified()] == ["del", "keymiss", "one", "new", "two", "three"]
    for event_class, name in [(STRING, "one"), (EXPIRED, "expired"), (STRING, "two")]:
        listening.keys.notify(event_class, name, b"c")
    strings.put(listening.keys, b"c", b"1")
    assert [name for name, _ in listening.notified()] == ["one", "expired", "new", "two"]
    listening.transaction.commit()


def test_only_what_is_wanted(store: Store) -> None:
    listening = Listening(store, GENERIC)
    strings.put(listening.keys, b"a", b"1")
    listening.keys.notify(STRING, "set", b"a")
    listening.keys.notify(GENERIC, "del", b"a")
    assert listening.notified() == [("del", b"a")]
    listening.transaction.commit()


def mortal(*names: bytes) -> Callable[[WritableKeyspace], None]:
    """Makes keys that die at once."""

    def put(keys: WritableKeyspace) -> None:
        for name in names:
            strings.put(keys, name, b"1", NOW_MS + 1)

    return put


def test_expired_keys_that_a_write_meets(store: Store) -> None:
    store.write(mortal(b"a", b"b", b"x" * 600), 3)
    store.now_ms += 2
    listening = Listening(store)
    assert not listening.keys.remove(b"a")
    assert listening.keys.find(b"a") is None
    strings.put(listening.keys, b"b", b"2")
    assert listening.notified() == [("expired", b"a"), ("expired", b"b"), ("new", b"b")]
    assert listening.transaction.expired == 2
    listening.transaction.commit()


def test_expired_keys_that_the_sweeper_meets(store: Store) -> None:
    store.write(mortal(b"a", b"x" * 600), 3)
    store.now_ms += 2
    transaction = WriteTransaction(store.environment, store.now_ms)
    transaction.wanted_events = EVERYTHING
    assert sweep(transaction, [WritableKeyspace(transaction, index) for index in range(16)], 100) == 2
    assert [(event.event_class, event.name, event.database, event.key) for event in transaction.events] == [
        (EXPIRED, "expired", 3, b"a"),
        (EXPIRED, "expired", 3, b"x" * 600),
    ]
    transaction.commit()


def test_a_read_counts_and_tells_of_misses(store: Store) -> None:
    store.write(lambda keys: strings.put(keys, b"a", b"1"), 3)
    with ReadTransaction(store.environment, store.now_ms) as snapshot:
        snapshot.wanted_events = KEY_MISS
        keys = Keyspace(snapshot, 3)
        assert strings.get(keys, b"a") == b"1"
        assert keys.find(b"nosuch") is None
        assert (snapshot.hits, snapshot.misses) == (1, 1)
        assert [(event.name, event.key) for event in snapshot.events] == [("keymiss", b"nosuch")]
        keys.find(b"a", is_access=False)
        keys.find(b"nosuch", is_access=False)
        keys.version(b"nosuch")
        assert (snapshot.hits, snapshot.misses, len(snapshot.events)) == (1, 1, 1)


def test_a_value_with_a_deadline_is_one_hit(store: Store) -> None:
    store.write(lambda keys: strings.put(keys, b"a", b"1", NOW_MS + 1000))
    with ReadTransaction(store.environment, store.now_ms) as snapshot:
        assert strings.get(Keyspace(snapshot, 0), b"a") == b"1"
        assert (snapshot.hits, snapshot.misses) == (1, 0)


def test_a_write_neither_counts_nor_tells_of_misses_by_itself(store: Store) -> None:
    listening = Listening(store)
    transaction = listening.transaction
    listening.keys.find(b"nosuch")
    assert (transaction.hits, transaction.misses, listening.notified()) == (0, 0, [])
    listening.keys.note_read(b"nosuch", found=False)
    listening.keys.note_read(b"a", found=True)
    assert (transaction.hits, transaction.misses, listening.notified()) == (1, 1, [("keymiss", b"nosuch")])
    transaction.in_write = False  # a read beside writes
    listening.keys.find(b"nosuch")
    assert (transaction.hits, transaction.misses, listening.notified()) == (1, 2, [("keymiss", b"nosuch")])
    transaction.commit()


@pytest.mark.parametrize("letter", [letter for _, letter in events.LETTERS + events.TARGETS])
def test_every_class_has_its_letter(letter: str) -> None:
    classes = events.parse_classes(letter)
    assert classes
    assert events.show_classes(classes) == letter


def test_letters_that_stand_for_nothing() -> None:
    assert [events.parse_classes(text) for text in ("a", "K E", "KEq", "\xe9")] == [None] * 4
    assert events.parse_classes("") == 0
