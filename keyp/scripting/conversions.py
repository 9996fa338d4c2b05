"""Replies from and to Lua: what a command replies becomes a value of Lua, what a script returns becomes a reply.

In the script's own protocol, which is RESP2 until it calls `redis.setresp`, whatever its client speaks. What Lua has no
value for is a table with one field: `ok`, `err`, and in RESP3 `double`, `map`, `set`, `verbatim_string`.

From Lua come flat lists (`flatten` in `lua/replies.lua`), so that no table has to be asked for its fields one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import copysign, isnan
from typing import Any, Final

from keyp.resp.encoder import format_double
from keyp.resp.values import (
    BigNumber,
    DoubleText,
    Encoded,
    NullArray,
    PairedMap,
    Pairs,
    Reply,
    ReplyError,
    Set,
    Verbatim,
)
from keyp.scripting.errors import CallError

# What stands behind a false in a flat list; `lua/replies.lua` has the same numbers.
NIL: Final = 0
ARRAY: Final = 1
STATUS: Final = 2
ERROR: Final = 3
DOUBLE: Final = 4
MAP: Final = 5
SET: Final = 6
BIG_NUMBER: Final = 7
VERBATIM: Final = 8
BOOLEAN: Final = 9

WHOLE_MAX: Final = 1 << 62  # up to here a number is written in full
INT64_MIN: Final = -(1 << 63)
NOT_AN_ARGUMENT: Final = "ERR Lua redis lib command arguments must be strings or integers"


def argument(value: Any) -> bytes:
    """What a script gives a command as an argument. Raises `CallError` unless it is a string or a number."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return b"%d" % value if -WHOLE_MAX <= value <= WHOLE_MAX else format_double(float(value))
    if isinstance(value, float):
        return b"-nan" if isnan(value) and copysign(1, value) < 0 else format_double(value)
    raise CallError(NOT_AN_ARGUMENT)


def one_line(data: bytes) -> str:
    """Text of a script as one line of a reply: line breaks become spaces, foreign bytes keep their value."""
    return data.decode("latin-1").replace("\r", " ").replace("\n", " ")


def to_lua(reply: Reply, resp3: bool) -> Any:
    """What Lua is to get for a reply: bytes, numbers, booleans, None, or dicts and lists that are to become tables."""
    if isinstance(reply, bytes):
        return reply
    if reply is None or isinstance(reply, NullArray):
        return None if resp3 else False
    if isinstance(reply, str):
        return {b"ok": reply.encode("latin-1", "replace")}
    if isinstance(reply, bool):
        return reply if resp3 else int(reply)
    if isinstance(reply, int):
        return reply
    if isinstance(reply, (list, tuple)):
        return _array(reply, resp3)
    return _rare(reply, resp3)


def _array(items: Sequence[Reply], resp3: bool) -> Any:
    converted = [item if isinstance(item, bytes) else to_lua(item, resp3) for item in items]
    if None in converted:  # a place that stays empty
        return {index + 1: item for index, item in enumerate(converted) if item is not None}
    return converted


def _rare(reply: Reply, resp3: bool) -> Any:
    if isinstance(reply, (float, DoubleText)):
        text = reply.text if isinstance(reply, DoubleText) else format_double(reply)
        return {b"double": float(text)} if resp3 else text
    if isinstance(reply, ReplyError):
        return {b"err": reply.text.encode("latin-1", "replace")}
    if isinstance(reply, Mapping):
        pairs = [(to_lua(key, resp3), to_lua(value, resp3)) for key, value in reply.items()]
        if resp3:
            return {b"map": dict(pairs)}
        return [part for pair in pairs for part in pair]
    if isinstance(reply, Pairs):
        if resp3:
            return [[member, to_lua(value, True)] for member, value in reply.pairs]
        return [part for member, value in reply.pairs for part in (member, to_lua(value, False))]
    if isinstance(reply, Encoded):
        return to_lua(reply.decoded(), resp3)
    if isinstance(reply, PairedMap):
        if resp3:
            return {b"map": {key: to_lua(value, True) for key, value in reply.pairs}}
        return [[key, to_lua(value, False)] for key, value in reply.pairs]
    if isinstance(reply, Set):
        members = reply.members
        return {b"set": {to_lua(member, True): True for member in members}} if resp3 else _array(members, False)
    if isinstance(reply, Verbatim):
        return {b"verbatim_string": {b"format": b"txt", b"string": reply.text}} if resp3 else reply.text
    return None if resp3 else False


def size_in_lua(value: Any) -> int:
    """About how many bytes of Lua's memory a value will take that `to_lua` has made."""
    if isinstance(value, bytes):
        return len(value) + 32
    if isinstance(value, list):
        return 64 + sum([size_in_lua(item) for item in value]) + 16 * len(value)
    if isinstance(value, dict):
        return 64 + sum([size_in_lua(key) + size_in_lua(item) + 40 for key, item in value.items()])
    return 16


def whole(value: Any) -> int:
    """A number of Lua as a reply: cut off to a whole one, as C does it."""
    if isinstance(value, int):
        return value
    if not -(2.0**63) <= value < 2.0**63:
        return INT64_MIN
    return int(value)


class FlatList:
    """Reads a reply out of the flat list that stands for it."""

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items
        self._at = 0

    def _next(self) -> Any:
        self._at += 1
        return self._items[self._at - 1]

    def reply(self) -> Reply:
        """The reply that begins here."""
        item = self._next()
        if isinstance(item, bytes):
            return item
        if item is not False:
            return whole(item)
        what = self._next()
        if what == NIL:
            return None
        if what == ARRAY:
            return [self.reply() for _ in range(self._next())]
        return self._rare(what)

    def _rare(self, what: int) -> Reply:
        if what == STATUS:
            return one_line(self._next())
        if what == ERROR:
            return ReplyError(one_line(self._next()))
        if what == DOUBLE:
            return float(self._next())
        if what == BOOLEAN:
            return bool(self._next())
        if what == BIG_NUMBER:
            return BigNumber(one_line(self._next()).encode("latin-1"))
        if what == VERBATIM:
            text_format = self._next()
            return Verbatim(self._next(), text_format)
        count = self._next()
        if what == SET:
            return Set([self.reply() for _ in range(count)])
        return {_as_key(self.reply()): self.reply() for _ in range(count)}


def _as_key(reply: Reply) -> Reply:
    """A reply as a key of a map: what cannot be one there becomes null."""
    return reply if isinstance(reply, (bytes, int)) else None
