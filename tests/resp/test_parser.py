"""Rows of a stream and what must come of it; each runs whole, byte by byte, cut at every point, and followed by more.

`tests/differential/test_protocol_errors.py` sends the malformed ones to a real server, which must answer with the same
error and hang up. Where real servers differ from each other, or answer by the sizes of their reads, the rows are in a
list of their own.
"""

from __future__ import annotations

import tracemalloc

import pytest

from keyp.resp.parser import ProtocolError, RequestParser

Requests = list[list[bytes]]

PING = b"*1\r\n$4\r\nPING\r\n"
LINE_LIMIT = 64 * 1024

COMPLETE: list[tuple[bytes, Requests]] = [
    (b"", []),
    (PING, [[b"PING"]]),
    (PING + PING, [[b"PING"], [b"PING"]]),
    (b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n", [[b"SET", b"key", b"value"]]),
    (b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", [[b"ECHO", b""]]),
    (b"*1\r\n$0\r\n\r\n", [[b""]]),
    (b"*2\r\n$4\r\nECHO\r\n$6\r\na\r\n\x00\xffb\r\n", [[b"ECHO", b"a\r\n\x00\xffb"]]),
    (b"*1\r\n$9\r\n123456789\r\n", [[b"123456789"]]),
    (b"*1\r\n$10\r\n0123456789\r\n", [[b"0123456789"]]),
    (b"*1\r\n$99\r\n" + b"x" * 99 + b"\r\n", [[b"x" * 99]]),
    (b"*1\r\n$100\r\n" + b"x" * 100 + b"\r\n", [[b"x" * 100]]),
    (b"*12\r\n" + b"$1\r\nx\r\n" * 12, [[b"x"] * 12]),
    (b"*0\r\n", []),
    (b"*0\r\n*-1\r\n*-9223372036854775808\r\n" + PING, [[b"PING"]]),
    (b"\n\r\n \t \r\n" + PING + b"\n", [[b"PING"]]),
    (b"PING\n", [[b"PING"]]),
    (b"PING\r\n" + PING + b"ECHO 'a b'\n" + PING, [[b"PING"], [b"PING"], [b"ECHO", b"a b"], [b"PING"]]),
    (b" *1\r\n", [[b"*1"]]),
    (b"PING\rPONG\n", [[b"PING", b"PONG"]]),
    (b"\r\rPING\r\n", [[b"PING"]]),
]

# Redis 7 skips the two bytes behind a payload, and the one behind a length's \r, without a look. Valkey 9 refuses them.
UNCHECKED: list[tuple[bytes, Requests]] = [
    (b"*1\r\n$4\r\nPINGXY" + PING, [[b"PING"], [b"PING"]]),
    (b"*1\rX$4\rXPINGXX" + PING, [[b"PING"], [b"PING"]]),
    (b"*1\r*$1\r$\r\r\n\r\n", [[b"\r"]]),
]

UNFINISHED: list[bytes] = [
    b"*",
    b"*1",
    b"*1\r",
    b"*1\r\n",
    b"*1\r\n$",
    b"*1\r\n$4\r",
    b"*1\r\n$4\r\n",
    b"*1\r\n$4\r\nPI",
    b"*1\r\n$4\r\nPING",
    b"*1\r\n$4\r\nPING\r",
    b"*2\r\n$4\r\nPING\r\n",
    b"*2147483647\r\n$4\r\nPING\r\n",
    b"*1\r\n$536870912\r\nPING\r\n",
    b"*1\r\nno length and no end",
    b"PING",
    b"PING\r",
    b"PI\x00NG\r\nPING\r\n",
]

BAD_COUNTS = [
    *(b"", b"+1", b"01", b" 1", b"1 ", b"-", b"--1", b"-0", b"-01", b"00", b"abc", b"1_0", b"0x1", b"1\n"),
    *(
        b"1\x00",
        b"\x001",
        b"2147483648",
        b"9223372036854775808",
        b"-9223372036854775809",
        b"1" * 20,
        b"1" * 300,
        b"\xb2",
    ),
]
BAD_LENGTHS = [*BAD_COUNTS, b"-1", b"536870913", *(bytes([byte]) for byte in range(256) if byte not in b"0123456789\r")]
BAD_SIGNS = [(b"x", "x"), (b"*", "*"), (b"\xff", "\xff"), (b"\t", "\t"), (b"\n", " "), (b"\r", " "), (b"\x00", "\0")]
BAD_LINES = [b'"', b"'", b'PING "', b'PING "a', b"PING 'a", b'PING "a\\']

MALFORMED: list[tuple[bytes, Requests, str]] = [
    *((b"*%b\r\n" % text, [], "invalid multibulk length") for text in BAD_COUNTS),
    *((b"*1\r\n$%b\r\n" % text, [], "invalid bulk length") for text in BAD_LENGTHS),
    *((b"*1\r\n%b1\r\n" % sign, [], f"expected '$', got '{shown}'") for sign, shown in BAD_SIGNS),
    *((line + b"\r\n", [], "unbalanced quotes in request") for line in BAD_LINES),
    (b"*2\r\n$4\r\nECHO\r\n*1\r\n", [], "expected '$', got '*'"),
    (PING + b"PING\r\n*1\r\nx\r\n", [[b"PING"], [b"PING"]], "expected '$', got 'x'"),
    (PING + b"*1\r\n$-1\r\n", [[b"PING"]], "invalid bulk length"),
    (PING + b"PING '\r\n", [[b"PING"]], "unbalanced quotes in request"),
]


@pytest.mark.parametrize("cuts", [[], [1], [1, 1, 1]])
def test_a_handshake_of_tls_is_noticed_wherever_it_is_cut(cuts: list[int]) -> None:
    parser, stream = RequestParser(), b"PING\r\n\x16\x03\x01"
    assert parser.feed(stream[:6]) == [[b"PING"]]
    stream = stream[6:]
    for cut in cuts:
        assert parser.feed(stream[:cut]) == []
        stream = stream[cut:]
    assert parser.feed(stream) == []
    assert parser.error is not None
    assert parser.error.silent
    other = RequestParser()
    assert other.feed(b"\x16") == []
    assert other.feed(b"a\n") == [[b"\x16a"]]


# Too long to be cut at every point. A real server looks only when a read has come, so a line that passes its limit and
# ends within the same read may go through there.
TOO_BIG: list[tuple[bytes, str]] = [
    (b"x" * (LINE_LIMIT + 1), "too big inline request"),
    (b"PING\x00\r\n" + b"x" * LINE_LIMIT, "too big inline request"),
    (b"*" + b"1" * LINE_LIMIT, "too big mbulk count string"),
    (b"*1\r\n$" + b"1" * LINE_LIMIT, "too big bulk count string"),
    (b"*1\r\n" + b"1" * (LINE_LIMIT + 1), "too big bulk count string"),
]


def run(stream: bytes, size: int) -> tuple[Requests, str | None, RequestParser]:
    """Feed `stream` in pieces of `size` bytes: the requests, the text of the error, the parser."""
    parser = RequestParser()
    requests: Requests = []
    for start in range(0, max(len(stream), 1), size):
        requests += parser.feed(stream[start : start + size])
    return requests, parser.error.text if parser.error else None, parser


def check(stream: bytes, requests: Requests, error: str | None) -> None:
    text = f"ERR Protocol error: {error}" if error else None
    assert run(stream, max(len(stream), 1))[:2] == (requests, text)
    assert run(stream, 1)[:2] == (requests, text)
    for cut in range(len(stream) + 1):
        parser = RequestParser()
        assert parser.feed(stream[:cut]) + parser.feed(b"") + parser.feed(stream[cut:]) == requests
        assert (parser.error.text if parser.error else None) == text


@pytest.mark.parametrize(("stream", "requests_"), COMPLETE + UNCHECKED)
def test_complete_requests(stream: bytes, requests_: Requests) -> None:
    check(stream, requests_, None)
    check(stream + PING, [*requests_, [b"PING"]], None)
    assert run(stream, 1)[2].buffered_bytes == 0
    assert run(stream + b"*1\r\n$4", 3)[2].buffered_bytes == 6


@pytest.mark.parametrize("stream", UNFINISHED)
def test_unfinished_requests_are_held(stream: bytes) -> None:
    check(stream, [], None)
    check(PING + stream, [[b"PING"]], None)
    for size in (1, 2, len(stream) + len(PING)):
        assert run(stream, size)[2].buffered_bytes == len(stream)
        assert run(PING + stream, size)[2].buffered_bytes == len(stream)


@pytest.mark.parametrize(("stream", "requests_", "error"), MALFORMED)
def test_malformed_requests(stream: bytes, requests_: Requests, error: str) -> None:
    check(stream, requests_, error)
    check(stream + PING, requests_, error)


@pytest.mark.parametrize(("stream", "error"), TOO_BIG)
@pytest.mark.parametrize("size", [1, 1000, LINE_LIMIT, 2 * LINE_LIMIT])
def test_lines_too_big(stream: bytes, error: str, size: int) -> None:
    requests, text, parser = run(PING + stream, size)
    assert requests == [[b"PING"]]
    assert text == f"ERR Protocol error: {error}"
    assert parser.buffered_bytes == 0


@pytest.mark.parametrize("size", [1, 1000, LINE_LIMIT, 2 * LINE_LIMIT])
def test_the_longest_line(size: int) -> None:
    line = b"x" * LINE_LIMIT
    assert run(line + b"\n" + PING, size)[:2] == ([[line], [b"PING"]], None)
    assert run(line + b"x\n" + PING, size)[:2] == ([], "ERR Protocol error: too big inline request")


def test_after_an_error_all_input_is_ignored() -> None:
    parser = RequestParser()
    assert parser.feed(PING + b"*x\r\n" + PING) == [[b"PING"]]
    error = parser.error
    assert error is not None
    assert not error.silent
    assert parser.feed(PING) == []
    assert parser.error is error
    assert parser.buffered_bytes == 0


def test_the_bulk_limit_may_change_between_feeds() -> None:
    parser = RequestParser(max_bulk_bytes=5)
    assert parser.feed(b"*1\r\n$5\r\nabcde\r\n") == [[b"abcde"]]
    parser.max_bulk_bytes = 200
    assert parser.feed(b"*1\r\n$200\r\n" + b"x" * 200 + b"\r\n") == [[b"x" * 200]]
    parser.max_bulk_bytes = 3
    assert parser.feed(b"*1\r\n$4\r\nabcd\r\n") == []
    assert parser.error is not None
    assert parser.error.text == "ERR Protocol error: invalid bulk length"


@pytest.mark.parametrize("stream", [b"*1\r\n$100\r\n" + b"x" * 91, b"*50\r\n" + b"$1\r\nx\r\n" * 20, b"x" * 101])
@pytest.mark.parametrize("size", [1, 7, 200])
def test_too_much_held_breaks_the_stream_silently(stream: bytes, size: int) -> None:
    parser = RequestParser(max_buffer_bytes=100)
    assert parser.feed(stream[:100]) == []
    assert parser.error is None
    for start in range(100, len(stream), size):
        assert parser.feed(stream[start : start + size]) == []
    assert isinstance(parser.error, ProtocolError)
    assert parser.error.silent
    assert parser.error.text == ""
    assert parser.buffered_bytes == 0


@pytest.mark.parametrize("size", [7, 4096, 64 * 1024])
def test_a_hundred_thousand_arguments(size: int) -> None:
    count = 100_000
    stream = b"*%d\r\n" % count + b"$5\r\nvalue\r\n" * count
    parser = RequestParser()
    requests: Requests = []
    for start in range(0, len(stream), size):
        assert requests == []
        assert parser.buffered_bytes == start
        requests = parser.feed(stream[start : start + size])
    assert requests == [[b"value"] * count]
    assert parser.buffered_bytes == 0


@pytest.mark.parametrize("extra", [b"", b"\r", b"\r\n", b"\r\n" + PING])
def test_a_big_bulk_is_joined_once(extra: bytes) -> None:
    chunk = bytes(range(256)) * 4
    count = 16 * 1024
    parser = RequestParser()
    assert parser.feed(b"*1\r\n$%d\r\n" % (count * len(chunk))) == []
    for _ in range(count):
        assert parser.feed(chunk) == []
    held = parser.buffered_bytes
    assert held > count * len(chunk)
    requests = parser.feed(extra) + parser.feed((b"\r\n" + PING)[len(extra) :])
    assert [len(args) for args in requests] == [1, 1]
    assert requests[0][0] == chunk * count
    assert requests[1] == [b"PING"]


def test_memory_follows_what_came_and_not_what_was_announced() -> None:
    parsers = [RequestParser() for _ in range(100)]
    tracemalloc.start()
    for parser in parsers:
        parser.feed(b"*2147483647\r\n$536870912\r\nx")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1024 * len(parsers)


def limited() -> RequestParser:
    parser = RequestParser()
    parser.is_limited = True
    return parser


def test_what_stands_behind_a_request_is_not_copied_for_each_before_the_log_in() -> None:
    parser = limited()
    assert parser.feed(b"PING\r\n" * 1000) == [[b"PING"]]
    rest = parser._rest
    for left in range(998, -1, -1):
        assert parser.has_rest
        assert parser._rest is rest
        assert parser.feed(b"") == [[b"PING"]]
        assert parser.buffered_bytes == 6 * left
    assert not parser.has_rest
    assert parser.feed(b"") == []


@pytest.mark.parametrize("step", [1, 2, 5, 7, 100])
def test_one_request_at_a_time_gives_the_same_requests(step: int) -> None:
    data = b"*1\r\n$4\r\nPING\r\nGET a\r\n\r\n*0\r\n*2\r\n$4\r\nECHO\r\n$11\r\nhello world\r\nPING\r\n" * 3
    parser, found = limited(), []
    for place in range(0, len(data), step):
        requests = parser.feed(data[place : place + step])
        assert len(requests) <= 1
        found += requests
    while parser.has_rest:
        found += parser.feed(b"")
    assert found == RequestParser().feed(data)
    assert parser.buffered_bytes == 0
