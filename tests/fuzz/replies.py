"""Replies, read strictly: whatever Keyp sends must be one of the forms that the protocol in use has, to the letter.

Written without Keyp's encoder. A reply is read as (sign, content): the content is text, or a list of replies for
aggregates; of a map names and values in turn. A null has the content None.
"""

from __future__ import annotations

import re
from typing import Any, Final

Reply = tuple[bytes, Any]

INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,19}")
DOUBLE: Final = re.compile(rb"-?(?:inf|[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)|nan")
SIGNS: Final = {2: b"+-:$*", 3: b"+-:$*_,#=%~>("}
NULLS: Final = {2: (b"$-1", b"*-1"), 3: (b"_",)}


class Unfinished(Exception):
    """The bytes end before the reply does."""


class Unframed(AssertionError):
    """The bytes are no reply."""


def line_at(data: bytes, at: int) -> bytes:
    """The line that begins there, without its end."""
    end = data.find(b"\r\n", at)
    if end < 0:
        raise Unfinished
    line = data[at:end]
    if b"\n" in line or b"\r" in line:
        raise Unframed(f"a line with a line's end in it: {line[:200]!r}")
    return line


def length_in(line: bytes) -> int:
    """The length that a line gives behind its sign."""
    if INTEGER.fullmatch(line[1:]) is None or line[1:2] == b"-":
        raise Unframed(f"no length: {line[:200]!r}")
    return int(line[1:])


def read(data: bytes, at: int, protocol: int) -> tuple[Reply, int]:
    """The reply that begins at `at`, and where the next one begins. Raises `Unfinished` and `Unframed`."""
    opened: list[tuple[bytes, int, list[Reply]]] = []  # aggregates that are not complete: sign, length, items
    while True:
        reply, at = _read_one(data, at, protocol, opened)
        while reply is not None and opened:
            sign, length, items = opened[-1]
            items.append(reply)
            reply = None
            if len(items) == length:
                opened.pop()
                reply = (sign, items)
        if reply is not None:
            return reply, at


def _read_one(
    data: bytes, at: int, protocol: int, opened: list[tuple[bytes, int, list[Reply]]]
) -> tuple[Reply | None, int]:
    """A reply without items, or None and one more aggregate that is opened."""
    line = line_at(data, at)
    sign, end = line[:1], at + len(line) + 2
    if line in NULLS[protocol]:
        return (sign, None), end
    if not sign or sign not in SIGNS[protocol] or sign == b"_":
        raise Unframed(f"no reply of RESP{protocol}: {line[:200]!r}")
    if sign in b"$=":
        length = length_in(line)
        if len(data) < end + length + 2:
            raise Unfinished
        text = data[end : end + length]
        if data[end + length : end + length + 2] != b"\r\n" or (sign == b"=" and text[3:4] != b":"):
            raise Unframed(f"a text that does not end where it says: {line!r}")
        return (sign, text), end + length + 2
    if sign in b"*%~>":
        length = length_in(line) * (2 if sign == b"%" else 1)
        if not length:
            return (sign, []), end
        opened.append((sign, length, []))
        return None, end
    check_line(sign, line[1:])
    return (sign, line[1:]), end


def check_line(sign: bytes, text: bytes) -> None:
    """Whether what stands in one line is written as it must be."""
    if sign == b":" and (INTEGER.fullmatch(text) is None or not -(2**63) <= int(text) < 2**63):
        raise Unframed(f"no number: {text[:200]!r}")
    if sign == b"," and DOUBLE.fullmatch(text) is None:
        raise Unframed(f"no double: {text[:200]!r}")
    if sign == b"#" and text not in (b"t", b"f"):
        raise Unframed(f"neither true nor false: {text[:200]!r}")
