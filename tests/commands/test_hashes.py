"""HRANDFIELD and what rows cannot say; replies and errors are in `tests/differential/rows/hashes.txt`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyp.command.random_elements import REPEATED_MAX
from keyp.resp.values import Pairs
from tests.commands.conftest import Keyp

FIELDS = st.sampled_from([b"", b"a", b"b", b"c", b"x" * 480, b"x" * 600, b"1"])
VALUES = st.sampled_from([b"", b"1", b"-5", b"abc", b"v" * 100, b"9223372036854775807"])


def fill(keyp: Keyp, count: int) -> None:
    words = []
    for number in range(count):
        words += [b"%06d" % number, b"v%d" % number]
    keyp.run("HSET", "h", *words)


CALLS = st.one_of(
    st.tuples(st.just("HSET"), st.dictionaries(FIELDS, VALUES, min_size=1, max_size=4)),
    st.tuples(st.just("HSETNX"), st.tuples(FIELDS, VALUES)),
    st.tuples(st.just("HDEL"), st.lists(FIELDS, min_size=1, max_size=4)),
    st.tuples(st.just("HINCRBY"), st.tuples(FIELDS, st.integers(-3, 3))),
    st.tuples(st.just("HMGET"), st.lists(FIELDS, min_size=1, max_size=4)),
    st.tuples(st.just("HGETALL"), st.none()),
)


def expected(model: dict[bytes, bytes], name: str, what: Any) -> Any:
    """What a dictionary says, and what becomes of it."""
    if name == "HSET":
        new = len(what.keys() - model.keys())
        model.update(what)
        return new
    if name == "HSETNX":
        field, value = what
        is_new = field not in model
        model.setdefault(field, value)
        return int(is_new)
    if name == "HDEL":
        return sum(model.pop(field, None) is not None for field in what)
    if name == "HINCRBY":
        field, step = what
        try:
            total = int(model.get(field, b"0")) + step
        except ValueError:
            return "ERR hash value is not an integer"
        if total >= 1 << 63:
            return "ERR increment or decrement would overflow"
        model[field] = b"%d" % total
        return total
    return [model.get(field) for field in what] if name == "HMGET" else dict(model)


def words(name: str, what: Any) -> list[Any]:
    if what is None:
        return []
    return [word for pair in what.items() for word in pair] if name == "HSET" else list(what)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(CALLS, max_size=12))
def test_beside_a_dictionary(keyp: Keyp, calls: list[tuple[str, Any]]) -> None:
    keyp.run("FLUSHALL")
    model: dict[bytes, bytes] = {}
    for name, what in calls:
        assert keyp.answer(f"{name} h", *words(name, what)) == expected(model, name, what)
        assert keyp.answer("HLEN h") == len(model)
        assert keyp.answer("EXISTS h") == (1 if model else 0)
        assert sorted(keyp.answer("HKEYS h")) == sorted(model)
        assert sorted(keyp.answer("HVALS h")) == sorted(model.values())


@pytest.mark.parametrize("size", [1, 3, 100, 3000])
@pytest.mark.parametrize("count", [1, 2, 50, 99, 100, 2999, 3000, 5000])
def test_different_fields(keyp: Keyp, size: int, count: int) -> None:
    fill(keyp, size)
    fields = keyp.answer(f"HRANDFIELD h {count}")
    assert len(fields) == len(set(fields)) == min(size, count)
    assert {int(field) for field in fields} <= set(range(size))
    pairs = keyp.run("HRANDFIELD", "h", count, "WITHVALUES")
    assert isinstance(pairs, Pairs)
    assert len({field for field, _ in pairs.pairs}) == min(size, count)
    assert all(value == b"v%d" % int(field) for field, value in pairs.pairs)


@pytest.mark.parametrize("size", [1, 3, 3000])
@pytest.mark.parametrize("count", [1, 2, 50, 4000])
def test_fields_drawn_one_by_one(keyp: Keyp, size: int, count: int) -> None:
    fill(keyp, size)
    fields = keyp.answer(f"HRANDFIELD h -{count}")
    assert len(fields) == count
    assert {int(field) for field in fields} <= set(range(size))
    if size == 3 and count == 4000:
        assert min(Counter(fields).values()) > 1000
        assert fields != sorted(fields)
    reply = keyp.run("HRANDFIELD", "h", -count, "WITHVALUES")
    assert isinstance(reply, Pairs)
    pairs = reply.pairs
    assert len(pairs) == count
    assert all(value == b"v%d" % int(field) for field, value in pairs)


def test_every_field_is_drawn_as_often(keyp: Keyp) -> None:
    fill(keyp, 10)
    drawn = Counter(keyp.answer("HRANDFIELD h") for _ in range(2000))
    assert len(drawn) == 10
    assert min(drawn.values()) > 130
    drawn = Counter(field for _ in range(500) for field in keyp.answer("HRANDFIELD h 3"))
    assert min(drawn.values()) > 100


def test_more_than_memory_should_take(keyp: Keyp) -> None:
    fill(keyp, 2)
    assert keyp.answer(f"HRANDFIELD h -{REPEATED_MAX + 1}") == "ERR value is out of range"
    assert keyp.answer("HRANDFIELD h -9223372036854775807") == "ERR value is out of range"
    assert keyp.answer(f"HRANDFIELD nosuch -{REPEATED_MAX + 1}") == []
    assert len(keyp.answer(f"HRANDFIELD h {REPEATED_MAX + 1}")) == 2


def test_long_fields(keyp: Keyp) -> None:
    fields = [b"x" * 500 + b"%d" % number for number in range(5)]
    for field in fields:
        keyp.run("HSET", "h", field, field[-1:])
    assert keyp.answer("HRANDFIELD h") in fields
    assert sorted(keyp.answer("HRANDFIELD h 5")) == fields
    assert set(keyp.answer("HRANDFIELD h 3")) < set(fields)
    assert all(value == field[-1:] for field, value in keyp.answer("HRANDFIELD", "h", "-9", "WITHVALUES"))


def test_large_hashes(keyp: Keyp) -> None:
    fill(keyp, 5000)
    assert keyp.answer("HLEN h") == 5000
    everything = keyp.answer("HGETALL h")
    assert everything == {b"%06d" % number: b"v%d" % number for number in range(5000)}
    assert keyp.answer("HKEYS h") == list(everything)
    assert keyp.answer("HVALS h") == list(everything.values())
    assert keyp.answer("HDEL h", *list(everything)[10:]) == 4990
    assert keyp.answer("HGETALL h") == dict(list(everything.items())[:10])
    assert keyp.answer("HDEL h", *list(everything)) == 10
    assert keyp.answer("EXISTS h") == 0


def test_large_values(keyp: Keyp) -> None:
    value = bytes(3_000_000)
    assert keyp.answer("HSET h a", value, "b", "1") == 2
    assert keyp.answer("HSTRLEN h a") == len(value)
    assert keyp.run("HGET", "h", "a") == value
    assert keyp.answer("HSET h a 2") == 0
    assert keyp.answer("HGETALL h") == {b"a": b"2", b"b": b"1"}
