"""Requests and replies as bytes, written without Keyp's own encoder, so that a fault there shows.

Replies are Python values: `str` a simple string, `bytes` a bulk string, `int`, `list`, None a null, `NO_ARRAY` the null
array of an EXEC that was called off, an `Error` its text.
"""

from __future__ import annotations

from typing import Any


class Error(str):
    """An error reply's text."""


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
