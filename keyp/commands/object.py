"""OBJECT: how Redis would keep a value.

The names of encodings are Redis's, for the clients and tests that ask for them; Keyp keeps all strings the same way. It
knows for how long at least a key was not accessed (`keyp.storage.access_times`), but not how often it is.
"""

from __future__ import annotations

from typing import Final

from keyp.command.context import ReadContext
from keyp.command.encodings import encoding
from keyp.command.spec import Args, key_at
from keyp.command.table import CommandTable
from keyp.errors import CommandError
from keyp.resp.values import Reply
from keyp.storage.lmdb.layout import name_crc
from keyp.storage.types import strings

OBJECT = CommandTable(group="generic", categories="keyspace")

SHARED_INTEGERS: Final = 10_000  # 0 and up: Redis shares one object for each
SHARED_REFCOUNT: Final = 2_147_483_647
NO_FREQUENCY: Final = (
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching"
    " between policies at runtime LRU and LFU data will take some time to adjust."
)

UNSTABLE: Final = ("nondeterministic_output",)

OBJECT.container(
    "OBJECT",
    arity=-2,
    categories="",
    since="2.2.3",
    help_since="6.2.0",
    complexity="Depends on the subcommand.",
    summary="Introduces the subcommands about the insides of values.",
)


@OBJECT.read(
    "OBJECT|ENCODING",
    arity=3,
    keys=key_at(2, "RO"),
    since="2.2.3",
    tips=UNSTABLE,
    syntax="key",
    summary="Names the encoding in which Redis would keep a key's value.",
)
def object_encoding(context: ReadContext, args: Args) -> Reply:
    """Replies with `int`, `embstr` or `raw` for strings; null without such a key."""
    record = _record(context, args[2])
    return None if record is None else encoding(context.keys, record)


@OBJECT.read(
    "OBJECT|REFCOUNT",
    arity=3,
    keys=key_at(2, "RO"),
    since="2.2.3",
    tips=UNSTABLE,
    syntax="key",
    summary="Returns how many references Redis would hold to a key's value.",
)
def object_refcount(context: ReadContext, args: Args) -> Reply:
    """Replies with 1, or the mark of shared integers; null without such a key."""
    record = _record(context, args[2])
    if record is None:
        return None
    if encoding(context.keys, record) == b"int" and 0 <= int(strings.value(context.keys, record)) < SHARED_INTEGERS:
        return SHARED_REFCOUNT
    return 1


@OBJECT.read(
    "OBJECT|IDLETIME",
    arity=3,
    keys=key_at(2, "RO"),
    since="2.2.3",
    tips=UNSTABLE,
    syntax="key",
    summary="Returns for how many seconds at least a key was not accessed.",
)
def object_idletime(context: ReadContext, args: Args) -> Reply:
    """Replies with seconds, null without such a key."""
    if _record(context, args[2]) is None:
        return None
    return context.shared.access_times.idle_s(name_crc(args[2]), context.now_us // 1_000_000)


@OBJECT.read(
    "OBJECT|FREQ",
    arity=3,
    keys=key_at(2, "RO"),
    since="4.0.0",
    tips=UNSTABLE,
    syntax="key",
    summary="Returns how often a key is accessed; always an error, for that is not tracked.",
)
def object_freq(context: ReadContext, args: Args) -> Reply:
    """Replies null without such a key. Raises the error for servers that do not track it."""
    if _record(context, args[2]) is not None:
        raise CommandError(NO_FREQUENCY)
    return None


def _record(context: ReadContext, key: bytes) -> bytes | None:
    """A key's record. The look counts as a hit or a miss, but notifies of no miss, as in Redis."""
    record = context.keys.find(key, is_access=False)
    if record is None:
        context.transaction.misses += 1
    else:
        context.transaction.hits += 1
    return record
