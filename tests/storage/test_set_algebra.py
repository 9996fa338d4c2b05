"""Intersections, unions and differences beside Python's own, of sets that share little, much or all."""

from __future__ import annotations

from functools import reduce
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.types import set_algebra, sets
from keyp.storage.types.elements import Entry, place_of, with_member
from keyp.storage.types.members import opened
from keyp.storage.types.set_algebra import difference, intersection, union
from tests.storage.conftest import Store

POOL = [b"", b"a", b"\xff", b"x" * 479, *[b"x" * 448 + bytes([letter]) * 100 for letter in b"abcdef"]] + [
    b"%d" % number for number in range(30)
]


def write(store: Store, *contents: set[bytes]) -> None:
    def change(keys: WritableKeyspace) -> None:
        for index, members in enumerate(contents):
            entries = sorted((place_of(member), with_member(member, b"")) for member in members)
            sets.replace(keys, b"%d" % index, [entries])

    store.write(change)


def found(keys: Keyspace, count: int) -> list[sets.Set]:
    there = [sets.find(keys, b"%d" % index) for index in range(count)]
    return [one for one in there if one is not None]


def in_order(slices: Any) -> set[bytes]:
    """The members of a result, whose entries come in order, each once, and in no empty slice."""
    entries: list[Entry] = []
    for part in slices:
        assert part
        entries += part
    places = [place for place, _ in entries]
    assert places == sorted(set(places))
    return {member for member, _ in opened(entries)}


def compare(store: Store, contents: list[set[bytes]]) -> None:
    write(store, *contents)

    def look(keys: Keyspace) -> None:
        there = found(keys, len(contents))
        assert in_order(intersection(there)) == reduce(set.intersection, contents)
        assert in_order(union(there)) == reduce(set.union, contents)
        assert in_order(difference(there[0], there[1:])) == reduce(set.difference, contents)

    store.read(look)


@settings(max_examples=settings().max_examples, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(st.sets(st.sampled_from(POOL), min_size=1), min_size=1, max_size=5))
def test_small_sets(store: Store, contents: list[set[bytes]]) -> None:
    compare(store, contents)


@pytest.mark.parametrize("looked_up", ["in memory", "one by one"])
@pytest.mark.parametrize("seed", range(6))
def test_sets_of_many_slices(store: Store, monkeypatch: pytest.MonkeyPatch, seed: int, looked_up: str) -> None:
    if looked_up == "one by one":
        monkeypatch.setattr(set_algebra, "IN_MEMORY_MAX", 0)
    random = Random(seed)
    contents = []
    for _ in range(random.randrange(2, 5)):
        size = random.choice([10, 1000, 1024, 1025, 5000])
        most = random.choice([size, 2 * size, 20_000])
        contents.append({b"%06d" % number for number in random.sample(range(most), size)})
    compare(store, contents)


def test_sets_behind_each_other(store: Store) -> None:
    ranges = [range(0, 3000), range(3000, 3010), range(3005, 9000, 2)]
    compare(store, [{b"%06d" % number for number in numbers} for numbers in ranges])


def test_the_same_set_several_times(store: Store) -> None:
    members = {b"%06d" % number for number in range(2500)}
    write(store, members)

    def look(keys: Keyspace) -> None:
        one = found(keys, 1)
        assert in_order(union(one * 3)) == in_order(intersection(one * 3)) == members
        assert in_order(difference(one[0], one)) == set()

    store.read(look)
