"""Pops that wait, and pops of many; replies and errors are in the rows of `sortedsets.txt`."""

from __future__ import annotations

from typing import Any

import pytest

from keyp.resp.values import NULL_ARRAY, Wait
from keyp.storage.value_types import ZSET
from tests.commands.conftest import Keyp


@pytest.mark.parametrize(
    ("line", "keys", "timeout_ms"),
    [
        ("BZPOPMIN a b 0", [b"a", b"b"], 0),
        ("BZPOPMAX a 1.5", [b"a"], 1500),
        ("BZPOPMIN a 0.0001", [b"a"], 1),
        ("BZMPOP 2 2 a b MIN", [b"a", b"b"], 2000),
        ("BZMPOP 0 1 a MAX COUNT 5", [b"a"], 0),
    ],
)
def test_where_there_is_nothing_it_waits(keyp: Keyp, line: str, keys: list[bytes], timeout_ms: int) -> None:
    keyp.run("ZADD", "other", 1, "x")
    wait = keyp.run(*line.split())
    assert isinstance(wait, Wait)
    assert (wait.value_type, list(wait.keys), wait.timeout_ms, wait.otherwise) == (ZSET, keys, timeout_ms, NULL_ARRAY)


@pytest.mark.parametrize("size", [3, 64, 65, 1000])
@pytest.mark.parametrize("count", [1, 2, 64, 65, 900, 5000])
def test_pops_of_many(keyp: Keyp, size: int, count: int) -> None:
    """From either end, from the end inwards; what is left keeps its order and its counts."""
    names = [b"%05d" % number for number in range(size)]
    for key in ("min", "max"):
        keyp.run(
            "ZADD", key, *[word for number, name in enumerate(names) for word in (str(number // 4).encode(), name)]
        )
    pairs: list[list[Any]] = [[name, float(number // 4)] for number, name in enumerate(names)]
    assert keyp.answer(f"ZPOPMIN min {count}") == pairs[:count]
    assert keyp.answer(f"ZMPOP 2 nosuch max MAX COUNT {count}") == [b"max", pairs[::-1][:count]]
    assert keyp.answer("ZRANGE min 0 -1 WITHSCORES") == pairs[count:]
    assert keyp.answer("ZRANGE max 0 -1 REV WITHSCORES") == pairs[::-1][count:]
    for key, left in (("min", pairs[count:]), ("max", pairs[: max(0, size - count)])):
        if left:
            assert keyp.answer(f"ZRANK {key}", left[-1][0]) == len(left) - 1
        assert keyp.answer(f"EXISTS {key}") == bool(left)
