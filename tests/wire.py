"""Requests and replies as bytes, written without Keyp's own parser and encoder, so that a fault there shows.

Replies are Python values: `str` a simple string, `bytes` a bulk string, `int`, `list`, None a null, `NO_ARRAY` the null
array of an EXEC that was called off, an `Error` its text. Read from RESP3, a map is a `dict`, a set a `frozenset`, a
double a `float`, a verbatim string its text, a push a `Push`.
"""

from __future__ import annotations

from typing import Any


class Error(str):
    """An error reply's text."""


class Push(list[Any]):
    """What came without being asked for."""


class _NoArray:
    def __repr__(self) -> str:
        return "NO_ARRAY"


NO_ARRAY = _NoArray()


def request(*words: bytes) -> bytes:
    """A command as clients send it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def reply(value: Any, protocol: int) -> bytes:
    """The bytes that stand for `value` in RESP2 or RESP3."""
    if isinstance(value, Error):
        return b"-%s\r\n" % value.encode("latin-1")
    if value is None:
        return b"_\r\n" if protocol == 3 else b"$-1\r\n"
    if value is NO_ARRAY:
        return b"_\r\n" if protocol == 3 else b"*-1\r\n"
    if isinstance(value, str):
        return b"+%s\r\n" % value.encode()
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, list):
        return b"*%d\r\n" % len(value) + b"".join(reply(item, protocol) for item in value)
    return b"$%d\r\n%s\r\n" % (len(value), value)


def reply_end(data: bytes, start: int = 0) -> int:
    """Where the reply that starts at `start` ends, -1 where it is not all there yet."""
    line_end = data.find(b"\r\n", start)
    if line_end < 0:
        return -1
    kind, position = data[start : start + 1], line_end + 2
    if kind in b"+-:_#,(":
        return position
    length = int(data[start + 1 : line_end])
    if kind in b"$=!":
        end = position + length + 2 if length >= 0 else position
        return end if end <= len(data) else -1
    for _ in range(2 * length if kind in b"%|" else length):
        position = reply_end(data, position)
        if position < 0:
            return -1
    return position


def split(data: bytes) -> list[bytes]:
    """Each reply's bytes; `data` holds whole replies."""
    replies: list[bytes] = []
    start = 0
    while start < len(data):
        end = reply_end(data, start)
        assert end > 0, f"half a reply: {data[start:][:200]!r}"
        replies.append(data[start:end])
        start = end
    return replies


def parse(data: bytes) -> Any:
    """The one reply that `data` holds, as a value."""
    value, end = _parse(data, 0)
    assert end == len(data), f"more than one reply: {data[:200]!r}"
    return value


def parse_all(data: bytes) -> list[Any]:
    """The replies that `data` holds, as values."""
    return [parse(part) for part in split(data)]


def _parse(data: bytes, start: int) -> tuple[Any, int]:
    line_end = data.index(b"\r\n", start)
    kind, line, position = data[start : start + 1], data[start + 1 : line_end], line_end + 2
    if kind in b"+-":
        text = line.decode("latin-1")
        return (text if kind == b"+" else Error(text)), position
    if kind in b":(":
        return int(line), position
    if kind == b",":
        return float(line), position
    if kind == b"#":
        return line == b"t", position
    if kind == b"_" or line == b"-1":
        return (NO_ARRAY if kind == b"*" else None), position
    if kind in b"$=":
        end = position + int(line)
        return data[position + 4 if kind == b"=" else position : end], end + 2
    return _parse_many(kind, data, int(line), position)


def _parse_many(kind: bytes, data: bytes, length: int, position: int) -> tuple[Any, int]:
    items: list[Any] = []
    for _ in range(2 * length if kind == b"%" else length):
        item, position = _parse(data, position)
        items.append(item)
    if kind == b"%":
        return {_key(name): value for name, value in zip(items[::2], items[1::2], strict=True)}, position
    if kind == b"~":
        return frozenset(map(_key, items)), position
    return (Push(items) if kind == b">" else items), position


def _key(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
