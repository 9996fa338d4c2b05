"""Forms of values: OBJECT ENCODING after commands with hundreds of arguments, with other limits than the usual, and
where values go, on both servers."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests import wire
from tests.differential.servers import Keyp, Reference


def integers(count: int, start: int = 0) -> list[str]:
    return [str(number) for number in range(start, start + count)]


def texts(count: int) -> list[str]:
    return [f"s{number}" for number in range(count)]


def pairs(fields: Iterable[str]) -> list[str]:
    return [word for field in fields for word in (field, "v")]


def scored(members: Iterable[str]) -> list[str]:
    return [word for score, member in enumerate(members) for word in (str(score), member)]


# A setting, its value, and calls after which both are asked for the form of k.
LIMITS: list[tuple[str, str, str, list[list[str]]]] = [
    ("hash entries", "hash-max-listpack-entries", "2", [["HSET", "k", *pairs(texts(2))]]),
    ("more hash entries", "hash-max-ziplist-entries", "2", [["HSET", "k", *pairs(texts(2))], ["HSET", "k", "n", "1"]]),
    ("no hash entries", "hash-max-listpack-entries", "0", [["HSET", "k", "f", "v"]]),
    ("hash values", "hash-max-listpack-value", "3", [["HSET", "k", "abc", "abc"]]),
    ("longer hash values", "hash-max-ziplist-value", "3", [["HSET", "k", "abc", "abcd"]]),
    ("longer fields", "hash-max-listpack-value", "3", [["HSET", "k", "abcd", ""]]),
    ("HINCRBY", "hash-max-listpack-value", "3", [["HINCRBY", "k", "f", "1234"]]),
    ("integers", "set-max-intset-entries", "3", [["SADD", "k", "1", "2", "3"]]),
    ("more integers at once", "set-max-intset-entries", "3", [["SADD", "k", "1", "2", "3", "4"]]),
    ("more integers", "set-max-intset-entries", "3", [["SADD", "k", "1", "2", "3"], ["SADD", "k", "4"]]),
    ("no integers", "set-max-intset-entries", "0", [["SADD", "k", "1"]]),
    ("no integers by SMOVE", "set-max-intset-entries", "0", [["SADD", "a", "1"], ["SMOVE", "a", "k", "1"]]),
    ("long integers", "set-max-listpack-value", "3", [["SADD", "k", "12345"]]),
    ("a text beside long integers", "set-max-listpack-value", "3", [["SADD", "k", "12345"], ["SADD", "k", "a"]]),
    ("a text beside integers", "set-max-listpack-value", "5", [["SADD", "k", "12345"], ["SADD", "k", "a"]]),
    ("set members", "set-max-listpack-entries", "2", [["SADD", "k", "a", "b"]]),
    ("more set members", "set-max-listpack-entries", "2", [["SADD", "k", "a", "b"], ["SADD", "k", "c"]]),
    ("a text too many", "set-max-listpack-entries", "2", [["SADD", "k", "1", "2"], ["SADD", "k", "a"]]),
    ("any number of set members", "set-max-listpack-entries", "9223372036854775807",
     [["SADD", "a", *texts(200)], ["SUNIONSTORE", "k", "a"]]),
    ("any number of integers", "set-max-intset-entries", "9223372036854775807",
     [["SADD", "a", *integers(600)], ["SUNIONSTORE", "k", "a", "a"]]),
    ("longer set members", "set-max-listpack-value", "3", [["SADD", "k", "abcd"]]),
    ("a union of few", "set-max-listpack-entries", "2", [["SADD", "a", "x", "y", "z"], ["SUNIONSTORE", "k", "a"]]),
    ("a small intersection", "set-max-listpack-value", "2", [["SADD", "a", "xyz"], ["SINTERSTORE", "k", "a", "a"]]),
    ("elements", "zset-max-listpack-entries", "2", [["ZADD", "k", "1", "a", "2", "b"]]),
    ("more elements", "zset-max-ziplist-entries", "2", [["ZADD", "k", "1", "a", "2", "b"], ["ZADD", "k", "3", "c"]]),
    ("no elements", "zset-max-listpack-entries", "0", [["ZADD", "k", "1", "a"]]),
    ("longer elements", "zset-max-listpack-value", "3", [["ZADD", "k", "1", "abcd"]]),
    ("ZUNIONSTORE", "zset-max-ziplist-value", "3", [["ZADD", "a", "1", "abcd"], ["ZUNIONSTORE", "k", "1", "a"]]),
    ("ZRANGESTORE", "zset-max-listpack-entries", "1", [["ZADD", "a", "1", "x"], ["ZRANGESTORE", "k", "a", "0", "-1"]]),
    ("GEOADD", "zset-max-listpack-entries", "1", [["GEOADD", "k", "1", "1", "a", "2", "2", "b"]]),
    ("list elements", "list-max-listpack-size", "3", [["RPUSH", "k", "a", "b", "c"]]),
    ("more list elements", "list-max-listpack-size", "3", [["RPUSH", "k", "a", "b", "c"], ["RPUSH", "k", "d"]]),
    ("a list of one", "list-max-ziplist-size", "0", [["RPUSH", "k", "a"]]),
    ("a list of two", "list-max-listpack-size", "0", [["RPUSH", "k", "a", "b"]]),
    ("4 KiB", "list-max-listpack-size", "-1", [["RPUSH", "k", "x" * 4000]]),
    ("more than 4 KiB", "list-max-listpack-size", "-1", [["RPUSH", "k", "x" * 4096]]),
    ("32 KiB", "list-max-listpack-size", "-4", [["RPUSH", "k", "x" * 16000, "y" * 16000]]),
    ("64 KiB", "list-max-listpack-size", "-9", [["RPUSH", "k", "x" * 32000, "y" * 32000]]),
    ("more than 64 KiB", "list-max-listpack-size", "-9", [["RPUSH", "k", "x" * 32000, "y" * 34000]]),
    ("few and long", "list-max-listpack-size", "100", [["RPUSH", "k", "x" * 8000]]),
    ("few and too long", "list-max-listpack-size", "100", [["RPUSH", "k", "x" * 8000, "y" * 300]]),
    (
        "a hash that was written before",
        "hash-max-listpack-entries", "1",
        [["CONFIG", "SET", "hash-max-listpack-entries", "9"], ["HSET", "k", *pairs(texts(5))],
         ["CONFIG", "SET", "hash-max-listpack-entries", "1"]],
    ),
    (
        "a hash that is written again",
        "hash-max-listpack-entries", "1",
        [["CONFIG", "SET", "hash-max-listpack-entries", "9"], ["HSET", "k", *pairs(texts(5))],
         ["CONFIG", "SET", "hash-max-listpack-entries", "1"], ["HSET", "k", "n", "1"]],
    ),
    (
        "a set that does not go back",
        "set-max-listpack-entries", "1",
        [["SADD", "k", "a", "b"], ["CONFIG", "SET", "set-max-listpack-entries", "9"], ["SREM", "k", "b"],
         ["SADD", "k", "c"]],
    ),
]  # fmt: skip


Call = list[str]
ROWS: list[tuple[str, list[Call]]] = [
    ("512 fields", [["HSET", "k", *pairs(texts(512))]]),
    ("513 fields", [["HSET", "k", *pairs(texts(513))]]),
    ("513 times a field", [["HSET", "k", *pairs(["f"] * 513)]]),
    ("512 times a field", [["HMSET", "k", *pairs(["f"] * 512)]]),
    ("2 fields, 513 times a field", [["HSET", "k", *pairs(texts(2))], ["HMSET", "k", *pairs(["f"] * 513)]]),
    ("512 fields and the same again", [["HSET", "k", *pairs(texts(512))], ["HSET", "k", *pairs(texts(512))]]),
    ("512 fields and another", [["HSET", "k", *pairs(texts(512))], ["HSET", "k", "n", "1"]]),
    ("less again", [["HSET", "k", *pairs(texts(513))], ["HDEL", "k", *texts(500)]]),
    ("512 fields and HINCRBY", [["HSET", "k", *pairs(texts(512))], ["HINCRBY", "k", "n", "1"]]),
    ("512 fields and HSETNX", [["HSET", "k", *pairs(texts(512))], ["HSETNX", "k", "n", "1"]]),
    ("512 integers", [["SADD", "k", *integers(512)]]),
    ("513 integers", [["SADD", "k", *integers(513)]]),
    ("512 integers and another", [["SADD", "k", *integers(512)], ["SADD", "k", "512"]]),
    ("513 times an integer", [["SADD", "k", *["1"] * 513]]),
    ("an integer, 513 times another", [["SADD", "k", "1"], ["SADD", "k", *["2"] * 513]]),
    ("512 times an integer", [["SADD", "k", *["1"] * 512]]),
    ("128 texts", [["SADD", "k", *texts(128)]]),
    ("129 texts", [["SADD", "k", *texts(129)]]),
    ("129 times a text", [["SADD", "k", *["a"] * 129]]),
    ("a text, 129 times another", [["SADD", "k", "a"], ["SADD", "k", *["b"] * 129]]),
    ("an integer, 129 times a text", [["SADD", "k", "1"], ["SADD", "k", *["a"] * 129]]),
    ("an integer and 200 times a text", [["SADD", "k", "1", *["a"] * 200]]),
    ("a text and 127 integers", [["SADD", "k", "a", *integers(127)]]),
    ("a text and 128 integers", [["SADD", "k", "a", *integers(128)]]),
    ("127 integers and a text", [["SADD", "k", *integers(127), "a"]]),
    ("128 integers and a text", [["SADD", "k", *integers(128), "a"]]),
    ("200 integers, then a text", [["SADD", "k", *integers(200)], ["SADD", "k", "a"]]),
    ("127 integers, then a text", [["SADD", "k", *integers(127)], ["SADD", "k", "a"]]),
    ("127 integers, then a long text", [["SADD", "k", *integers(127)], ["SADD", "k", "x" * 65]]),
    ("fewer texts again", [["SADD", "k", *texts(129)], ["SREM", "k", *texts(128)]]),
    ("SPOP of nearly all texts", [["SADD", "k", *texts(200)], ["SPOP", "k", "198"]]),
    ("SPOP of nearly all integers", [["SADD", "k", *integers(600)], ["SPOP", "k", "598"]]),
    ("SPOP of half", [["SADD", "k", *texts(200)], ["SPOP", "k", "100"]]),
    ("SPOP that leaves a fifth", [["SADD", "k", *texts(200)], ["SPOP", "k", "166"]]),
    ("SPOP that leaves less", [["SADD", "k", *texts(200)], ["SPOP", "k", "167"]]),
    ("SPOP from integers", [["SADD", "k", *integers(200)], ["SPOP", "k", "198"]]),
    ("SPOP from a small set", [["SADD", "k", *texts(100)], ["SPOP", "k", "98"]]),
    ("SPOP of long texts", [["SADD", "k", *[digit * 65 for digit in "123456789"]], ["SPOP", "k", "8"]]),
    ("SPOP of one", [["SADD", "k", *texts(129)], ["SPOP", "k"]]),
    ("SPOP that leaves many", [["SADD", "k", *integers(2000)], ["SPOP", "k", "1700"]]),
    (
        "a union of 600 integers",
        [["SADD", "a", *integers(300)], ["SADD", "b", *integers(300, 1000)], ["SUNIONSTORE", "k", "a", "b"]],
    ),
    (
        "a union of 512 integers",
        [["SADD", "a", *integers(300)], ["SADD", "b", *integers(212, 1000)], ["SUNIONSTORE", "k", "a", "b"]],
    ),
    (
        "a small difference",
        [["SADD", "a", *integers(600)], ["SADD", "b", *integers(500)], ["SDIFFSTORE", "k", "a", "b"]],
    ),
    ("a large intersection", [["SADD", "a", *integers(600)], ["SINTERSTORE", "k", "a", "a"]]),
    ("an intersection of texts", [["SADD", "a", *texts(200)], ["SINTERSTORE", "k", "a"]]),
    ("an intersection with a text", [["SADD", "a", *integers(200), "a"], ["SINTERSTORE", "k", "a"]]),
]


@pytest.mark.parametrize(("name", "calls"), ROWS, ids=[name for name, _ in ROWS])
def test_same_form(reference: Reference, keyp: Keyp, name: str, calls: list[Call]) -> None:
    forms = [run(server, [*calls, ["OBJECT", "ENCODING", "k"]])[-1] for server in (reference, keyp)]
    assert forms[0] == forms[1]


# Values in each of their forms; those that have been larger keep the form they had.
MADE: dict[str, list[Call]] = {
    "a hash": [["HSET", "k", "f", "v"]],
    "a large hash": [["HSET", "k", *pairs(texts(513))]],
    "a hash that was large": [["HSET", "k", *pairs(texts(513))], ["HDEL", "k", *texts(510)]],
    "a hash that had a long value": [["HSET", "k", "a", "x" * 65, "b", "1"], ["HDEL", "k", "a"]],
    "a sorted set": [["ZADD", "k", "1", "a", "2", "b"]],
    "a large sorted set": [["ZADD", "k", *scored(texts(129))]],
    "a sorted set that was large": [["ZADD", "k", *scored(texts(600))], ["ZREM", "k", *texts(597)]],
    "a sorted set that had a long member": [["ZADD", "k", "1", "x" * 65, "2", "b"], ["ZREM", "k", "x" * 65]],
    "a set of integers": [["SADD", "k", *integers(3)]],
    "a set that was one of texts": [["SADD", "k", "a", "1"], ["SREM", "k", "a"]],
    "a set that was large": [["SADD", "k", *texts(129)], ["SREM", "k", *texts(120)]],
    "a list": [["RPUSH", "k", "a", "b"]],
    "a list that was large": [["RPUSH", "k", *["x" * 30] * 400], ["LTRIM", "k", "0", "3"]],
    "an integer": [["SET", "k", "5"]],
    "an integer that was appended to": [["SET", "k", "5"], ["APPEND", "k", "6"]],
    "a number with a point": [["INCRBYFLOAT", "k", "5"]],
}
MOVED: list[list[Call]] = [
    [["COPY", "k", "other"], ["RENAME", "other", "k"]],
    [["SET", "other", "x"], ["COPY", "k", "other", "REPLACE"], ["RENAME", "other", "k"]],
    [["COPY", "k", "k", "DB", "1"], ["SELECT", "1"]],
    [["EXPIRE", "k", "100"], ["MOVE", "k", "1"], ["SELECT", "1"], ["PERSIST", "k"]],
    [["SWAPDB", "0", "1"], ["SELECT", "1"]],
    [["ZUNIONSTORE", "k", "1", "k"]],
    [["ZRANGESTORE", "k", "k", "0", "-1"]],
    [["SUNIONSTORE", "k", "k"]],
    [["SDIFFSTORE", "k", "k", "other"]],
]


@pytest.mark.parametrize("moves", MOVED, ids=[" ".join(moves[0]) for moves in MOVED])
def test_the_form_goes_with_the_value(reference: Reference, keyp: Keyp, moves: list[Call]) -> None:
    for name, calls in MADE.items():
        replies = [run(server, [*calls, *moves, ["OBJECT", "ENCODING", "k"]]) for server in (reference, keyp)]
        assert replies[0] == replies[1], name


def run(server: Reference | Keyp, calls: list[Call]) -> list[bytes]:
    """The replies to calls on an empty server."""
    server.clear()
    client = server.connect()
    requests = [wire.request(*[word.encode() for word in call]) for call in calls]
    replies = client.send(b"".join(requests), len(calls))
    client.close()
    return replies


@pytest.mark.parametrize(("name", "setting", "value", "calls"), LIMITS, ids=[row[0] for row in LIMITS])
def test_settings_rule_the_form(
    reference: Reference, keyp: Keyp, name: str, setting: str, value: str, calls: list[Call]
) -> None:
    ask = wire.request(b"CONFIG", b"GET", setting.encode())
    usual = [wire.parse(server.connect().send(ask, 1)[0])[1] for server in (reference, keyp)]
    assert usual[0] == usual[1]
    try:
        calls = [["CONFIG", "SET", setting, value], *calls, ["OBJECT", "ENCODING", "k"]]
        theirs, ours = run(reference, calls), run(keyp, calls)
    finally:
        for server in (reference, keyp):
            server.connect().send(wire.request(b"CONFIG", b"SET", setting.encode(), usual[0]), 1)
    assert ours == theirs
    assert not any(reply.startswith(b"-") for reply in theirs)
