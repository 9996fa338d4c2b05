"""Bytes of a connection: requests as arrays, requests as lines, and the lines' quotes.

What comes out must not depend on how the bytes were cut, nothing may be raised, what waits is never more than has come,
and a second reading of the rules, written letter by letter, must find the same.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from keyp.resp.inline import split_inline
from keyp.resp.parser import RequestParser
from tests import wire
from tests.fuzz.source import Source
from tests.fuzz.target import Run

DOCUMENTED: Final = re.compile(
    r"ERR Protocol error: (too big inline request|unbalanced quotes in request|too big mbulk count string"
    r"|invalid multibulk length|too big bulk count string|expected '\$', got '[^\r\n]'|invalid bulk length"
    r"|unauthenticated multibulk length|unauthenticated bulk length)|it speaks TLS to a port without it|"
)
MAX_BULK_BYTES: Final = (512 << 20, 0, 3, 20)
MAX_BUFFER_BYTES: Final = (1 << 30, 0, 10, 300)

Outcome = tuple[list[list[bytes]], str | None, int]  # requests, error, bytes that wait


class Feeder:
    """A parser as a connection uses it. Its client has to log in until `log_in` requests have come."""

    def __init__(self, log_in: int, max_bulk_bytes: int, max_buffer_bytes: int) -> None:
        self.parser = RequestParser(max_bulk_bytes, max_buffer_bytes)
        self.parser.is_limited = log_in > 0
        self.log_in = log_in
        self.requests: list[list[bytes]] = []

    def feed(self, data: bytes) -> None:
        """Bytes have come; what a limited parser leaves is parsed when the request before it is done."""
        parser = self.parser
        waiting = parser.buffered_bytes + len(data)
        while True:
            found = parser.feed(data)
            assert len(found) <= 1 or not parser.is_limited
            self.requests += found
            parser.is_limited = len(self.requests) < self.log_in
            assert 0 <= parser.buffered_bytes <= waiting
            if not parser.has_rest:
                break
            data = b""
        if parser.error is not None:
            assert parser.buffered_bytes == 0
            assert not parser.has_rest
            assert parser.feed(b"*1\r\n$4\r\nPING\r\n") == []

    def outcome(self) -> Outcome:
        """What came out of it."""
        error = self.parser.error
        return self.requests, None if error is None else error.text, self.parser.buffered_bytes


def requests(_: Path) -> Run:
    """Any stream, whole, in pieces as the input says, and byte by byte."""

    def run(data: bytes) -> None:
        source = Source(data)
        switches = source.byte()
        log_in = (0, 0, 1, 2)[switches & 3]
        limits = (MAX_BULK_BYTES[switches >> 2 & 3], MAX_BUFFER_BYTES[switches >> 4 & 3])
        cuts = [source.byte() for _ in range(source.below(8))]
        stream = source.rest()
        if switches & 64:
            stream = stream.replace(b"\n", b"\r\n")  # two bytes that have to meet are hard to find by chance
        if switches & 128 and len(cuts) == 7 and cuts[-1] & 15 == 15:
            stream = stream[:3] + b"x" * (64 * 1024 - cuts[-1]) + stream[3:]  # about as long as a line may be
        whole = Feeder(log_in, *limits)
        whole.feed(stream)
        expected = whole.outcome()
        assert all(expected[0])
        assert expected[1] is None or DOCUMENTED.fullmatch(expected[1]), expected[1]
        if limits[1] == 1 << 30:  # how much waits at once depends on how it comes
            pieces = [1] * min(len(stream), 100) if len(cuts) == 1 else cuts
            assert cut(stream, pieces, log_in, limits) == expected
        else:
            cut(stream, cuts, log_in, limits)
        if expected[1] is None and not log_in:
            again = Feeder(0, 512 << 20, 1 << 30)
            again.feed(b"".join([wire.request(*request) for request in expected[0]]))
            assert again.outcome() == (expected[0], None, 0)

    return run


def cut(stream: bytes, cuts: list[int], log_in: int, limits: tuple[int, int]) -> Outcome:
    """What comes of the stream in pieces of these lengths and one with the rest."""
    feeder = Feeder(log_in, *limits)
    at = 0
    for length in cuts:
        feeder.feed(stream[at : at + length])
        at += length
    feeder.feed(stream[at:])
    return feeder.outcome()


def quoting(_: Path) -> Run:
    """Any line, against a second reading of the rules; and arguments that were quoted."""

    def run(data: bytes) -> None:
        source = Source(data)
        if source.byte() & 1:
            words = [source.text(20) for _ in range(1 + source.below(4))]
            double = [bool(source.byte() & 1) for _ in words]
            line = b" ".join([quoted(word, as_double) for word, as_double in zip(words, double, strict=True)])
            assert split_inline(line) == words
            return
        line = source.rest().replace(b"\n", b" ")
        assert split_inline(line) == second_reading(line)

    return run


def quoted(word: bytes, as_double: bool) -> bytes:
    """A word as somebody types it who is careful."""
    if not as_double and b"\\" not in word:
        return b"'" + word.replace(b"'", b"\\'") + b"'"
    return b'"' + b"".join([b"\\x%02x" % byte for byte in word]) + b'"'


ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}
TOKEN: Final = re.compile(
    r"""(?P<plain>[^ \t\r\n"']+)
    |"(?P<double>(?:\\x[0-9a-fA-F]{2}|\\.|[^"\\])*+)"(?=[ \t\r\n\v\f]|\Z)
    |'(?P<single>(?:\\'|[^'])*+)'(?=[ \t\r\n\v\f]|\Z)""",
    re.VERBOSE | re.DOTALL,
)


def second_reading(line: bytes) -> list[bytes] | None:
    """What `split_inline` says, by regular expressions: a word is plain pieces, of which the last may be quoted."""
    text = line.decode("latin-1")
    words: list[bytes] = []
    at = 0
    while at < len(text):
        if text[at] in " \t\n\v\f\r":
            at += 1
            continue
        word = ""
        while at < len(text) and text[at] not in " \t\r\n":
            found = TOKEN.match(text, at)
            if found is None:
                return None
            at = found.end()
            if found["plain"] is not None:
                word += found["plain"]
                continue
            word += unescaped(found["double"]) if found["double"] is not None else found["single"].replace("\\'", "'")
            break
        words.append(word.encode("latin-1"))
    return words


def unescaped(text: str) -> str:
    """The inside of a double-quoted part, as it is meant."""
    return re.sub(
        r"\\(?:x([0-9a-fA-F]{2})|(.))",
        lambda found: chr(int(found[1], 16)) if found[1] else ESCAPES.get(found[2], found[2]),
        text,
        flags=re.DOTALL,
    )
