"""Sorted sets beside a dictionary, random members, scanning: what rows against a real server cannot say."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyp.command.random_elements import REPEATED_MAX
from keyp.storage.types import counted
from tests.commands.conftest import Keyp
from tests.commands.sortedset_model import Model

K = b"k"
MEMBERS = st.sampled_from([b"%02d" % index for index in range(40)] + [b"", b"\xff", b"x" * 479])
SCORES = st.one_of(
    st.sampled_from([b"0", b"1", b"-1", b"inf", b"-inf", b"2.5"]), st.integers(-9, 9).map(lambda number: b"%d" % number)
)
SMALL = st.integers(-45, 45).map(lambda number: b"%d" % number)
BOUNDS = st.one_of(SCORES, SCORES.map(lambda score: b"(" + score))
LIMITS: Any = st.one_of(
    st.just([]), st.tuples(st.integers(0, 30), st.integers(-1, 12)).map(lambda pair: [b"LIMIT", *map(_digits, pair)])
)
WITH = st.sampled_from([[], [b"WITHSCORES"]])


def _digits(number: int) -> bytes:
    return b"%d" % number


def calls(name: bytes, *parts: Any) -> Any:
    """Calls of one command on the key; parts are words or lists of words."""
    return st.tuples(*parts).map(
        lambda found: [name, K, *[word for part in found for word in (part if isinstance(part, list) else [part])]]
    )


PAIRS = st.lists(st.tuples(SCORES, MEMBERS), min_size=1, max_size=20).map(
    lambda found: [word for pair in found for word in pair]
)
OPTIONS = st.sampled_from([[], [b"NX"], [b"XX"], [b"GT"], [b"LT", b"CH"], [b"XX", b"GT", b"CH"], [b"CH"]])
CALLS = st.one_of(
    calls(b"ZADD", PAIRS),
    calls(b"ZADD", OPTIONS, PAIRS),
    calls(b"ZADD", OPTIONS, st.just(b"INCR"), SCORES, MEMBERS),
    calls(b"ZINCRBY", SCORES, MEMBERS),
    calls(b"ZREM", st.lists(MEMBERS, min_size=1, max_size=6)),
    calls(b"ZSCORE", MEMBERS),
    calls(b"ZRANK", MEMBERS),
    calls(b"ZREVRANK", MEMBERS),
    calls(b"ZRANGE", SMALL, SMALL, WITH),
    calls(b"ZREVRANGE", SMALL, SMALL, WITH),
    calls(b"ZRANGEBYSCORE", BOUNDS, BOUNDS, LIMITS, WITH),
    calls(b"ZREVRANGEBYSCORE", BOUNDS, BOUNDS, LIMITS, WITH),
    calls(b"ZCOUNT", BOUNDS, BOUNDS),
    calls(b"ZREMRANGEBYRANK", SMALL, SMALL),
    calls(b"ZREMRANGEBYSCORE", BOUNDS, BOUNDS),
    calls(b"ZPOPMIN", st.sampled_from([b"0", b"1", b"5", b"30"])),
    calls(b"ZPOPMAX", st.sampled_from([b"1", b"7"])),
)


@pytest.mark.parametrize("run_max", [4, counted.RUN_MAX])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(CALLS, max_size=25))
def test_beside_a_dictionary(
    keyp: Keyp, monkeypatch: pytest.MonkeyPatch, run_max: int, steps: list[list[bytes]]
) -> None:
    """With short runs, as in a set of thousands, and with long ones."""
    monkeypatch.setattr(counted, "RUN_MAX", run_max)
    keyp.run(b"DEL", K)
    model = Model()
    for words in steps:
        assert keyp.answer("", *words) == model.run(words), words
        assert keyp.run(b"ZCARD", K) == len(model.scores)
    assert keyp.answer("ZRANGE k 0 -1 WITHSCORES") == [list(element) for element in model.in_order()]
    assert keyp.run(b"EXISTS", K) == bool(model.scores)
    assert keyp.problems() == []


def fill(keyp: Keyp, count: int) -> None:
    for start in range(0, count, 1000):
        words: list[Any] = []
        for number in range(start, min(count, start + 1000)):
            words += [number // 10, f"{number:06d}"]
        keyp.run("ZADD", "k", *words)


@pytest.mark.parametrize("size", [1, 50, 3000])
def test_drawing(keyp: Keyp, size: int) -> None:
    """Different members where the count is positive, any where it is negative; scores are their own."""
    fill(keyp, size)
    everyone = {f"{number:06d}".encode(): float(number // 10) for number in range(size)}
    assert keyp.answer("ZRANDMEMBER k") in everyone
    for count in (1, size // 2, size - 1, size, size + 5):
        drawn = keyp.answer(f"ZRANDMEMBER k {count}")
        assert len(drawn) == len(set(drawn)) == min(count, size)
        assert set(drawn) <= set(everyone)
    drawn = keyp.answer(f"ZRANDMEMBER k -{size + 20} WITHSCORES")
    assert len(drawn) == size + 20
    assert all(everyone[member] == score for member, score in drawn)
    assert keyp.answer(f"ZRANDMEMBER k -{REPEATED_MAX + 1}") == "ERR value is out of range"


def test_everyone_is_drawn_about_as_often(keyp: Keyp) -> None:
    fill(keyp, 10)
    counts = Counter(keyp.answer("ZRANDMEMBER k -5000"))
    assert len(counts) == 10
    assert all(300 < count < 700 for count in counts.values())


@pytest.mark.parametrize("count", [1, 7, 100, 5000])
def test_a_scan_finds_all_that_stay(keyp: Keyp, count: int) -> None:
    fill(keyp, 1000)
    found: list[bytes] = []
    cursor, turn = b"0", 0
    while True:
        cursor, part = keyp.answer(f"ZSCAN k {cursor.decode()} COUNT {count}")
        assert len(part) <= 2 * count
        found += part[::2]
        turn += 1
        keyp.run("ZADD", "k", turn, f"{turn}x", -turn, "000500")
        keyp.run("ZREM", "k", "000007")
        if cursor == b"0":
            break
    staying = {f"{number:06d}".encode() for number in range(1000)} - {b"000007"}
    assert staying <= set(found)
    assert len([member for member in found if member in staying]) == len(staying)


def test_an_unknown_cursor_begins_again(keyp: Keyp) -> None:
    fill(keyp, 200)
    assert keyp.answer("ZSCAN k 12345 COUNT 3")[1][::2] == [b"000000", b"000001", b"000002"]
