"""Sorted sets on disk, beside a dictionary and a sorted list that say what is right."""

from __future__ import annotations

from math import copysign, inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyp.errors import CommandError
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.layout import NO_DEADLINE, record_deadline_ms
from keyp.storage.types import counted, sortedsets, strings
from keyp.storage.types.elements import place_of
from keyp.storage.types.sortedsets import END, START, SortedSet, ordered, score_of, score_range
from keyp.storage.value_types import MEMBERS, ORDER, SET, ZSET
from tests.storage.conftest import NOW_MS, Store

K = b"k"
NUMBERS = st.floats(allow_nan=False)


def found(keys: Keyspace) -> SortedSet:
    zset = sortedsets.find(keys, K)
    assert zset is not None
    return zset


def fill(store: Store, scores: dict[bytes, float]) -> None:
    def change(keys: WritableKeyspace) -> None:
        zset = SortedSet(keys, K, keys.find(K, ZSET))
        for member, score in scores.items():
            old = zset.score(member)
            if old is None:
                zset.add(member, score)
            else:
                zset.change(member, old, score)
        zset.save()

    store.write(change)


def discard(store: Store, members: list[bytes]) -> None:
    def change(keys: WritableKeyspace) -> None:
        zset = SortedSet(keys, K, keys.find(K, ZSET))
        for member in members:
            score = zset.score(member)
            assert score is not None
            zset.discard(member, score)
        zset.save()

    store.write(change)


def in_order(scores: dict[bytes, float]) -> list[tuple[bytes, float]]:
    return sorted(scores.items(), key=lambda element: (element[1], place_of(element[0])))


def assert_holds(store: Store, scores: dict[bytes, float], random: Random) -> None:
    expected = in_order(scores)

    def look(keys: Keyspace) -> None:
        zset = found(keys)
        count = len(expected)
        assert zset.count == count
        assert {member: zset.score(member) for member in scores} == scores
        assert zset.between(START, END, count + 1) == expected
        assert zset.between_back(START, END, count + 1) == expected[::-1]
        assert sorted(zset.members(b"", count + 1)) == sorted(expected)
        for _ in range(20):
            one, other = sorted([random.randrange(count), random.randrange(count)])
            low, high = zset.place(*expected[one]), zset.place(*expected[other])
            assert zset.rank(low) == one
            limit = random.randrange(1, count + 2)
            assert zset.between(low, high, limit) == expected[one:other][:limit]
            assert zset.between_back(low, high, limit) == expected[one:other][::-1][:limit]
            assert zset.count_between(low, high) == other - one
            assert zset.by_rank(one, limit) == expected[one : one + limit]
            assert zset.by_rank_back(one, limit) == expected[::-1][one : one + limit]

    store.read(look)


@given(one=NUMBERS, other=NUMBERS)
def test_the_order_of_bytes_is_the_order_of_numbers(one: float, other: float) -> None:
    assert score_of(ordered(one) + b"m") == one
    assert (ordered(one) < ordered(other)) == (one < other)
    assert (ordered(one) == ordered(other)) == (one == other)


@pytest.mark.parametrize("score", [inf, 1.7976931348623157e308, 1e-320, 5e-324, 0.0, 1.0])
def test_extreme_scores(score: float) -> None:
    assert START < ordered(-score) <= ordered(0.0) <= ordered(score) < END
    assert score_of(ordered(score)) == score
    assert score_of(ordered(-score)) == -score
    assert copysign(1, score_of(ordered(-0.0))) == 1


def test_ranges_of_scores() -> None:
    for score in (-inf, -1.5, 0.0, 2.0, inf):
        low, high = score_range(score, False, score, False)
        assert low <= ordered(score) < ordered(score) + b"\xff" * 480 < high
        assert score_range(score, True, score, True) == (high, low)
    assert score_range(-0.0, False, -0.0, False) == score_range(0.0, False, 0.0, False)


@pytest.mark.parametrize("run_max", [4, 16, counted.RUN_MAX])
def test_members_come_move_and_go(store: Store, monkeypatch: pytest.MonkeyPatch, run_max: int) -> None:
    monkeypatch.setattr(counted, "RUN_MAX", run_max)
    random = Random(run_max)
    names = [b"%d" % number for number in range(400)] + [b"", b"\0", b"x" * 479, b"x" * 480, b"x" * 448 + b"y" * 900]
    scores: dict[bytes, float] = {}
    for _ in range(12):
        coming = {name: random.choice([random.uniform(-9, 9), 0.0, inf, -inf]) for name in random.sample(names, 60)}
        fill(store, coming)
        scores.update(coming)
        assert_holds(store, scores, random)
        a_little = {name: score + random.choice([0.0, 0.1]) for name, score in scores.items()}
        fill(store, a_little)
        scores = a_little
        going = random.sample(sorted(scores), len(scores) // 3)
        discard(store, going)
        scores = {name: score for name, score in scores.items() if name not in going}
        assert_holds(store, scores, random)
        assert store.problems() == []
    discard(store, list(scores))
    assert store.read(lambda keys: sortedsets.find(keys, K)) is None


@pytest.mark.parametrize("size", [10, 300, 3000])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.2, 0.3), (0.1, 0.9), (0, 0.97), (0.03, 1), (0.5, 0.5)])
def test_ranges_go(store: Store, size: int, low: float, high: float) -> None:
    """Little or much of a set; what is left keeps the deadline, what went is cleared."""
    scores = {b"m%d" % number: float(number // 3) for number in range(size)}
    fill(store, scores)
    store.write(lambda keys: keys.touch(K, keys.find(K) or b"", NOW_MS + 1000))
    expected = in_order(scores)
    first, stop = int(low * size), int(high * size)

    def change(keys: WritableKeyspace) -> int:
        zset = found(keys)
        places = [zset.place(*element) for element in expected] + [END]
        gone = zset.remove_between(places[first], places[stop])
        zset.save()
        return gone

    transaction = store.begin()
    assert change(WritableKeyspace(transaction, 0)) == stop - first
    transaction.commit()
    assert store.problems() == []
    left = dict(expected[:first] + expected[stop:])
    if left:
        assert_holds(store, left, Random(1))
        assert store.read(lambda keys: record_deadline_ms(keys.find(K) or b"")) == NOW_MS + 1000
    else:
        assert store.read(lambda keys: keys.find(K)) is None


def test_forms(store: Store) -> None:
    """Compact up to a number of elements and a length of members; never again when it once was not."""

    def is_compact() -> bool:
        return bool(store.read(lambda keys: found(keys).is_compact))

    fill(store, {b"x" * 64: 1.0, b"zero": -0.0})
    assert is_compact()
    assert str(store.read(lambda keys: found(keys).score(b"zero"))) == "0.0"
    fill(store, {b"x" * 65: 1.0, b"other": -0.0, b"y" * 500: -0.0})
    assert not is_compact()
    assert str(store.read(lambda keys: found(keys).score(b"other"))) == "-0.0"
    everything = store.read(lambda keys: found(keys).between(START, END, 9))
    assert [str(score) for _, score in everything] == ["-0.0", "-0.0", "0.0", "1.0", "1.0"]
    discard(store, [b"x" * 65, b"y" * 500])
    assert not is_compact()
    store.write(lambda keys: keys.remove(K))
    fill(store, {b"%d" % number: 0.0 for number in range(128)})
    assert is_compact()
    fill(store, {b"one more": 0.0})
    assert not is_compact()


def test_replacing(store: Store) -> None:
    """Whatever was there goes, its deadline too."""
    fill(store, {b"old": 1.0})
    store.write(lambda keys: keys.touch(K, keys.find(K) or b"", NOW_MS + 1000))
    store.write(lambda keys: sortedsets.replace(keys, K, [(b"b", 2.0), (b"a", 2.0), (b"c", -1.0)]))
    assert_holds(store, {b"b": 2.0, b"a": 2.0, b"c": -1.0}, Random(1))
    assert store.read(lambda keys: record_deadline_ms(keys.find(K) or b"")) == NO_DEADLINE
    many = {b"m%d" % number: float(-number) for number in range(1000)}
    store.write(lambda keys: sortedsets.replace(keys, K, list(many.items())))
    assert_holds(store, many, Random(1))
    assert not store.read(lambda keys: found(keys).is_compact)
    store.write(lambda keys: strings.put(keys, K, bytes(100_000), NOW_MS + 1000))
    store.write(lambda keys: sortedsets.replace(keys, K, [(b"a", 1.0)]))
    assert_holds(store, {b"a": 1.0}, Random(1))


def test_a_neighbour_is_not_looked_at(store: Store) -> None:
    """The sections of one collection, and other collections, end a walk."""
    fill(store, {b"a": 1.0, b"b": 2.0})
    store.write(lambda keys: sortedsets.replace(keys, b"other", [(b"z", 9.0)]))
    look = store.read
    assert look(lambda keys: found(keys).between(ordered(3.0), END, 9)) == []
    assert look(lambda keys: found(keys).between(ordered(2.0), START, 9)) == []
    assert look(lambda keys: found(keys).between_back(START, ordered(1.0), 9)) == []
    assert look(lambda keys: found(keys).between_back(START, END, 9)) == [(b"b", 2.0), (b"a", 1.0)]
    assert look(lambda keys: found(keys).between(START, END, 0)) == []
    assert look(lambda keys: found(keys).between_back(START, END, 0)) == []
    assert look(lambda keys: found(keys).by_rank(2, 1)) == look(lambda keys: found(keys).by_rank_back(-1, 1)) == []
    store.write(lambda keys: keys.remove(b"other"))
    assert look(lambda keys: found(keys).between_back(START, END, 9)) == [(b"b", 2.0), (b"a", 1.0)]


def test_damage_is_found(store: Store) -> None:
    fill(store, {b"a": 1.0, b"b": 2.0})

    def spoil(keys: WritableKeyspace) -> None:
        zset = found(keys)
        zset.put(MEMBERS + b"a", b"short")
        zset.txn.put(zset.id + ORDER + ordered(2.0) + b"b", b"abcd", db=zset.database)

    store.write(spoil)
    with pytest.raises(Damaged):
        store.read(lambda keys: found(keys).score(b"a"))
    with pytest.raises(Damaged):
        store.read(lambda keys: found(keys).between(START, END, 2))
    assert any("not this score" in problem for problem in store.problems())
    assert any("not what was written" in problem for problem in store.problems())
    store.write(lambda keys: keys.remove(K))


def test_a_score_that_does_not_stand_in_the_order_is_a_problem(store: Store) -> None:
    fill(store, {b"a": 1.0, b"b": 2.0})
    store.write(lambda keys: found(keys)._put_score(b"a", b"a", 1.5))
    assert store.problems() == ["keys:1 'k': collection 1 has an element in its order that has not this score"]
    store.write(lambda keys: found(keys)._put_score(b"a", b"a", 1.0))


def test_a_key_of_another_type(store: Store) -> None:
    store.write(lambda keys: keys.put(K, None, SET, 0, b""))
    with pytest.raises(CommandError, match="WRONGTYPE"):
        store.read(lambda keys: sortedsets.find(keys, K))
    store.write(lambda keys: keys.remove(K))
