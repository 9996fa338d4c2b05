"""Collections of elements in order: ranks, slices and counts, beside a sorted list that says what is right."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.types import counted
from keyp.storage.types.counted import FILLED, RUN_MAX, Counted
from keyp.storage.types.elements import place_of, split_member, with_member
from keyp.storage.value_types import MEMBERS, SET
from tests.storage.conftest import Store


def find(keys: Keyspace) -> Counted:
    return Counted(keys, b"k", SET, keys.find(b"k", SET), MEMBERS)


def member(number: int) -> bytes:
    return b"%08d" % number


def fill(store: Store, numbers: list[int]) -> None:
    def change(keys: WritableKeyspace) -> None:
        elements = find(keys)
        for number in numbers:
            elements.insert(member(number), b"")
        elements.save()

    store.write(change)


def empty(store: Store, numbers: list[int]) -> None:
    def change(keys: WritableKeyspace) -> None:
        elements = find(keys)
        for number in numbers:
            elements.remove(member(number))
        elements.save()

    store.write(change)


def assert_ranks(store: Store, numbers: list[int], random: Random, looks: int = 60) -> None:
    expected = sorted(numbers)

    def look(keys: Keyspace) -> None:
        elements = find(keys)
        assert elements.count == len(expected)
        for _ in range(looks):
            rank = random.randrange(len(expected))
            assert elements.at(rank) == member(expected[rank])
            number = random.randrange(-1, expected[-1] + 2)
            if number >= 0:
                assert elements.rank(member(number)) == bisect_left(expected, number)
        ranks = sorted(random.sample(range(len(expected)), min(len(expected), random.randrange(1, 700))))
        assert elements.places_at(ranks) == [member(expected[rank]) for rank in ranks]

    store.read(look)


@pytest.mark.parametrize("size", [1, 2, RUN_MAX, RUN_MAX + 1, 1000])
@pytest.mark.parametrize("order", ["up", "down", "mixed"])
def test_ranks_whatever_came_first(store: Store, size: int, order: str) -> None:
    random = Random(size)
    numbers = [3 * number for number in range(size)]
    if order == "down":
        numbers.reverse()
    elif order == "mixed":
        random.shuffle(numbers)
    fill(store, numbers)
    assert_ranks(store, numbers, random)


@pytest.mark.parametrize("run_max", [4, 5, 16])
def test_many_levels_of_short_runs(store: Store, monkeypatch: pytest.MonkeyPatch, run_max: int) -> None:
    """As in a collection of millions, with fewer elements: they come and go until none is left."""
    monkeypatch.setattr(counted, "RUN_MAX", run_max)
    random = Random(run_max)
    there: list[int] = []
    for turn in range(40):
        grows = turn < 15 or (turn < 30 and random.random() < 0.5)
        if grows:
            coming = [n for n in random.sample(range(10_000), 100) if n not in there]
            for number in coming:
                insort(there, number)
            fill(store, coming)
        else:
            at = random.randrange(len(there))
            going = there[at : at + 100] if random.random() < 0.6 else random.sample(there, min(100, len(there)))
            there = [n for n in there if n not in set(going)]
            empty(store, going)
        if not there:
            break
        assert_ranks(store, there, random)
        assert store.problems() == []
    while there:
        going = random.sample(there, min(90, len(there)))
        there = [n for n in there if n not in set(going)]
        empty(store, going)
    assert store.read(lambda keys: keys.find(b"k")) is None
    fill(store, [1, 2, 3])
    assert_ranks(store, [1, 2, 3], random)


@pytest.mark.parametrize("size", [0, 1, RUN_MAX, RUN_MAX + 1, 2 * FILLED, 2 * FILLED + 1, 5000, FILLED * RUN_MAX + 3])
def test_ranks_of_what_was_filled_at_once(store: Store, size: int) -> None:
    """Elements go on coming and going afterwards."""
    random = Random(size)
    there = [3 * number for number in range(size)]

    def change(keys: WritableKeyspace) -> None:
        elements = find(keys)
        entries = [(member(number), b"") for number in there]
        elements.fill([entries[at : at + 1000] for at in range(0, size, 1000)])
        elements.save()

    store.write(change)
    assert store.problems() == []
    if there:
        assert_ranks(store, there, random)
    coming = [3 * number + 1 for number in range(min(size, 700))] + [1]
    coming = sorted(set(coming))
    fill(store, coming)
    there = sorted(there + coming)
    assert_ranks(store, there, random)
    random.shuffle(there)
    third = len(there) // 3
    empty(store, there[:third])
    assert store.problems() == []
    assert_ranks(store, there[third:], random)


@pytest.mark.parametrize("size", [1, 5, 16, 17, 64, 65, 300, 1000])
def test_many_levels_filled_at_once(store: Store, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(counted, "RUN_MAX", 4)
    monkeypatch.setattr(counted, "FILLED", 3)
    random = Random(size)
    store.write(lambda keys: find(keys).save())

    def change(keys: WritableKeyspace) -> None:
        elements = find(keys)
        elements.fill([[(member(2 * number), b"")] for number in range(size)])
        elements.save()

    store.write(change)
    assert store.problems() == []
    assert_ranks(store, [2 * number for number in range(size)], random)
    fill(store, [2 * number + 1 for number in range(size)])
    assert_ranks(store, list(range(2 * size)), random)
    assert store.problems() == []
    empty(store, list(range(1, 2 * size)))
    assert_ranks(store, [0], random)


def test_elements_that_may_be_there(store: Store) -> None:
    fill(store, [1, 2, 3])

    def change(keys: WritableKeyspace) -> None:
        elements = find(keys)
        assert not elements.insert_if_new(member(2), b"x")
        assert elements.insert_if_new(member(4), b"x")
        assert not elements.insert_or_replace(member(1), b"y")
        assert elements.insert_or_replace(member(5), b"y")
        assert elements.remove_if_there(member(3))
        assert not elements.remove_if_there(member(3))
        elements.save()

    store.write(change)
    found = store.read(lambda keys: find(keys).forward(MEMBERS, b"", 9))
    assert found == [(member(1), b"y"), (member(2), b""), (member(4), b"x"), (member(5), b"y")]


def test_places_of_members_of_any_length(store: Store) -> None:
    members = [b"", b"\0", b"a", b"a" * 479, b"a" * 480, b"a" * 448 + b"b" * 5000, b"b", b"\xff" * 479]
    places = [place_of(one) for one in members]
    assert len(set(places)) == len(places)
    assert places[:4] == sorted(places[:4])

    def change(keys: WritableKeyspace) -> None:
        elements = find(keys)
        for one in members:
            elements.insert(place_of(one), with_member(one, b"data of " + one[:3]))
        elements.save()

    store.write(change)
    found = store.read(lambda keys: [split_member(*entry) for entry in find(keys).forward(MEMBERS, b"", 100)])
    assert sorted(found) == sorted([(one, b"data of " + one[:3]) for one in members])
    backwards = store.read(lambda keys: [split_member(*entry) for entry in find(keys).backward(MEMBERS, None, 100)])
    assert backwards == found[::-1]


def test_slices_stop_at_the_end_of_the_section(store: Store) -> None:
    fill(store, [1, 2, 3])

    def other(keys: WritableKeyspace) -> None:
        elements = Counted(keys, b"other", SET, None, MEMBERS)
        elements.insert(b"x", b"")
        elements.put(b"o" + b"y", b"")
        elements.save()

    store.write(other)
    look = store.read
    assert look(lambda keys: find(keys).forward(MEMBERS, b"", 100)) == [(member(n), b"") for n in (1, 2, 3)]
    assert look(lambda keys: find(keys).forward(MEMBERS, member(4), 100)) == []
    assert look(lambda keys: find(keys).backward(MEMBERS, member(0), 100)) == []
    assert look(lambda keys: find(keys).backward(MEMBERS, b"\xff", 1)) == [(member(3), b"")]
    assert look(lambda keys: find(keys).places(MEMBERS, b"", 100)) == [member(n) for n in (1, 2, 3)]
    store.write(lambda keys: keys.remove(b"other"))


def look_at(store: Store, look: Callable[[Any], object]) -> None:
    store.read(lambda keys: look(find(keys)))


def test_an_element_that_has_changed_is_damage(store: Store) -> None:
    fill(store, [1, 2, 3])

    def spoil(keys: WritableKeyspace) -> None:
        elements = find(keys)
        assert keys.space is not None
        keys.txn.put(elements.id + b"m" + member(2), b"abcd", db=keys.space.elements)

    store.write(spoil)
    for look in (lambda e: e.get(b"m" + member(2)), lambda e: e.forward(MEMBERS, b"", 3), lambda e: e.must_get(b"mx")):
        with pytest.raises(Damaged):
            look_at(store, look)
    assert any("not what was written" in problem for problem in store.problems())
    empty(store, [2])
