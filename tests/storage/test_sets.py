"""Sets in the store beside Python's own: the same changes, the same contents, and a sound store."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from keyp.errors import WRONG_TYPE, CommandError
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb.layout import NO_DEADLINE
from keyp.storage.types import hashes, sets, strings
from keyp.storage.types.elements import Entry, place_of, with_member
from keyp.storage.types.members import COMPACT, INTEGERS, LARGE
from keyp.storage.value_types import MEMBERS
from tests.storage.conftest import NOW_MS, Store, StoreMachine

MEMBERS_DRAWN = st.one_of(
    st.sampled_from([b"", b"a", b"b", b"\0", b"\xff", b"01", b"x" * 479, b"x" * 480, b"x" * 448 + b"y" * 200]),
    st.integers(-3, 600).map(lambda number: b"%d" % number),
)


class SetMachine(StoreMachine):
    """One set and Python's, which says what is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.model: set[bytes] = set()

    @rule(members=st.lists(MEMBERS_DRAWN, min_size=1, max_size=8))
    def add(self, members: list[bytes]) -> None:
        self.add_all(members)

    @rule(start=st.integers(0, 400), count=st.integers(100, 500))
    def add_many(self, start: int, count: int) -> None:
        self.add_all([b"%d" % number for number in range(start, start + count)])

    def add_all(self, members: list[bytes]) -> None:
        def change(keys: WritableKeyspace) -> None:
            found = sets.find_or_make(keys, b"s")
            for member in members:
                assert found.add(member) == (member not in self.model)
                self.model.add(member)
            found.save()

        self.store.write(change)

    @rule(members=st.lists(MEMBERS_DRAWN, min_size=1, max_size=8))
    def discard(self, members: list[bytes]) -> None:
        def change(keys: WritableKeyspace) -> None:
            found = sets.find_or_make(keys, b"s")
            for member in members:
                assert found.discard(member) == (member in self.model)
                self.model.discard(member)
            found.save()

        self.store.write(change)

    @rule(part=st.floats(0, 1), random=st.randoms(use_true_random=False))
    def pop(self, part: float, random: Random) -> None:
        """Few, most, or anything between, but never all."""
        if len(self.model) < 2:
            return
        count = min(len(self.model) - 1, max(1, int(len(self.model) * part)))

        def change(keys: WritableKeyspace) -> None:
            found = sets.find(keys, b"s")
            assert found is not None
            ranks = sorted(random.sample(range(found.count), count))
            members = [member for member, _ in found.all()]
            popped = found.pop(ranks)
            assert popped == [members[rank] for rank in ranks]
            self.model.difference_update(popped)
            found.save()

        self.store.write(change)

    @rule(members=st.sets(MEMBERS_DRAWN), start=st.integers(0, 400), count=st.sampled_from([0, 0, 100, 2000]))
    def replace(self, members: set[bytes], start: int, count: int) -> None:
        self.model = members | {b"%d" % number for number in range(start, start + count)}
        entries = sorted((place_of(member), with_member(member, b"")) for member in self.model)

        def change(keys: WritableKeyspace) -> None:
            stored = sets.replace(keys, b"s", [entries[at : at + 100] for at in range(0, len(entries), 100)])
            assert stored == len(self.model)
            if not stored:
                keys.remove(b"s")

        self.store.write(change)

    @rule()
    def sweep(self) -> None:
        self.store.sweep()

    @rule(members=st.lists(MEMBERS_DRAWN, min_size=1, max_size=8))
    def look(self, members: list[bytes]) -> None:
        def compare(keys: Keyspace) -> None:
            found = sets.find(keys, b"s")
            if found is not None:
                assert [found.has(member) for member in members] == [member in self.model for member in members]

        self.store.read(compare)

    @invariant()
    def same_contents(self) -> None:
        def compare(keys: Keyspace) -> None:
            found = sets.find(keys, b"s")
            assert (found is None) == (not self.model)
            if found is not None:
                entries = found.all()
                assert found.count == len(entries)
                assert {member for member, _ in entries} == self.model
                assert [place_of(member) for member, _ in entries] == sorted(map(place_of, self.model))
                rank = found.count // 2
                assert found.entry(found.at(rank)) == entries[rank]

        self.store.read(compare)


TestSets = SetMachine.TestCase
TestSets.settings = settings(max_examples=settings().max_examples // 3)


def form(store: Store, key: bytes = b"s") -> int:
    def look(keys: Keyspace) -> int:
        found = sets.find(keys, key)
        assert found is not None
        return found.form

    return int(store.read(look))


def add(store: Store, *members: bytes, key: bytes = b"s") -> None:
    def change(keys: WritableKeyspace) -> None:
        found = sets.find_or_make(keys, key)
        for member in members:
            found.add(member)
        found.save()

    store.write(change)


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


FORMS = [
    ([b"1"], INTEGERS),
    ([b"0", b"-1", b"9223372036854775807", b"-9223372036854775808"], INTEGERS),
    (numbers(512), INTEGERS),
    (numbers(513), LARGE),
    ([b"9223372036854775808"], COMPACT),
    ([b"-9223372036854775809"], COMPACT),
    ([b"1", b"01"], COMPACT),
    ([b"-0"], COMPACT),
    ([b"+1"], COMPACT),
    ([b" 1"], COMPACT),
    ([b"1\n"], COMPACT),
    ([b""], COMPACT),
    ([b"-"], COMPACT),
    ([b"x" * 64], COMPACT),
    ([b"x" * 65], LARGE),
    ([b"1" * 65], LARGE),
    ([b"x" * 600], LARGE),
    ([*numbers(127), b"x"], COMPACT),
    ([*numbers(128), b"x"], LARGE),
    ([b"x", *numbers(127)], COMPACT),
    ([b"x", *numbers(128)], LARGE),
]


@pytest.mark.parametrize(("members", "expected"), FORMS, ids=range(len(FORMS)))
def test_forms(store: Store, members: list[bytes], expected: int) -> None:
    """Whether the members come one by one or as a result."""
    add(store, *members)
    assert form(store) == expected
    entries = sorted((place_of(member), with_member(member, b"")) for member in members)
    store.write(lambda keys: sets.replace(keys, b"t", [entries]))
    assert form(store, b"t") == expected


def test_forms_do_not_become_compact_again(store: Store) -> None:
    add(store, b"1", b"x", b"y" * 65)

    def discard(member: bytes) -> None:
        def change(keys: WritableKeyspace) -> None:
            found = sets.find_or_make(keys, b"s")
            found.discard(member)
            found.save()

        store.write(change)

    discard(b"y" * 65)
    assert form(store) == LARGE
    discard(b"x")
    assert form(store) == LARGE
    discard(b"1")
    add(store, b"1")
    assert form(store) == INTEGERS


def found_set(keys: Keyspace, key: bytes) -> sets.Set:
    found = sets.find(keys, key)
    assert found is not None
    return found


def test_what_is_replaced_is_left_to_the_sweeper(store: Store) -> None:
    entries: list[Entry] = [(b"a", b""), (b"b", b"")]

    def fill(keys: WritableKeyspace) -> None:
        strings.put(keys, b"s", bytes(200_000), NOW_MS + 1000)
        found = hashes.find_or_make(keys, b"h")
        found.set(b"field", b"value")
        found.save(NOW_MS + 1000)

    store.write(fill)
    store.write(lambda keys: sets.replace(keys, b"s", [entries]))
    assert store.problems() == []
    store.write(lambda keys: sets.replace(keys, b"h", [entries]))
    assert store.problems() == []
    assert store.read(lambda keys: found_set(keys, b"s").all()) == entries
    assert store.read(lambda keys: found_set(keys, b"h").all()) == entries
    assert store.read(lambda keys: keys.next_deadline_ms()) == NO_DEADLINE
    store.sweep()

    def left(keys: Keyspace) -> int:
        assert keys.space is not None
        return int(keys.txn.stat(keys.space.elements)["entries"])

    assert store.read(left) == 4


def test_a_set_replaced_by_its_own_entries(store: Store) -> None:
    add(store, *numbers(3000))

    def change(keys: WritableKeyspace) -> None:
        found = sets.find(keys, b"s")
        assert found is not None
        assert sets.replace(keys, b"s", found.slices()) == 3000

    store.write(change)
    store.sweep()
    assert {member for member, _ in store.read(lambda keys: found_set(keys, b"s").all())} == set(numbers(3000))


def test_nothing_replaces_nothing(store: Store) -> None:
    add(store, b"a")
    store.write(lambda keys: sets.replace(keys, b"s", []))
    assert store.read(lambda keys: found_set(keys, b"s").forward(MEMBERS, b"", 5)) == [(b"a", b"")]


def test_a_set_is_of_its_type(store: Store) -> None:
    store.write(lambda keys: strings.put(keys, b"s", b"text"))
    with pytest.raises(CommandError, match=WRONG_TYPE):
        store.read(lambda keys: sets.find(keys, b"s"))
    with pytest.raises(CommandError, match=WRONG_TYPE):
        store.write(lambda keys: sets.find_or_make(keys, b"s"))
