"""When two replies to the same command agree: byte for byte, but for what time, chance and order make of them.

| how      | agree                                                                           |
|----------|---------------------------------------------------------------------------------|
| EXACT    | the same bytes                                                                  |
| NEARLY   | so do two positive numbers a moment apart, and consumers idle a moment more     |
| ANY_ORDER| so do arrays, maps and sets with the same members                               |
| SCANNED  | so do a scan's batches with the same names; the cursors are each server's own   |
| ENCODED  | so do those of texts, and those of sorted sets (see `differences.py`)           |
| KIND     | so do any two replies of the same kind, errors only word for word               |
| FIELDS   | so do maps and texts of `name=value` in which we name no field that they do not |
"""

from __future__ import annotations

import re
from typing import Any

from tests import wire

EXACT = "exact"
NEARLY = "nearly"
ANY_ORDER = "any order"
SCANNED = "scanned"
ENCODED = "encoded"
KIND = "kind"
FIELDS = "fields"

# How far apart two clocks may be read: seconds, or milliseconds.
NEAR = {b"TTL": 2, b"EXPIRETIME": 2, b"PTTL": 2000, b"PEXPIRETIME": 2000}
# How long a consumer has been idle, in milliseconds: any two replies may be so far apart on a busy machine.
IDLE = re.compile(rb"(?<=\$4\r\nidle\r\n:)\d+|(?<=\$8\r\ninactive\r\n:)\d+")
IDLE_NEAR_MS = 2000
OF_TEXTS = {b"$3\r\nraw\r\n", b"$6\r\nembstr\r\n"}
OF_SORTED_SETS = {b"$8\r\nlistpack\r\n", b"$8\r\nskiplist\r\n"}
# Errors of scripts: what Valkey says, and Redis.
WORDS_OF_VALKEY = (
    (rb"Unknown command called", rb"Unknown Redis command called"),
    (rb"This Valkey command", rb"This Redis command"),
    (rb"args calling command", rb"args calling Redis command"),
    (rb"for this call", rb"for this redis lib call"),
    (rb"ERR Command arguments must", rb"ERR Lua redis lib command arguments must"),
    (rb"server\.(?=[a-z])", rb"redis."),
    (rb"-ERR Function names can", rb"-ERR Error registering functions: ERR Library names can"),
    (rb"-ERR Function already exists", rb"-ERR Error registering functions: ERR Function already exists"),
    (rb"Invalid log level", rb"Invalid debug level"),
    (rb"NOSCRIPT No matching script\.\r", rb"NOSCRIPT No matching script. Please use EVAL.\r"),
)
FIELD = re.compile(rb"(?:^|[ \r\n])([a-z][a-z_0-9-]*)[=:]")


def agree(how: str, call: list[bytes], theirs: bytes, ours: bytes) -> bool:
    """Whether the replies to `call` agree."""
    if theirs == ours or (b"-" in theirs and in_words_of_redis(theirs) == _without_digest(theirs, ours)):
        return True
    if how == EXACT or theirs[:1] != ours[:1] or theirs[:1] == b"-":
        return False
    if how == KIND:
        return True
    if how == ENCODED:
        return {theirs, ours} == OF_TEXTS or {theirs, ours} == OF_SORTED_SETS
    one, other = wire.parse(theirs), wire.parse(ours)
    if how == NEARLY and not isinstance(one, int):
        return _are_nearly_idle(theirs, ours)
    if how == NEARLY:
        return bool(one > 0 and other > 0 and abs(one - other) <= NEAR.get(call[0].upper(), 2))
    if how == ANY_ORDER:
        return bool(_unordered(one) == _unordered(other))
    if how == SCANNED:
        return bool(_unordered(one[1]) == _unordered(other[1]))
    assert how == FIELDS
    return _fields(other) <= _fields(one)


def _are_nearly_idle(theirs: bytes, ours: bytes) -> bool:
    """Whether two replies differ in nothing but how long consumers have been idle, and in that by a moment."""
    times = zip(IDLE.findall(theirs), IDLE.findall(ours), strict=False)
    near = [abs(int(one) - int(other)) <= IDLE_NEAR_MS for one, other in times]
    return IDLE.sub(b"", theirs) == IDLE.sub(b"", ours) and all(near)


def in_words_of_redis(reply: bytes) -> bytes:
    """Errors of scripts without what Valkey says in words of its own."""
    for theirs, ours in WORDS_OF_VALKEY:
        reply = re.sub(theirs, ours, reply)
    return reply


def _without_digest(theirs: bytes, ours: bytes) -> bytes:
    """Our reply, without the digest of the script where theirs has none either, as in Valkey."""
    return re.sub(rb" script: \w+, on ", rb" script: on ", ours) if b" script: on " in theirs else ours


def _fields(value: Any) -> set[bytes]:
    if isinstance(value, dict):
        return set(value)
    return set(value[::2]) if isinstance(value, list) else set(FIELD.findall(value))


def _unordered(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(map(repr, map(_unordered, value)))
    return value
