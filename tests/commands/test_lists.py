"""Lists beside Python's own, lists that are long, and what waits; more replies are in the rows of `lists.txt`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyp.command.context import AT_ONCE_MAX, ReadContext, TooLong
from keyp.commands.lists import FIRST_LOOK, lindex, lpos, lrange
from keyp.errors import NO_SUCH_KEY, OUT_OF_RANGE_INDEX
from keyp.resp.values import NULL_ARRAY, Wait
from keyp.storage.lmdb.transaction import ReadTransaction
from keyp.storage.types.lists import AT_ONCE
from keyp.storage.value_types import LIST
from tests.commands.conftest import Keyp

KEYS = st.sampled_from(["l", "m"])
ELEMENTS = st.sampled_from([b"", b"a", b"b", b"c", b"x" * 600])
MANY = st.lists(ELEMENTS, min_size=1, max_size=6)
INDEXES = st.integers(-9, 9)
ENDS = st.sampled_from(["LEFT", "RIGHT"])

CALLS = st.one_of(
    st.tuples(st.sampled_from(["LPUSH", "RPUSH", "LPUSHX", "RPUSHX"]), KEYS, MANY),
    st.tuples(st.sampled_from(["LPOP", "RPOP"]), KEYS, st.integers(0, 9).map(lambda count: [count])),
    st.tuples(st.just("LSET"), KEYS, st.tuples(INDEXES, ELEMENTS)),
    st.tuples(st.just("LTRIM"), KEYS, st.tuples(INDEXES, INDEXES)),
    st.tuples(st.just("LINSERT"), KEYS, st.tuples(st.sampled_from(["BEFORE", "AFTER"]), ELEMENTS, ELEMENTS)),
    st.tuples(st.just("LREM"), KEYS, st.tuples(INDEXES, ELEMENTS)),
    st.tuples(st.just("LMOVE"), KEYS, st.tuples(KEYS, ENDS, ENDS)),
)


def push(model: dict[str, list[bytes]], name: str, key: str, rest: Any) -> Any:
    there = model[key]
    if name.endswith("X") and not there:
        return 0
    there[:] = rest[::-1] + there if name[0] == "L" else there + rest
    return len(there)


def pop(there: list[bytes], left: bool, count: int) -> list[bytes]:
    popped = there[:count] if left else there[::-1][:count]
    there[:] = there[count:] if left else there[: max(0, len(there) - count)]
    return popped


def bounds(start: int, stop: int, count: int) -> tuple[int, int]:
    """A range of Redis as one of Python."""
    return max(0, start + count if start < 0 else start), max(0, (stop + count if stop < 0 else stop) + 1)


def insert(there: list[bytes], word: str, pivot: bytes, element: bytes) -> int:
    if pivot not in there:
        return -1 if there else 0
    there.insert(there.index(pivot) + (word == "AFTER"), element)
    return len(there)


def remove(there: list[bytes], count: int, element: bytes) -> int:
    indexes = [index for index, one in enumerate(there) if one == element]
    going = indexes[count:] if count < 0 else indexes[: count or None]
    there[:] = [one for index, one in enumerate(there) if index not in going]
    return len(going)


def expected(model: dict[str, list[bytes]], name: str, key: str, rest: Any) -> Any:
    """The reply of a command; the model is changed as the command changes the store."""
    there = model[key]
    if "PUSH" in name:
        return push(model, name, key, rest)
    if name in ("LPOP", "RPOP"):
        return pop(there, name == "LPOP", rest[0]) if there else NULL_ARRAY
    if name == "LSET":
        if not -len(there) <= rest[0] < len(there):
            return OUT_OF_RANGE_INDEX if there else NO_SUCH_KEY
        there[rest[0]] = rest[1]
        return "OK"
    if name == "LTRIM":
        start, stop = bounds(rest[0], rest[1], len(there))
        there[:] = there[start:stop]
        return "OK"
    if name == "LINSERT":
        return insert(there, *rest)
    if name == "LREM":
        return remove(there, *rest)
    target, where_from, where_to = rest
    if not there:
        return None
    element = pop(there, where_from == "LEFT", 1)[0]
    model[target].insert(0 if where_to == "LEFT" else len(model[target]), element)
    return element


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(CALLS, max_size=15))
def test_beside_pythons_lists(keyp: Keyp, calls: list[Any]) -> None:
    keyp.run("FLUSHALL")
    model: dict[str, list[bytes]] = {"l": [], "m": []}
    for name, key, rest in calls:
        assert keyp.answer(name, key, *rest) == expected(model, name, key, rest)
        for each, there in model.items():
            assert keyp.run("LRANGE", each, 0, -1) == there
            assert keyp.run("LLEN", each) == len(there)
            assert keyp.run("EXISTS", each) == bool(there)
            assert [keyp.run("LINDEX", each, index) for index in (0, -1, 9)] == [
                there[0] if there else None, there[-1] if there else None, there[9] if len(there) > 9 else None
            ]  # fmt: skip


@given(
    elements=st.lists(ELEMENTS, min_size=1, max_size=12),
    rank=st.integers(-5, 5).filter(bool),
    count=st.integers(0, 4),
    most=st.integers(0, 12),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_positions(keyp: Keyp, elements: list[bytes], rank: int, count: int, most: int) -> None:
    keyp.run("DEL", "l")
    keyp.run("RPUSH", "l", *elements)
    order = range(len(elements)) if rank > 0 else range(len(elements) - 1, -1, -1)
    met = [index for index in order[: most or None] if elements[index] == b"a"][abs(rank) - 1 :]
    assert keyp.run("LPOS", "l", "a", "RANK", rank, "COUNT", count, "MAXLEN", most) == met[: count or None]
    assert keyp.run("LPOS", "l", "a", "RANK", rank, "MAXLEN", most) == (met[0] if met else None)


def long_list(keyp: Keyp, count: int) -> list[bytes]:
    elements = [b"%d" % number for number in range(count)]
    keyp.run("RPUSH", "l", *elements)
    return elements


@pytest.mark.parametrize("at", [0, FIRST_LOOK, 3 * FIRST_LOOK - 1, AT_ONCE, 2 * AT_ONCE, 3 * AT_ONCE - 1])
def test_what_is_sought_may_be_anywhere(keyp: Keyp, at: int) -> None:
    model = long_list(keyp, 3 * AT_ONCE)
    assert keyp.run("LPOS", "l", at) == at
    assert keyp.run("LPOS", "l", at, "RANK", -1) == at
    assert keyp.run("LPOS", "l", at, "MAXLEN", at or 1) == (None if at else 0)
    assert keyp.run("LINSERT", "l", "AFTER", at, "new") == len(model) + 1
    model.insert(at + 1, b"new")
    assert keyp.run("LREM", "l", -1, at) == 1
    del model[at]
    assert keyp.run("LRANGE", "l", 0, -1) == model


def test_many_are_removed_at_once(keyp: Keyp) -> None:
    keyp.run("RPUSH", "l", *[b"%d" % (number % 3) for number in range(5000)])
    assert keyp.run("LREM", "l", 0, 1) == 1667
    assert keyp.run("LREM", "l", -1000, 2) == 1000
    rest = [number % 3 for number in range(5000) if number % 3 == 0 or (number % 3 == 2 and number < 1998)]
    assert keyp.run("LRANGE", "l", 0, -1) == [b"%d" % number for number in rest]
    assert keyp.run("LREM", "l", 0, 2) == 666
    assert keyp.run("LREM", "l", 0, 0) == 1667
    assert keyp.run("EXISTS", "l") == 0


def test_pops_of_many(keyp: Keyp) -> None:
    model = long_list(keyp, 5000)
    assert keyp.run("LPOP", "l", 2000) == model[:2000]
    assert keyp.run("RPOP", "l", 2000) == model[-1:-2001:-1]
    assert keyp.run("LMPOP", 1, "l", "RIGHT", "COUNT", 5000) == [b"l", model[2999:1999:-1]]
    assert keyp.run("EXISTS", "l") == 0


def test_what_is_trimmed_away_is_left_to_the_sweeper(keyp: Keyp) -> None:
    model = long_list(keyp, 5000)
    keyp.run("LTRIM", "l", 4000, 4001)
    assert keyp.run("LRANGE", "l", 0, -1) == model[4000:4002]
    keyp.run("LPUSH", "l", "x")
    assert keyp.sweep() > 4000
    assert keyp.run("LRANGE", "l", 0, -1) == [b"x", *model[4000:4002]]
    assert keyp.sweep() == 0


def test_long_reads_leave_the_reactors_thread(keyp: Keyp) -> None:
    long_list(keyp, AT_ONCE_MAX + AT_ONCE)
    with ReadTransaction(keyp.environment, keyp.now_ms) as snapshot:
        context = ReadContext(snapshot, keyp.shared, keyp.now_us, hurried=True)
        for function, call in ((lrange, [b"LRANGE", b"l", b"0", b"-1"]), (lpos, [b"LPOS", b"l", b"nosuch"])):
            with pytest.raises(TooLong):
                function(context, call)
        assert lrange(context, [b"LRANGE", b"l", b"-3", b"-3"]) == [b"%d" % (AT_ONCE_MAX + AT_ONCE - 3)]
        assert lindex(context, [b"LINDEX", b"l", b"-1"]) == b"%d" % (AT_ONCE_MAX + AT_ONCE - 1)
        assert lpos(context, [b"LPOS", b"l", b"100"]) == 100


WAITING = [
    ("BLPOP a b 0", [b"a", b"b"], 0, NULL_ARRAY),
    ("BRPOP a 1.5", [b"a"], 1500, NULL_ARRAY),
    ("BLMOVE a b LEFT RIGHT 0.0001", [b"a"], 1, None),
    ("BRPOPLPUSH a b 2", [b"a"], 2000, None),
    ("BLMPOP 3 2 a b LEFT COUNT 2", [b"a", b"b"], 3000, NULL_ARRAY),
]


@pytest.mark.parametrize(("line", "keys", "timeout_ms", "otherwise"), WAITING)
def test_where_there_is_nothing_they_wait(
    keyp: Keyp, line: str, keys: list[bytes], timeout_ms: int, otherwise: Any
) -> None:
    reply = keyp.answer(line)
    assert isinstance(reply, Wait)
    assert (reply.value_type, list(reply.keys)) == (LIST, keys)
    assert (reply.timeout_ms, reply.otherwise) == (timeout_ms, otherwise)
    keyp.run("RPUSH", "a", "x", "y")
    assert not isinstance(keyp.answer(line), Wait)


def test_a_list_that_has_expired_is_none(keyp: Keyp) -> None:
    keyp.script("RPUSH l a; PEXPIRE l 1000")
    keyp.advance(1001)
    assert keyp.answer("LLEN l") == 0
    assert keyp.answer("RPUSHX l a") == 0
