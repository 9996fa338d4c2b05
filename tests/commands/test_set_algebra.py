"""What sets have in common, beside Python's own; replies and errors are in `tests/differential/rows/sets.txt`."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.commands.conftest import Keyp

MEMBERS = st.sampled_from([b"", b"a", b"b", b"1", b"2", b"3", b"x" * 480, b"x" * 500 + b"y", b"x" * 500 + b"z"])
CONTENTS = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.sets(MEMBERS, min_size=1), max_size=4)
NAMES = st.lists(st.sampled_from(["a", "b", "c", "d", "nosuch"]), min_size=1, max_size=4)
OPERATIONS: dict[str, Callable[[set[bytes], set[bytes]], set[bytes]]] = {
    "INTER": lambda one, other: one & other,
    "UNION": lambda one, other: one | other,
    "DIFF": lambda one, other: one - other,
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=CONTENTS, names=NAMES, target=st.sampled_from(["a", "b", "e"]), limit=st.integers(0, 5))
def test_beside_pythons_sets(
    keyp: Keyp, contents: dict[str, set[bytes]], names: list[str], target: str, limit: int
) -> None:
    for word, operation in OPERATIONS.items():
        keyp.run("FLUSHALL")
        for key, members in contents.items():
            keyp.run("SADD", key, *members)
        result = reduce(operation, [contents.get(name, set()) for name in names])
        assert keyp.answer(f"S{word} {' '.join(names)}") == result
        if word == "INTER":
            counted = keyp.answer(f"SINTERCARD {len(names)} {' '.join(names)} LIMIT {limit}")
            assert counted == (min(limit, len(result)) if limit else len(result))
        assert keyp.answer(f"S{word}STORE {target} {' '.join(names)}") == len(result)
        after = {**contents, target: result}
        assert keyp.answer(f"EXISTS {target}") == (1 if result else 0)
        for key, members in after.items():
            assert keyp.answer(f"SMEMBERS {key}") == members
    keyp.sweep()


@pytest.fixture
def numbers(keyp: Keyp) -> list[bytes]:
    """Sets of thousands: all, the even ones, those divisible by three, and three of them."""
    everything = [b"%06d" % number for number in range(6000)]
    keyp.run("SADD", "all", *everything)
    keyp.run("SADD", "even", *everything[::2])
    keyp.run("SADD", "thirds", *everything[::3])
    keyp.run("SADD", "three", *everything[9:12])
    return everything


def test_large_sets(keyp: Keyp, numbers: list[bytes]) -> None:
    everything = set(numbers)
    even, thirds, three = set(numbers[::2]), set(numbers[::3]), set(numbers[9:12])
    assert keyp.answer("SINTER all even thirds") == even & thirds
    assert keyp.answer("SINTER three all even") == three & even
    assert keyp.answer("SUNION three thirds even") == three | thirds | even
    assert keyp.answer("SDIFF all even") == everything - even
    assert keyp.answer("SDIFF all even thirds three") == everything - even - thirds - three
    assert keyp.answer("SDIFF three all") == set()
    assert keyp.answer("SINTERCARD 2 even thirds") == len(even & thirds)
    assert keyp.answer("SINTERCARD 2 even thirds LIMIT 777") == 777
    assert keyp.answer("SINTERCARD 2 even thirds LIMIT 9999") == len(even & thirds)


def test_large_results_stored(keyp: Keyp, numbers: list[bytes]) -> None:
    """They can be changed afterwards like any set."""
    assert keyp.answer("SUNIONSTORE r even thirds") == 4000
    assert keyp.answer("SMEMBERS r") == set(numbers[::2]) | set(numbers[::3])
    assert keyp.answer("SREM r", *numbers[:3000]) == 2000
    assert keyp.answer("SADD r", *numbers[:10]) == 10
    assert len(keyp.answer("SRANDMEMBER r 500")) == 500
    assert keyp.answer("SDIFFSTORE r all r") == 6000 - 2010
    assert keyp.answer("SINTERSTORE all all r") == 6000 - 2010
    assert keyp.answer("SCARD all") == 6000 - 2010
    keyp.sweep()
    assert keyp.answer("SDIFF all r") == set()
