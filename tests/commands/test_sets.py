"""Chance and size; replies and errors are in `tests/differential/rows/sets.txt`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyp.command.random_elements import REPEATED_MAX
from tests.commands.conftest import Keyp

MEMBERS = st.sampled_from([b"", b"a", b"b", b"c", b"1", b"2", b"x" * 480, b"x" * 600])
KEYS = st.sampled_from(["s", "t"])


def fill(keyp: Keyp, count: int, key: str = "s") -> None:
    keyp.run("SADD", key, *[b"%06d" % number for number in range(count)])


CALLS = st.one_of(
    st.tuples(st.just("SADD"), KEYS, st.lists(MEMBERS, min_size=1, max_size=5)),
    st.tuples(st.just("SREM"), KEYS, st.lists(MEMBERS, min_size=1, max_size=5)),
    st.tuples(st.just("SMISMEMBER"), KEYS, st.lists(MEMBERS, min_size=1, max_size=5)),
    st.tuples(st.just("SMOVE"), KEYS, st.tuples(KEYS, MEMBERS)),
    st.tuples(st.just("SPOP"), KEYS, st.integers(0, 6).map(lambda count: [count])),
    st.tuples(st.just("SRANDMEMBER"), KEYS, st.integers(-4, 6).map(lambda count: [count])),
)


def check(model: dict[str, set[bytes]], name: str, key: str, rest: Any, reply: Any) -> None:
    """Compares a reply with what Python's sets say, and changes them."""
    there = model[key]
    if name == "SADD":
        assert reply == len(set(rest) - there)
        there.update(rest)
    elif name == "SREM":
        assert reply == len(there & set(rest))
        there.difference_update(rest)
    elif name == "SMISMEMBER":
        assert reply == [int(member in there) for member in rest]
    elif name == "SMOVE":
        target, member = rest
        assert reply == int(member in there)
        if member in there:
            there.discard(member)
            model[target].add(member)
    elif name == "SPOP":
        assert len(reply) == min(rest[0], len(there))
        assert reply <= there
        there.difference_update(reply)
    else:
        assert set(reply) <= there
        assert len(reply) == (0 if not there else -rest[0] if rest[0] < 0 else min(rest[0], len(there)))
        assert rest[0] < 0 or len(set(reply)) == len(reply)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(CALLS, max_size=12))
def test_beside_pythons_sets(keyp: Keyp, calls: list[tuple[str, str, Any]]) -> None:
    keyp.run("FLUSHALL")
    model: dict[str, set[bytes]] = {"s": set(), "t": set()}
    for name, key, rest in calls:
        check(model, name, key, rest, keyp.answer(f"{name} {key}", *rest))
        for other, members in model.items():
            assert keyp.answer(f"SMEMBERS {other}") == members
            assert keyp.answer(f"SCARD {other}") == len(members)
            assert keyp.answer(f"EXISTS {other}") == (1 if members else 0)


@pytest.mark.parametrize("size", [1, 3, 100, 3000])
@pytest.mark.parametrize("count", [1, 2, 50, 99, 100, 2600, 2999, 3000, 5000])
def test_draw_and_pop(keyp: Keyp, size: int, count: int) -> None:
    fill(keyp, size)
    everything = keyp.answer("SMEMBERS s")
    drawn = keyp.answer(f"SRANDMEMBER s {count}")
    assert len(drawn) == len(set(drawn)) == min(size, count)
    assert set(drawn) <= everything
    popped = keyp.answer(f"SPOP s {count}")
    assert len(popped) == min(size, count)
    assert keyp.answer("SMEMBERS s") == everything - popped
    assert keyp.answer("SCARD s") == size - len(popped)
    keyp.sweep()
    assert keyp.answer("SMEMBERS s") == everything - popped


@pytest.mark.parametrize("size", [1, 3, 3000])
@pytest.mark.parametrize("count", [1, 2, 50, 4000])
def test_drawn_one_by_one(keyp: Keyp, size: int, count: int) -> None:
    fill(keyp, size)
    drawn = keyp.answer(f"SRANDMEMBER s -{count}")
    assert len(drawn) == count
    assert set(drawn) <= keyp.answer("SMEMBERS s")
    if size == 3 and count == 4000:
        assert min(Counter(drawn).values()) > 1000
        assert drawn != sorted(drawn)


def test_every_member_is_drawn_as_often(keyp: Keyp) -> None:
    fill(keyp, 10)
    drawn = Counter(keyp.answer("SRANDMEMBER s") for _ in range(2000))
    assert len(drawn) == 10
    assert min(drawn.values()) > 130
    drawn = Counter()
    for _ in range(400):
        fill(keyp, 10)
        drawn.update([keyp.answer("SPOP s"), *keyp.answer("SPOP s 2")])
    assert min(drawn.values()) > 70


def test_popping_to_the_end(keyp: Keyp) -> None:
    fill(keyp, 600)
    popped = []
    while (member := keyp.answer("SPOP s")) is not None:
        popped.append(member)
    assert sorted(popped) == [b"%06d" % number for number in range(600)]
    assert keyp.answer("EXISTS s") == 0


def test_more_than_memory_should_take(keyp: Keyp) -> None:
    fill(keyp, 2)
    assert keyp.answer(f"SRANDMEMBER s -{REPEATED_MAX + 1}") == "ERR value is out of range"
    assert keyp.answer("SRANDMEMBER s -9223372036854775807") == "ERR value is out of range"
    assert keyp.answer(f"SRANDMEMBER nosuch -{REPEATED_MAX + 1}") == []
    assert len(keyp.answer(f"SRANDMEMBER s {REPEATED_MAX + 1}")) == 2


def test_long_members(keyp: Keyp) -> None:
    members = {b"x" * 500 + b"%d" % number for number in range(9)}
    keyp.run("SADD", "s", *members)
    assert keyp.answer("SRANDMEMBER s") in members
    assert set(keyp.answer("SRANDMEMBER s -20")) <= members
    popped = keyp.answer("SPOP s 8")
    assert popped < members
    assert keyp.answer("SPOP s") in members - popped


def test_large_sets(keyp: Keyp) -> None:
    fill(keyp, 5000)
    everything = {b"%06d" % number for number in range(5000)}
    assert keyp.answer("SMEMBERS s") == everything
    assert keyp.answer("SREM s", *sorted(everything)[10:]) == 4990
    assert keyp.answer("SCARD s") == 10
    assert keyp.answer("SREM s", *sorted(everything)) == 10
    assert keyp.answer("EXISTS s") == 0
