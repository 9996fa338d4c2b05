"""Hashes in the store beside a dictionary: the same changes, the same contents, and a sound store."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from keyp.errors import WRONG_TYPE, CommandError
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.types import hashes, strings
from keyp.storage.types.members import COMPACT, LARGE
from tests.storage.conftest import Store, StoreMachine

FIELDS = st.one_of(
    st.sampled_from([b"", b"a", b"b", b"\0", b"\xff", b"x" * 479, b"x" * 480, b"x" * 448 + b"y" * 200, b"x" * 64]),
    st.integers(0, 400).map(lambda number: b"f%d" % number),
)
VALUES = st.one_of(st.binary(max_size=6), st.sampled_from([b"v" * 64, b"v" * 65, b"v" * 5000]))


class HashMachine(StoreMachine):
    """One hash and the dictionary that says what is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[bytes, bytes] = {}
        self.large = False

    @rule(fields=st.dictionaries(FIELDS, VALUES, min_size=1, max_size=8))
    def set(self, fields: dict[bytes, bytes]) -> None:
        self.write_all(fields)

    @rule(start=st.integers(0, 400), count=st.integers(100, 400))
    def set_many(self, start: int, count: int) -> None:
        self.write_all({b"f%d" % number: b"%d" % count for number in range(start, start + count)})

    def write_all(self, fields: dict[bytes, bytes]) -> None:
        def change(keys: WritableKeyspace) -> None:
            found = hashes.find_or_make(keys, b"h")
            for field, value in fields.items():
                assert found.set(field, value) == (field not in self.model)
                self.model[field] = value
                self.note_form(field, value)
            found.save()

        self.store.write(change)

    @rule(field=FIELDS, value=VALUES)
    def set_if_new(self, field: bytes, value: bytes) -> None:
        def change(keys: WritableKeyspace) -> None:
            found = hashes.find_or_make(keys, b"h")
            assert found.set_if_new(field, value) == (field not in self.model)
            found.save()

        self.store.write(change)
        if field not in self.model:
            self.model[field] = value
            self.note_form(field, value)

    def note_form(self, field: bytes, value: bytes) -> None:
        self.large |= max(len(field), len(value)) > 64 or len(self.model) > 512

    @rule(fields=st.lists(FIELDS, min_size=1, max_size=8))
    def discard(self, fields: list[bytes]) -> None:
        def change(keys: WritableKeyspace) -> None:
            found = hashes.find(keys, b"h")
            assert (found is None) == (not self.model)
            if found is not None:
                assert [found.discard(field) for field in fields] == [self.forget(field) for field in fields]
                found.save()

        self.store.write(change)

    @rule(start=st.integers(0, 400), count=st.integers(50, 400))
    def discard_many(self, start: int, count: int) -> None:
        self.discard_all(start, count)

    def discard_all(self, start: int, count: int) -> None:
        def change(keys: WritableKeyspace) -> None:
            found = hashes.find_or_make(keys, b"h")
            for number in range(start, start + count):
                field = b"f%d" % number
                assert found.discard(field) == self.forget(field)
            found.save()

        self.store.write(change)

    def forget(self, field: bytes) -> bool:
        was_there = self.model.pop(field, None) is not None
        self.large &= bool(self.model)
        return was_there

    @rule(fields=st.lists(FIELDS, min_size=1, max_size=8))
    def look(self, fields: list[bytes]) -> None:
        def compare(keys: Keyspace) -> None:
            found = hashes.find(keys, b"h")
            if found is not None:
                assert [found.value(field) for field in fields] == [self.model.get(field) for field in fields]
                assert [found.has(field) for field in fields] == [field in self.model for field in fields]

        self.store.read(compare)

    @rule(random=st.randoms(use_true_random=False))
    def look_at_ranks(self, random: Random) -> None:
        def compare(keys: Keyspace) -> None:
            found = hashes.find(keys, b"h")
            if found is not None:
                size = len(self.model)
                ranks = sorted(random.sample(range(size), random.randrange(size + 1)))
                entries = found.all()
                places = found.places_at(ranks)
                assert [found.entry(place) for place in places] == [entries[rank] for rank in ranks]
                assert found.names_at(places) == [entries[rank][0] for rank in ranks]

        self.store.read(compare)

    @invariant()
    def same_contents(self) -> None:
        def compare(keys: Keyspace) -> None:
            found = hashes.find(keys, b"h")
            assert (found is None) == (not self.model)
            if found is not None:
                assert found.count == len(self.model)
                assert dict(found.all()) == self.model
                assert sorted(found.names()) == sorted(self.model)
                assert found.form == (LARGE if self.large else COMPACT)

        self.store.read(compare)


TestHashes = HashMachine.TestCase


def fill(store: Store, count: int, size: int = 1) -> None:
    def change(keys: WritableKeyspace) -> None:
        found = hashes.find_or_make(keys, b"h")
        for number in range(count):
            found.set(b"%06d" % number, bytes(size))
        found.save()

    store.write(change)


def test_more_than_is_read_at_once(store: Store) -> None:
    fill(store, 3000)
    fields = [b"%06d" % number for number in range(3000)]

    def look(keys: Keyspace) -> None:
        found = hashes.find(keys, b"h")
        assert found is not None
        assert found.all() == [(field, b"\0") for field in fields]
        assert found.names() == fields
        assert [len(entries) for entries in found.slices()] == [1024, 1024, 952]
        for ranks in ([0], [2999], [0, 2999], list(range(3000)), list(range(100, 2900, 50)), [5, 6, 7, 1030, 1031]):
            assert found.places_at(ranks) == [fields[rank] for rank in ranks]
        assert found.places_at([]) == []

    store.read(look)


def test_a_hash_is_of_its_type(store: Store) -> None:
    store.write(lambda keys: strings.put(keys, b"h", b"text"))
    with pytest.raises(CommandError, match=WRONG_TYPE):
        store.read(lambda keys: hashes.find(keys, b"h"))
    with pytest.raises(CommandError, match=WRONG_TYPE):
        store.write(lambda keys: hashes.find_or_make(keys, b"h"))


def look_at(store: Store, look: Callable[[Any], object]) -> None:
    store.read(lambda keys: look(hashes.find(keys, b"h")))


def test_damage(store: Store) -> None:
    fill(store, 3)

    def spoil(keys: WritableKeyspace) -> None:
        found = hashes.find_or_make(keys, b"h")
        keys.txn.put(found.id + b"m" + b"000001", b"abcd", db=found.database)
        keys.txn.delete(found.id + b"m" + b"000002", db=found.database)

    store.write(spoil)
    for look in (
        lambda found: found.value(b"000001"),
        lambda found: found.has(b"000001"),
        lambda found: found.all(),
        lambda found: list(found.slices()),
        lambda found: found.entry(b"000002"),
        lambda found: found.places_at([0, 1, 2]),
    ):
        with pytest.raises(Damaged):
            look_at(store, look)
    assert store.problems() != []
    store.write(lambda keys: keys.remove(b"h"))


TestHashes.settings = settings(max_examples=settings().max_examples // 4)
