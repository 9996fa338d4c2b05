"""Forms of large hashes and sets: OBJECT ENCODING after commands with hundreds of arguments, on both servers."""

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
    forms: list[bytes] = []
    for server in (reference, keyp):
        server.clear()
        client = server.connect()
        requests = [wire.request(*[word.encode() for word in call]) for call in calls]
        forms.append(client.send(b"".join([*requests, wire.request(b"OBJECT", b"ENCODING", b"k")]), len(calls) + 1)[-1])
        client.close()
    assert forms[0] == forms[1]
