"""Commands that count: strings that hold a number, changed by adding to it.

A key that does not exist counts from zero; a key that does keeps its deadline. Whole numbers are signed and have 64
bits, others are what `long_double.py` describes.
"""

from __future__ import annotations

from keyp import events
from keyp.algorithms import long_double
from keyp.command.arguments import INT64_MAX, INT64_MIN, integer
from keyp.command.context import WriteContext
from keyp.command.spec import DENYOOM, FAST, Args, key_at
from keyp.command.table import CommandTable
from keyp.errors import NOT_A_FLOAT, NOT_FINITE, OVERFLOW, CommandError
from keyp.resp.values import Reply
from keyp.storage.keys.keyspace import KEEP_DEADLINE, WritableKeyspace
from keyp.storage.lmdb.layout import FLOAT, HAS_ELEMENTS
from keyp.storage.types import strings
from keyp.storage.value_types import STRING

COUNTERS = CommandTable(group="string", categories="string")


def _number_at(keys: WritableKeyspace, key: bytes) -> bytes:
    """The text of the number a key holds, `0` for no key. Raises WRONGTYPE."""
    record = keys.find(key, STRING)
    if record is None:
        return b"0"
    # A string in pieces is far too long for a number: not worth reading, and as wrong as an empty one.
    return b"" if record[0] & HAS_ELEMENTS else strings.value(keys, record)


def _add(context: WriteContext, key: bytes, increment: int) -> Reply:
    keys = context.keys
    total = integer(_number_at(keys, key)) + increment
    if not INT64_MIN <= total <= INT64_MAX:
        raise CommandError(OVERFLOW)
    strings.put(keys, key, b"%d" % total, KEEP_DEADLINE)
    keys.notify(events.STRING, "incrby", key)
    return total


@COUNTERS.write(
    "INCR",
    arity=2,
    keys=key_at(1, "RW access update"),
    flags=DENYOOM | FAST,
    since="1.0.0",
    syntax="key",
    summary="Adds one to a number.",
)
def incr(context: WriteContext, args: Args) -> Reply:
    """The new number."""
    return _add(context, args[1], 1)


@COUNTERS.write(
    "DECR",
    arity=2,
    keys=key_at(1, "RW access update"),
    flags=DENYOOM | FAST,
    since="1.0.0",
    syntax="key",
    summary="Takes one from a number.",
)
def decr(context: WriteContext, args: Args) -> Reply:
    """The new number."""
    return _add(context, args[1], -1)


@COUNTERS.write(
    "INCRBY",
    arity=3,
    keys=key_at(1, "RW access update"),
    flags=DENYOOM | FAST,
    since="1.0.0",
    syntax="key increment",
    summary="Adds a whole number to a number.",
)
def incrby(context: WriteContext, args: Args) -> Reply:
    """The new number."""
    return _add(context, args[1], integer(args[2]))


@COUNTERS.write(
    "DECRBY",
    arity=3,
    keys=key_at(1, "RW access update"),
    flags=DENYOOM | FAST,
    since="1.0.0",
    syntax="key decrement",
    summary="Takes a whole number from a number.",
)
def decrby(context: WriteContext, args: Args) -> Reply:
    """The new number."""
    decrement = integer(args[2])
    if decrement == INT64_MIN:
        raise CommandError("ERR decrement would overflow")
    return _add(context, args[1], -decrement)


@COUNTERS.write(
    "INCRBYFLOAT",
    arity=3,
    keys=key_at(1, "RW access update"),
    flags=DENYOOM | FAST,
    since="2.6.0",
    syntax="key increment",
    summary="Adds a floating-point number to a number.",
)
def incrbyfloat(context: WriteContext, args: Args) -> Reply:
    """The new number as it is stored: up to seventeen decimals, no exponent."""
    keys, key = context.keys, args[1]
    old = long_double.parse(_number_at(keys, key))
    increment = long_double.parse(args[2])
    if old is None or increment is None:
        raise CommandError(NOT_A_FLOAT)
    total = long_double.add(old, increment)
    if not total.finite:
        raise CommandError(NOT_FINITE)
    result = long_double.text(total)
    strings.put(keys, key, result, KEEP_DEADLINE, FLOAT)
    keys.notify(events.STRING, "incrbyfloat", key)
    return result
