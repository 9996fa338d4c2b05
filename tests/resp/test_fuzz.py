"""The invariant: any bytes, cut anywhere, either parse to the same requests or end in the same documented error.

With it, the two ways round: what is sent as requests is parsed as such, and every reply can be read again, to its end.
"""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from keyp.resp.encoder import encode
from keyp.resp.parser import RequestParser
from keyp.resp.values import NULL_ARRAY, NullArray, Push, Reply, ReplyError, Set, Verbatim

DOCUMENTED = re.compile(
    r"ERR Protocol error: (too big inline request|unbalanced quotes in request|too big mbulk count string"
    r"|invalid multibulk length|too big bulk count string|expected '\$', got '[^\r\n]'|invalid bulk length)",
)

REQUESTS = st.lists(st.lists(st.binary(max_size=150), min_size=1, max_size=12))
FRAGMENTS = st.sampled_from(
    [
        *(
            b"*",
            b"$",
            b"\r\n",
            b"\r",
            b"\n",
            b"-1",
            b"0",
            b"1",
            b"2",
            b"3",
            b"10",
            b"12",
            b" ",
            b"\0",
            b'"',
            b"'",
            b"\\",
        ),
        *(b"*1\r\n", b"*2\r\n", b"*0\r\n", b"$0\r\n", b"$1\r\n", b"$4\r\nPING\r\n", b"PING\r\n", b"x" * 40000),
    ]
)
STREAMS = st.lists(
    st.one_of(FRAGMENTS, st.lists(st.binary(max_size=20), min_size=1).map(lambda args: encode(args, 2)), st.binary())
).map(b"".join)
CUTS = st.lists(st.integers(min_value=0, max_value=2000), max_size=30)


def feed_cut(stream: bytes, cuts: list[int]) -> tuple[list[list[bytes]], str | None, int]:
    parser = RequestParser()
    requests = []
    for cut in cuts:
        requests += parser.feed(stream[:cut])
        stream = stream[cut:]
    requests += parser.feed(stream)
    return requests, parser.error.text if parser.error else None, parser.buffered_bytes


@settings(max_examples=200, deadline=None)
@given(STREAMS, CUTS)
def test_any_bytes_cut_anywhere(stream: bytes, cuts: list[int]) -> None:
    whole = feed_cut(stream, [])
    requests, error, _ = whole
    assert all(requests)
    assert error is None or DOCUMENTED.fullmatch(error)
    assert feed_cut(stream, cuts) == whole
    assert feed_cut(stream, [1] * min(len(stream), 3000)) == whole


@settings(max_examples=200, deadline=None)
@given(REQUESTS, CUTS)
def test_requests_sent_are_requests_read(requests: list[list[bytes]], cuts: list[int]) -> None:
    stream = b"".join(encode(request, 2) for request in requests)
    assert feed_cut(stream, cuts) == (requests, None, 0)


TEXTS = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=20)
LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=2000),
    TEXTS,
    TEXTS.map(ReplyError),
    st.binary().map(Verbatim),
    st.just(NULL_ARRAY),
)
REPLIES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.lists(inner).map(Set),
        st.lists(inner).map(Push),
        st.dictionaries(st.binary(max_size=5), inner),
    ),
    max_leaves=20,
)


def read_resp3(stream: bytes, start: int) -> tuple[Any, int]:
    """The reply at `start`, aggregates as (sign, items) and the rest as (sign, text), and the index behind it."""
    sign = stream[start : start + 1]
    line_end = stream.index(b"\r\n", start)
    line = stream[start + 1 : line_end]
    i = line_end + 2
    if sign in (b"$", b"="):
        assert stream[i + int(line) :].startswith(b"\r\n")
        return (sign, stream[i : i + int(line)]), i + int(line) + 2
    if sign not in (b"*", b"%", b"~", b">"):
        assert sign in (b"+", b"-", b":", b",", b"#", b"_")
        return (sign, line), i
    items = []
    for _ in range(int(line) * (2 if sign == b"%" else 1)):
        item, i = read_resp3(stream, i)
        items.append(item)
    return (sign, items), i


def normal_form(reply: Reply) -> Any:
    """What `read_resp3` must make of `reply`, once doubles are read too."""
    match reply:
        case None | NullArray():
            return (b"_", b"")
        case bool():
            return (b"#", b"t" if reply else b"f")
        case float():
            return (b",", reply)
        case int():
            return (b":", str(reply).encode())
        case bytes():
            return (b"$", reply)
        case str():
            return (b"+", reply.encode("latin-1"))
        case ReplyError():
            return (b"-", reply.text.encode("latin-1"))
        case Verbatim():
            return (b"=", b"txt:" + reply.text)
        case Set():
            return (b"~", [normal_form(member) for member in reply.members])
        case Push():
            return (b">", [normal_form(item) for item in reply.items])
        case dict():
            return (b"%", [normal_form(half) for pair in reply.items() for half in pair])
        case list() | tuple():
            return (b"*", [normal_form(item) for item in reply])
    raise AssertionError(reply)


def with_doubles_read(read: Any) -> Any:
    """`read` with the text of each double replaced by its value, for a value may be written in more than one way."""
    sign, content = read
    if isinstance(content, list):
        return (sign, [with_doubles_read(item) for item in content])
    return (sign, float(content)) if sign == b"," else read


@settings(max_examples=200, deadline=None)
@given(REPLIES)
def test_every_reply_can_be_read_to_its_end(reply: Any) -> None:
    stream = encode(reply, 3)
    read, end = read_resp3(stream, 0)
    assert end == len(stream)
    assert with_doubles_read(read) == normal_form(reply)
