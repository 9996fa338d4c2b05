"""Deadlines of keys: set, removed, read.

A key is past its deadline when now is later than it. EXPIRE, PEXPIRE, EXPIREAT and PEXPIREAT with a deadline that is
not later than now remove the key at once. How deadlines are kept and what comes of them is the business of
`keyp.storage`.
"""

from __future__ import annotations

from typing import Final

from keyp import events
from keyp.command.context import ReadContext, WriteContext
from keyp.command.deadline_arguments import MILLISECONDS, SECONDS, deadline_ms
from keyp.command.spec import FAST, Args, key_at
from keyp.command.table import CommandTable
from keyp.errors import CommandError, printable
from keyp.resp.values import Reply
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.layout import NO_DEADLINE

EXPIRY = CommandTable(group="generic", categories="keyspace")

NO_KEY: Final = -2
NO_TTL: Final = -1

# The conditions of EXPIRE, as flags.
NX: Final = 1
XX: Final = 2
GT: Final = 4
LT: Final = 8
CONDITIONS: Final = {b"NX": NX, b"XX": XX, b"GT": GT, b"LT": LT}

UNSTABLE: Final = ("nondeterministic_output",)


@EXPIRY.write(
    "EXPIRE",
    arity=-3,
    keys=key_at(1, "RW update"),
    flags=FAST,
    since="1.0.0",
    syntax="key seconds [NX | XX | GT | LT]",
    summary="Gives a key a deadline, in seconds from now.",
)
def expire(context: WriteContext, args: Args) -> Reply:
    """Replies 1, or 0 where there is no such key or a condition does not hold."""
    return _expire(context, args, SECONDS, False, "expire")


@EXPIRY.write(
    "PEXPIRE",
    arity=-3,
    keys=key_at(1, "RW update"),
    flags=FAST,
    since="2.6.0",
    syntax="key milliseconds [NX | XX | GT | LT]",
    summary="Gives a key a deadline, in milliseconds from now.",
)
def pexpire(context: WriteContext, args: Args) -> Reply:
    """Replies 1, or 0 where there is no such key or a condition does not hold."""
    return _expire(context, args, MILLISECONDS, False, "pexpire")


@EXPIRY.write(
    "EXPIREAT",
    arity=-3,
    keys=key_at(1, "RW update"),
    flags=FAST,
    since="1.2.0",
    syntax="key unix-time-seconds [NX | XX | GT | LT]",
    summary="Gives a key a deadline, in seconds since 1970.",
)
def expireat(context: WriteContext, args: Args) -> Reply:
    """Replies 1, or 0 where there is no such key or a condition does not hold."""
    return _expire(context, args, SECONDS, True, "expireat")


@EXPIRY.write(
    "PEXPIREAT",
    arity=-3,
    keys=key_at(1, "RW update"),
    flags=FAST,
    since="2.6.0",
    syntax="key unix-time-milliseconds [NX | XX | GT | LT]",
    summary="Gives a key a deadline, in milliseconds since 1970.",
)
def pexpireat(context: WriteContext, args: Args) -> Reply:
    """Replies 1, or 0 where there is no such key or a condition does not hold."""
    return _expire(context, args, MILLISECONDS, True, "pexpireat")


def _expire(context: WriteContext, args: Args, unit_ms: int, absolute: bool, command: str) -> int:
    conditions = _conditions(args)
    deadline = deadline_ms(context.now_ms, args[2], unit_ms, absolute, command)
    key, keys = args[1], context.keys
    record = keys.find(key)
    if record is None or not _allowed(conditions, layout.record_deadline_ms(record), deadline):
        return 0
    if deadline <= context.now_ms:
        keys.remove(key)
        keys.notify(events.GENERIC, "del", key)
    else:
        keys.touch(key, record, deadline)
        keys.notify(events.GENERIC, "expire", key)
    return 1


def _conditions(args: Args) -> int:
    conditions = 0
    for word in args[3:]:
        condition = CONDITIONS.get(word.upper())
        if condition is None:
            # No error ends in line breaks: there Redis drops them, within it makes them spaces.
            option = printable(word.partition(b"\0")[0].rstrip(b"\r\n"))
            raise CommandError(f"ERR Unsupported option {option}")
        conditions |= condition
    if conditions & NX and conditions != NX:
        raise CommandError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if conditions & GT and conditions & LT:
        raise CommandError("ERR GT and LT options at the same time are not compatible")
    return conditions


def _allowed(conditions: int, old_ms: int, new_ms: int) -> bool:
    """Whether all conditions hold. A key without a deadline counts as infinitely late."""
    if old_ms == NO_DEADLINE:
        return not conditions & (XX | GT)
    if conditions & GT and new_ms <= old_ms:
        return False
    return not (conditions & NX or (conditions & LT and new_ms >= old_ms))


@EXPIRY.read(
    "TTL",
    arity=2,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="1.0.0",
    tips=UNSTABLE,
    syntax="key",
    summary="Returns the seconds that a key has left; -1 without a deadline, -2 without the key.",
)
def ttl(context: ReadContext, args: Args) -> Reply:
    """Replies with seconds, rounded."""
    return _seconds(_time_left_ms(context, args[1]))


@EXPIRY.read(
    "PTTL",
    arity=2,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="2.6.0",
    tips=UNSTABLE,
    syntax="key",
    summary="Returns the milliseconds that a key has left; -1 without a deadline, -2 without the key.",
)
def pttl(context: ReadContext, args: Args) -> Reply:
    """Replies with milliseconds."""
    return _time_left_ms(context, args[1])


@EXPIRY.read(
    "EXPIRETIME",
    arity=2,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="7.0.0",
    syntax="key",
    summary="Returns a key's deadline in seconds since 1970; -1 without a deadline, -2 without the key.",
)
def expiretime(context: ReadContext, args: Args) -> Reply:
    """Replies with seconds since 1970, rounded."""
    return _seconds(_deadline_ms(context, args[1]))


@EXPIRY.read(
    "PEXPIRETIME",
    arity=2,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="7.0.0",
    syntax="key",
    summary="Returns a key's deadline in milliseconds since 1970; -1 without a deadline, -2 without the key.",
)
def pexpiretime(context: ReadContext, args: Args) -> Reply:
    """Replies with milliseconds since 1970."""
    return _deadline_ms(context, args[1])


def _deadline_ms(context: ReadContext, key: bytes) -> int:
    """The key's deadline, or NO_KEY or NO_TTL."""
    record = context.keys.peek(key)
    if record is None:
        return NO_KEY
    deadline = layout.record_deadline_ms(record)
    return NO_TTL if deadline == NO_DEADLINE else deadline


def _time_left_ms(context: ReadContext, key: bytes) -> int:
    """What the key has left, or NO_KEY or NO_TTL."""
    deadline = _deadline_ms(context, key)
    return deadline if deadline < 0 else deadline - context.now_ms


def _seconds(milliseconds: int) -> int:
    """Rounded to whole seconds, halves up, as Redis does; NO_KEY and NO_TTL as they are."""
    return milliseconds if milliseconds < 0 else (milliseconds + 500) // 1000


@EXPIRY.write(
    "PERSIST",
    arity=2,
    keys=key_at(1, "RW update"),
    flags=FAST,
    since="2.2.0",
    syntax="key",
    summary="Takes a key's deadline away.",
)
def persist(context: WriteContext, args: Args) -> Reply:
    """Replies 1, or 0 where there was no deadline to take away."""
    record = context.keys.find(args[1])
    if record is None or layout.record_deadline_ms(record) == NO_DEADLINE:
        return 0
    context.keys.touch(args[1], record, NO_DEADLINE)
    context.keys.notify(events.GENERIC, "persist", args[1])
    return 1
