"""Unions, intersections and differences beside dictionaries; replies and errors are in the rows of `sortedsets.txt`."""

from __future__ import annotations

from math import inf, isnan
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.commands.conftest import Keyp

MEMBERS = st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"x" * 500])
SCORES = st.sampled_from([-inf, -2.0, 0.0, 0.5, 1.0, 3.0, inf])
SORTED_SETS = st.dictionaries(MEMBERS, SCORES)
PLAIN_SETS = st.sets(MEMBERS)
INPUTS = st.lists(st.one_of(SORTED_SETS, SORTED_SETS, PLAIN_SETS), min_size=1, max_size=4)
AGGREGATES = st.sampled_from(["SUM", "MIN", "MAX"])
# Not 0: infinity times 0 is taken for 0 at once in a union, but in an intersection only once it has been added.
WEIGHTS = st.lists(st.sampled_from([-1.0, 0.5, 1.0, 2.0]), min_size=4, max_size=4)


def number(score: float) -> float:
    return 0.0 if isnan(score) else score


def combined(one: float, other: float, aggregate: str) -> float:
    return number(one + other) if aggregate == "SUM" else min(one, other) if aggregate == "MIN" else max(one, other)


def in_order(scores: dict[bytes, float]) -> list[list[Any]]:
    return [[member, score] for score, member in sorted((score, member) for member, score in scores.items())]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(inputs=INPUTS, aggregate=AGGREGATES, weights=WEIGHTS)
def test_beside_dictionaries(keyp: Keyp, inputs: list[Any], aggregate: str, weights: list[float]) -> None:
    keyp.run("FLUSHALL")
    for index, one in enumerate(inputs):
        for member in one:
            if isinstance(one, dict):
                keyp.run("ZADD", index, one[member], member)
            else:
                keyp.run("SADD", index, member)
    weighted = [
        {member: number((one[member] if isinstance(one, dict) else 1.0) * weight) for member in one}
        for one, weight in zip(inputs, weights, strict=False)
    ]
    union: dict[bytes, float] = {}
    for scores in sorted(weighted, key=len):
        for member, score in scores.items():
            union[member] = combined(union[member], score, aggregate) if member in union else score
    common = {member: union[member] for member in union if all(member in one for one in inputs)}
    first = {member: inputs[0][member] if isinstance(inputs[0], dict) else 1.0 for member in inputs[0]}
    rest = {member: score for member, score in first.items() if not any(member in one for one in inputs[1:])}

    keys: list[Any] = [len(inputs), *range(len(inputs))]
    options: list[Any] = ["WEIGHTS", *weights[: len(inputs)], "AGGREGATE", aggregate]
    assert keyp.answer("ZUNION", *keys, *options, "WITHSCORES") == in_order(union)
    assert keyp.answer("ZINTER", *keys, *options, "WITHSCORES") == in_order(common)
    assert keyp.answer("ZDIFF", *keys, "WITHSCORES") == in_order(rest)
    assert keyp.answer("ZINTERCARD", *keys) == len(common)
    assert keyp.answer("ZINTERCARD", *keys, "LIMIT", 2) == min(2, len(common))
    for command, words, expected in (
        ("ZUNIONSTORE", options, union), ("ZINTERSTORE", options, common), ("ZDIFFSTORE", [], rest)
    ):  # fmt: skip
        assert keyp.answer(f"{command} d", *keys, *words) == len(expected)
        assert keyp.answer("ZRANGE d 0 -1 WITHSCORES") == in_order(expected)


def test_large_ones(keyp: Keyp) -> None:
    """More than is read in one go, members long and short."""
    size = 2500
    for key, step in (("two", 2), ("three", 3)):
        for start in range(0, size, 500):
            words: list[Any] = []
            for index in range(start, start + 500, step):
                words += [index, b"%06d" % index + b"x" * 500 * (index % 7 == 0)]
            keyp.run("ZADD", key, *words)
    two, three = (dict(keyp.answer(f"ZRANGE {key} 0 -1 WITHSCORES")) for key in ("two", "three"))
    assert keyp.answer("ZUNION 2 two three AGGREGATE MAX") == [one for one, _ in in_order(two | three)]
    assert keyp.answer("ZINTER 2 two three") == [
        one for one, _ in in_order({one: two[one] for one in two if one in three})
    ]
    assert keyp.answer("ZDIFF 2 two three") == [
        one for one, _ in in_order({one: two[one] for one in two if one not in three})
    ]
    assert keyp.answer("ZDIFFSTORE three 2 three two") == len([one for one in three if one not in two])
    assert keyp.answer("ZCARD three") == len([one for one in three if one not in two])
