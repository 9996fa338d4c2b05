"""Each kind of reply in both protocols, alone and inside an array; doubles as Valkey printed them for ZSCORE."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from functools import partial
from types import MappingProxyType
from typing import Any

import pytest

from keyp.resp.encoder import SLICE_ITEMS, encode, encode_in_slices, encode_into, format_double
from keyp.resp.values import (
    NO_REPLY,
    NULL_ARRAY,
    DoubleText,
    Encoded,
    PairedMap,
    Pairs,
    Push,
    Reply,
    ReplyError,
    Set,
    Several,
    Verbatim,
)

BIG = b"x" * 100_000

ROWS: list[tuple[Any, bytes, bytes]] = [
    (b"", b"$0\r\n\r\n", b"$0\r\n\r\n"),
    (b"a\r\nb", b"$4\r\na\r\nb\r\n", b"$4\r\na\r\nb\r\n"),
    (b"y" * 1024, b"$1024\r\n" + b"y" * 1024 + b"\r\n", b"$1024\r\n" + b"y" * 1024 + b"\r\n"),
    (b"y" * 1025, b"$1025\r\n" + b"y" * 1025 + b"\r\n", b"$1025\r\n" + b"y" * 1025 + b"\r\n"),
    (BIG, b"$100000\r\n" + BIG + b"\r\n", b"$100000\r\n" + BIG + b"\r\n"),
    ("OK", b"+OK\r\n", b"+OK\r\n"),
    ("QUEUED", b"+QUEUED\r\n", b"+QUEUED\r\n"),
    ("anything else", b"+anything else\r\n", b"+anything else\r\n"),
    ("\xff", b"+\xff\r\n", b"+\xff\r\n"),
    ("\u20ac", b"+?\r\n", b"+?\r\n"),
    (0, b":0\r\n", b":0\r\n"),
    (-1, b":-1\r\n", b":-1\r\n"),
    (1023, b":1023\r\n", b":1023\r\n"),
    (1024, b":1024\r\n", b":1024\r\n"),
    (2**63 - 1, b":9223372036854775807\r\n", b":9223372036854775807\r\n"),
    (-(2**63), b":-9223372036854775808\r\n", b":-9223372036854775808\r\n"),
    (True, b":1\r\n", b"#t\r\n"),
    (False, b":0\r\n", b"#f\r\n"),
    (3.141, b"$5\r\n3.141\r\n", b",3.141\r\n"),
    (3.0, b"$1\r\n3\r\n", b",3\r\n"),
    (math.inf, b"$3\r\ninf\r\n", b",inf\r\n"),
    (-math.inf, b"$4\r\n-inf\r\n", b",-inf\r\n"),
    (math.nan, b"$3\r\nnan\r\n", b",nan\r\n"),
    (None, b"$-1\r\n", b"_\r\n"),
    (NULL_ARRAY, b"*-1\r\n", b"_\r\n"),
    ([], b"*0\r\n", b"*0\r\n"),
    ((), b"*0\r\n", b"*0\r\n"),
    ([b"a", 1, None, "OK"], b"*4\r\n$1\r\na\r\n:1\r\n$-1\r\n+OK\r\n", b"*4\r\n$1\r\na\r\n:1\r\n_\r\n+OK\r\n"),
    ((b"a", [b"b"]), b"*2\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n", b"*2\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n"),
    ([7] * 2000, b"*2000\r\n" + b":7\r\n" * 2000, b"*2000\r\n" + b":7\r\n" * 2000),
    (deque([1]), b"*1\r\n:1\r\n", b"*1\r\n:1\r\n"),
    (range(2), b"*2\r\n:0\r\n:1\r\n", b"*2\r\n:0\r\n:1\r\n"),
    ({}, b"*0\r\n", b"%0\r\n"),
    ({b"a": 1, "b": True}, b"*4\r\n$1\r\na\r\n:1\r\n+b\r\n:1\r\n", b"%2\r\n$1\r\na\r\n:1\r\n+b\r\n#t\r\n"),
    (OrderedDict(a=None), b"*2\r\n+a\r\n$-1\r\n", b"%1\r\n+a\r\n_\r\n"),
    (MappingProxyType({1: 2}), b"*2\r\n:1\r\n:2\r\n", b"%1\r\n:1\r\n:2\r\n"),
    (
        PairedMap([(b"a", [1, None]), (b"a", b"b")]),
        b"*2\r\n*2\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        b"%2\r\n$1\r\na\r\n*2\r\n:1\r\n_\r\n$1\r\na\r\n$1\r\nb\r\n",
    ),
    (PairedMap([]), b"*0\r\n", b"%0\r\n"),
    (Encoded(b"*1\r\n$1\r\na\r\n"), b"*1\r\n$1\r\na\r\n", b"*1\r\n$1\r\na\r\n"),
    (Set([b"b", b"a"]), b"*2\r\n$1\r\nb\r\n$1\r\na\r\n", b"~2\r\n$1\r\nb\r\n$1\r\na\r\n"),
    (
        Pairs([(b"a", 1.5), (b"b", b"c"), (b"", 3.0)]),
        b"*6\r\n$1\r\na\r\n$3\r\n1.5\r\n$1\r\nb\r\n$1\r\nc\r\n$0\r\n\r\n$1\r\n3\r\n",
        b"*3\r\n*2\r\n$1\r\na\r\n,1.5\r\n*2\r\n$1\r\nb\r\n$1\r\nc\r\n*2\r\n$0\r\n\r\n,3\r\n",
    ),
    (Pairs([]), b"*0\r\n", b"*0\r\n"),
    (DoubleText(b"0.50000"), b"$7\r\n0.50000\r\n", b",0.50000\r\n"),
    (Push([b"message", 1]), b"*2\r\n$7\r\nmessage\r\n:1\r\n", b">2\r\n$7\r\nmessage\r\n:1\r\n"),
    (Several([]), b"", b""),
    (Several([Push([b"a", None]), 1]), b"*2\r\n$1\r\na\r\n$-1\r\n:1\r\n", b">2\r\n$1\r\na\r\n_\r\n:1\r\n"),
    (Verbatim(b"a\r\nb"), b"$4\r\na\r\nb\r\n", b"=8\r\ntxt:a\r\nb\r\n"),
    (Verbatim(BIG), b"$100000\r\n" + BIG + b"\r\n", b"=100004\r\ntxt:" + BIG + b"\r\n"),
    (ReplyError("ERR no such key"), b"-ERR no such key\r\n", b"-ERR no such key\r\n"),
    (ReplyError("ERR '\xff\u20ac'"), b"-ERR '\xff?'\r\n", b"-ERR '\xff?'\r\n"),
    (NO_REPLY, b"", b""),
]

DOUBLES: list[tuple[float, bytes]] = [
    (0.0, b"0"),
    (-0.0, b"-0"),
    (1.0, b"1"),
    (-1.5, b"-1.5"),
    (0.1, b"0.1"),
    (1234.5678, b"1234.5678"),
    (123456789.123, b"123456789.123"),
    (3.0000000000000004, b"3.0000000000000004"),
    (1e8, b"100000000"),
    (1e16, b"10000000000000000"),
    (4e18, b"4000000000000000000"),
    (2.0**62, b"4611686018427387904"),
    (-(2.0**62), b"-4611686018427387904"),
    (5e18, b"5e+18"),
    (2.0**63, b"9223372036854776000"),
    (1e20, b"1e+20"),
    (-1.5e20, b"-1.5e+20"),
    (1.5e300, b"1.5e+300"),
    (1.7976931348623157e308, b"1.7976931348623157e+308"),
    (0.001, b"0.001"),
    (1e-5, b"0.00001"),
    (1e-6, b"0.000001"),
    (1.5e-5, b"0.000015"),
    (1.5e-6, b"1.5e-6"),
    (1e-7, b"1e-7"),
    (0.00012345678, b"1.2345678e-4"),
    (2.2250738585072014e-308, b"2.2250738585072014e-308"),
    (5e-324, b"5e-324"),
    (math.inf, b"inf"),
    (-math.inf, b"-inf"),
    (math.nan, b"nan"),
]


@pytest.mark.parametrize(("reply", "resp2", "resp3"), ROWS)
def test_each_kind_in_both_protocols(reply: Any, resp2: bytes, resp3: bytes) -> None:
    assert encode(reply, 2) == resp2
    assert encode(reply, 3) == resp3


@pytest.mark.parametrize(("reply", "resp2", "resp3"), ROWS)
def test_each_kind_inside_others(reply: Any, resp2: bytes, resp3: bytes) -> None:
    assert encode([1, reply], 2) == b"*2\r\n:1\r\n" + resp2
    assert encode((reply, 1), 3) == b"*2\r\n" + resp3 + b":1\r\n"
    assert encode({1: reply}, 3) == b"%1\r\n:1\r\n" + resp3
    assert encode(Set([reply]), 3) == b"~1\r\n" + resp3
    assert encode(Push([reply]), 3) == b">1\r\n" + resp3


@pytest.mark.parametrize(("value", "text"), DOUBLES)
def test_doubles(value: float, text: bytes) -> None:
    assert format_double(value) == text
    if not math.isnan(value):
        assert float(text) == value


def test_replies_of_a_batch_share_one_list_and_a_big_bulk_is_not_copied() -> None:
    out = [b"+before\r\n"]
    encode_into(out, [BIG, Verbatim(BIG), 1], 3)
    encode_into(out, NO_REPLY, 3)
    encode_into(out, "OK", 3)
    assert sum(chunk is BIG for chunk in out) == 2
    assert b"".join(out) == b"+before\r\n" + encode([BIG, Verbatim(BIG), 1], 3) + b"+OK\r\n"


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, [object()]])
def test_what_is_no_reply_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        encode(value, 2)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("count", [0, 1, SLICE_ITEMS, SLICE_ITEMS + 1, 3 * SLICE_ITEMS - 1])
def test_long_replies_in_slices(protocol: int, count: int) -> None:
    items = [b"%d" % number for number in range(count)]
    replies: list[Reply] = [items, tuple(items), Set(items), [items, 5], {b"a": items}, b"text", None]
    for reply in replies:
        out: list[bytes] = []
        breaths: list[None] = []
        encode_in_slices(out, reply, protocol, partial(breaths.append, None))
        assert b"".join(out) == encode(reply, protocol)
        if reply is items:
            assert len(breaths) == -(-count // SLICE_ITEMS)
            assert len(out) == 1 + len(breaths)


@pytest.mark.parametrize("value", [b"", b"a\r\nb", [], [b"$1\r\n", b""], [b"id", [b"f", b"v"], []]])
def test_what_is_encoded_is_read_again(value: Any) -> None:
    assert Encoded(encode(value, 2)).decoded() == value
