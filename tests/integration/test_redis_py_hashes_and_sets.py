"""Hashes and sets by redis-py's own methods, which turn replies into Python's types; RESP2 and RESP3."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ResponseError


def test_hashes(r: Any) -> None:
    assert r.hset("h", mapping={"a": 1, "b": "two", "c": b"\xff"}) == 3
    assert r.hset("h", "a", "one") == 0
    assert r.hgetall("h") == {b"a": b"one", b"b": b"two", b"c": b"\xff"}
    assert r.hgetall("none") == {}
    assert r.hget("h", "none") is None
    assert r.hmget("h", ["a", "none"]) == [b"one", None]
    assert r.hsetnx("h", "a", "1") == 0
    assert bool(r.hexists("h", "b")) is True
    assert r.hkeys("h") == [b"a", b"b", b"c"]
    assert r.hvals("h") == [b"one", b"two", b"\xff"]
    assert r.hlen("h") == 3
    assert r.hstrlen("h", "b") == 3
    assert r.hincrby("h", "n", 5) == 5
    assert r.hincrbyfloat("h", "n", 0.5) == 5.5
    assert r.hdel("h", "a", "n", "none") == 2
    assert r.hrandfield("h") in (b"b", b"c")
    assert sorted(r.hrandfield("h", 5)) == [b"b", b"c"]
    drawn = r.hrandfield("h", -3, withvalues=True)
    assert len(drawn) == (6 if isinstance(drawn[0], bytes) else 3)
    with pytest.raises(ResponseError, match="hash value is not an integer"):
        r.hincrby("h", "b", 1)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        r.get("h")


def test_sets(r: Any) -> None:
    assert r.sadd("s", "a", "b", "c") == 3
    assert r.smembers("s") == {b"a", b"b", b"c"}
    assert r.smembers("none") == set()
    assert r.sismember("s", "a") == 1
    assert r.smismember("s", ["a", "x"]) == [1, 0]
    assert r.scard("s") == 3
    assert r.srem("s", "a", "x") == 1
    assert r.smove("s", "t", "b") == 1
    assert r.srandmember("t") == b"b"
    assert r.srandmember("t", -2) == [b"b", b"b"]
    assert r.spop("t") == b"b"
    assert r.spop("t") is None
    assert set(r.spop("s", 5)) == {b"c"}
    assert r.exists("s", "t") == 0


def test_algebra(r: Any) -> None:
    r.sadd("a", 1, 2, 3)
    r.sadd("b", 2, 3, 4)
    assert set(r.sinter("a", "b")) == {b"2", b"3"}
    assert set(r.sunion("a", "b")) == {b"1", b"2", b"3", b"4"}
    assert set(r.sdiff("a", "b")) == {b"1"}
    assert r.sintercard(2, ["a", "b"], limit=1) == 1
    assert r.sinterstore("d", ["a", "b"]) == 2
    assert r.sunionstore("d", ["a", "b"]) == 4
    assert r.sdiffstore("d", ["a", "b"]) == 1
    assert r.smembers("d") == {b"1"}


def test_large_ones(r: Any) -> None:
    numbers = {b"%d" % number for number in range(5000)}
    assert r.sadd("s", *numbers) == 5000
    assert r.hset("h", mapping={number: number for number in numbers}) == 5000
    assert set(r.sscan_iter("s", count=700)) == numbers
    assert dict(r.hscan_iter("h", count=700)) == {number: number for number in numbers}
    assert set(r.sscan_iter("s", match="123*")) == {number for number in numbers if number.startswith(b"123")}
    assert r.smembers("s") == numbers
    assert r.hgetall("h") == {number: number for number in numbers}
    assert len(set(r.spop("s", 4000))) == 4000
    assert r.scard("s") == 1000
