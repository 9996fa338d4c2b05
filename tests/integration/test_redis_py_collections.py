"""Lists, hashes, sets and sorted sets through redis-py's own methods, in both protocols, in and out of pipelines."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ResponseError, WatchError
from redis.retry import Retry

from tests.integration.conftest import Connect, StartServer


def pairs(entries: Any) -> list[tuple[Any, float]]:
    """Members with scores, which come in tuples or in lists, as the protocol has it."""
    return [(member, score) for member, score in entries]


def test_lists(connect: Connect) -> None:
    r = connect(decode_responses=True)
    assert r.rpush("l", "a", "b", "c") == 3
    assert r.lpush("l", "z") == 4
    assert r.rpushx("none", "x") == 0
    assert r.lrange("l", 0, -1) == ["z", "a", "b", "c"]
    assert r.llen("l") == 4
    assert r.lindex("l", -1) == "c"
    assert r.lset("l", 0, "y") in (True, "OK")
    assert r.linsert("l", "BEFORE", "b", "ab") == 5
    assert r.lpos("l", "b") == 3
    assert r.lpos("l", "b", count=0) == [3]
    assert r.lrem("l", 1, "ab") == 1
    assert r.ltrim("l", 0, 2) in (True, "OK")
    assert r.lrange("l", 0, -1) == ["y", "a", "b"]
    assert r.lmove("l", "m", "LEFT", "RIGHT") == "y"
    assert r.rpoplpush("l", "m") == "b"
    assert r.lmpop(2, "none", "m", direction="LEFT", count=5) == ["m", ["b", "y"]]
    assert r.lpop("l") == "a"
    assert r.lpop("l") is None
    assert r.exists("l", "m") == 0
    r.rpush("l", *range(100))
    assert r.rpop("l", 3) == ["99", "98", "97"]
    assert r.lpop("none", 3) is None


def test_hashes(connect: Connect) -> None:
    r = connect(decode_responses=True)
    assert r.hset("h", mapping={"name": "Ada", "age": 36}) == 2
    assert r.hset("h", "age", 37) == 0
    assert r.hsetnx("h", "age", 1) in (0, False)
    assert r.hget("h", "name") == "Ada"
    assert r.hget("h", "none") is None
    assert r.hmget("h", "age", "none") == ["37", None]
    assert r.hgetall("h") == {"name": "Ada", "age": "37"}
    assert r.hgetall("none") == {}
    assert sorted(r.hkeys("h")) == ["age", "name"]
    assert sorted(r.hvals("h")) == ["37", "Ada"]
    assert r.hlen("h") == 2
    assert r.hexists("h", "age") is True
    assert r.hstrlen("h", "name") == 3
    assert r.hincrby("h", "age", 5) == 42
    assert r.hincrbyfloat("h", "age", 0.5) == 42.5
    assert r.hrandfield("h") in ("age", "name")
    assert sorted(r.hrandfield("h", 5)) == ["age", "name"]
    assert r.hdel("h", "age", "none") == 1
    with pytest.raises(ResponseError, match="not an integer"):
        r.hincrby("h", "name")
    assert r.hdel("h", "name") == 1
    assert r.exists("h") == 0


def test_sets(connect: Connect) -> None:
    r = connect(decode_responses=True)
    assert r.sadd("s", "a", "b", "c") == 3
    assert r.sadd("t", "b", "c", "d") == 3
    assert r.smembers("s") == {"a", "b", "c"}
    assert r.scard("s") == 3
    assert r.sismember("s", "a") == 1
    assert r.smismember("s", ["a", "x"]) == [1, 0]
    assert set(r.sinter("s", "t")) == {"b", "c"}
    assert set(r.sunion("s", "t")) == {"a", "b", "c", "d"}
    assert set(r.sdiff("s", "t")) == {"a"}
    assert r.sintercard(2, ["s", "t"], limit=1) == 1
    assert r.sinterstore("u", "s", "t") == 2
    assert r.sunionstore("u", "s", "t") == 4
    assert r.sdiffstore("u", "s", "t") == 1
    assert r.smove("s", "t", "a") in (1, True)
    assert set(r.srandmember("t", 10)) == {"a", "b", "c", "d"}
    assert r.srem("t", "a", "b") == 2
    assert set(r.spop("t", 5)) == {"c", "d"}
    assert r.spop("t") is None
    assert r.smembers("t") == set()


def test_sorted_sets(connect: Connect) -> None:
    r = connect(decode_responses=True)
    assert r.zadd("z", {"a": 1, "b": 2, "c": 3.5}) == 3
    assert r.zadd("z", {"a": 5, "d": 4}, nx=True) == 1
    assert r.zadd("z", {"a": 0.5}, xx=True, ch=True, lt=True) == 1
    assert r.zadd("z", {"a": 0.5}, incr=True) == 1.0
    assert r.zcard("z") == 4
    assert r.zscore("z", "c") == 3.5
    assert r.zscore("z", "none") is None
    assert r.zmscore("z", ["a", "none"]) == [1.0, None]
    assert r.zincrby("z", 2, "a") == 3.0
    assert pairs(r.zrange("z", 0, -1, withscores=True)) == [("b", 2.0), ("a", 3.0), ("c", 3.5), ("d", 4.0)]
    assert r.zrange("z", 0, 1, desc=True) == ["d", "c"]
    assert r.zrange("z", "(2", "+inf", byscore=True, offset=1, num=1) == ["c"]
    assert r.zrangebyscore("z", 2, "(3.5") == ["b", "a"]
    assert pairs(r.zrevrangebyscore("z", "+inf", 3.5, withscores=True)) == [("d", 4.0), ("c", 3.5)]
    assert r.zrank("z", "c") == 2
    assert r.zrevrank("z", "c") == 1
    assert list(r.zrank("z", "c", withscore=True)) == [2, 3.5]
    assert r.zcount("z", 3, "+inf") == 3
    assert r.zadd("names", dict.fromkeys(["ann", "bob", "cy"], 0)) == 3
    assert r.zrangebylex("names", "[b", "+") == ["bob", "cy"]
    assert r.zlexcount("names", "-", "(bob") == 1
    assert r.zinterstore("i", {"z": 2, "names": 1}) == 0
    assert r.zunionstore("u", {"z": 2, "names": 1}, aggregate="MAX") == 7
    assert r.zscore("u", "d") == 8.0
    assert r.zdiff(["u", "names"]) == ["b", "a", "c", "d"]
    assert pairs(r.zpopmin("z", 1)) == [("b", 2.0)]
    assert pairs(r.zpopmax("z", 2)) == [("d", 4.0), ("c", 3.5)]
    name, popped = r.zmpop(2, ["none", "z"], min=True)
    assert (name, [(member, float(score)) for member, score in popped]) == ("z", [("a", 3.0)])
    assert r.exists("z") == 0
    assert r.zremrangebyrank("names", 0, 0) == 1
    assert r.zremrangebyscore("names", "-inf", "+inf") == 2


def test_infinite_and_exact_scores(r: Any) -> None:
    scores = {b"low": float("-inf"), b"third": 1 / 3, b"large": 2.0**53, b"high": float("inf")}
    r.zadd("z", scores)
    assert dict(pairs(r.zrange("z", 0, -1, withscores=True))) == scores
    assert [r.zscore("z", member) for member in scores] == list(scores.values())


def test_scan_iterators(r: Any) -> None:
    numbers = range(3000)
    with r.pipeline(transaction=False) as pipe:
        for number in numbers:
            pipe.hset("h", f"field:{number}", number)
            pipe.sadd("s", f"member:{number}")
            pipe.zadd("z", {f"member:{number}": number / 2})
        pipe.execute()
    assert dict(r.hscan_iter("h", count=50)) == {b"field:%d" % number: b"%d" % number for number in numbers}
    assert set(r.sscan_iter("s", count=50)) == {b"member:%d" % number for number in numbers}
    assert dict(r.zscan_iter("z", count=50)) == {b"member:%d" % number: number / 2 for number in numbers}
    assert sorted(r.sscan_iter("s", match="member:299?")) == [b"member:299%d" % digit for digit in range(10)]
    assert list(r.hscan_iter("none")) == []
    assert list(r.scan_iter(_type="ZSET")) == [b"z"]
    assert {r.type(name) for name in r.scan_iter()} == {b"hash", b"set", b"zset"}


@pytest.mark.parametrize("transaction", [True, False])
def test_a_pipeline_of_all_types(connect: Connect, transaction: bool) -> None:
    r = connect(decode_responses=True)
    with r.pipeline(transaction=transaction) as pipe:
        pipe.set("text", "x").rpush("l", 1, 2).hset("h", "f", "v").sadd("s", "m").zadd("z", {"m": 1.5})
        pipe.lrange("l", 0, -1).hgetall("h").smembers("s").zscore("z", "m").lpush("text", "no").blpop("none", 1)
        replies = pipe.execute(raise_on_error=False)
    assert replies[:9] == [True, 2, 1, 1, 1, ["1", "2"], {"f": "v"}, {"m"}, 1.5]
    assert isinstance(replies[9], ResponseError)
    assert str(replies[9]).startswith("WRONGTYPE Operation against a key holding the wrong kind of value")
    assert replies[10] is None
    assert len(r.keys()) == 5


def test_watching_a_collection(connect: Connect) -> None:
    """The classic from the manual: the lowest member of a sorted set is taken, by hand."""
    r, other = connect(decode_responses=True), connect()
    r.zadd("z", {"first": 1, "second": 2})
    with r.pipeline() as pipe:
        pipe.watch("z")
        lowest = pipe.zrange("z", 0, 0)[0]
        other.zincrby("z", 5, "first")
        pipe.multi()
        pipe.zrem("z", lowest)
        with pytest.raises(WatchError):
            pipe.execute()
        pipe.watch("z")
        lowest = pipe.zrange("z", 0, 0)[0]
        pipe.multi()
        pipe.zrem("z", lowest)
        assert pipe.execute() == [1]
    assert r.zrange("z", 0, -1) == ["first"]


def test_sessions_with_deadlines_and_a_feed(connect: Connect) -> None:
    """What an application keeps: a feed cut to length, a board of scores, a hash that dies."""
    r = connect(decode_responses=True)
    with r.pipeline() as pipe:
        for number in range(500):
            pipe.lpush("feed", f"entry {number}")
            pipe.ltrim("feed", 0, 99)
            pipe.zadd("board", {f"player {number % 50}": number}, gt=True)
        pipe.execute()
    assert r.llen("feed") == 100
    assert r.lrange("feed", 0, 1) == ["entry 499", "entry 498"]
    assert r.zrange("board", 0, 2, desc=True) == ["player 49", "player 48", "player 47"]
    r.hset("session", mapping={"user": "ada", "seen": 1})
    assert r.pexpire("session", 40) is True
    assert r.hget("session", "user") == "ada"
    time.sleep(0.05)
    assert r.hgetall("session") == {}


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_collections_outlive_the_server(server: StartServer, ending: str) -> None:
    daemon = server()
    r: Any = redis.Redis(port=daemon.port, decode_responses=True, retry=Retry(ConstantBackoff(0.05), 200))
    deadline = int(time.time() * 1000) + 600_000
    with r.pipeline() as pipe:
        pipe.rpush("l", *range(2000)).hset("h", mapping={f"f{number}": number for number in range(2000)})
        pipe.sadd("s", *range(2000)).zadd("z", {f"m{number}": number for number in range(2000)})
        for name in ("l", "h", "s", "z"):
            pipe.pexpireat(name, deadline)
        pipe.execute()
    getattr(daemon, ending)()
    daemon.start()
    assert r.lrange("l", 0, -1) == [str(number) for number in range(2000)]
    assert r.hgetall("h") == {f"f{number}": str(number) for number in range(2000)}
    assert r.smembers("s") == {str(number) for number in range(2000)}
    assert r.zrange("z", 0, -1) == [f"m{number}" for number in range(2000)]
    assert [r.pexpiretime(name) for name in ("l", "h", "s", "z")] == [deadline] * 4
    assert r.lpop("l") == "0"
    assert r.rpush("l", "more") == 2000
    assert r.zrank("z", "m1500") == 1500
    assert r.sadd("s", "1999", "2000") == 1
    assert r.hincrby("h", "f1999", 1) == 2000
    r.close()
