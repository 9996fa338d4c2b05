"""Keys, whatever they hold: remove, count, rename, copy and move them.

None of these looks at a value; `keyp.storage.copying` knows how each type is copied.
"""

from __future__ import annotations

from typing import Final

from keyp import events
from keyp.command.arguments import integer
from keyp.command.context import ReadContext, WriteContext
from keyp.command.spec import DENYOOM, FAST, Args, key_at, keys_from
from keyp.command.table import CommandTable
from keyp.commands.databases import INT_MAX, INT_MIN
from keyp.errors import NO_SUCH_KEY, NOT_INT32, SAME_OBJECT, SYNTAX, CommandError
from keyp.resp.values import Reply
from keyp.storage.copying import copy_value
from keyp.storage.keys.random_key import random_name
from keyp.storage.lmdb.layout import name_crc
from keyp.storage.value_types import VALUE_TYPES

KEYS = CommandTable(group="generic", categories="keyspace")

SUMMED: Final = ("request_policy:multi_shard", "response_policy:agg_sum")


@KEYS.write(
    "DEL",
    arity=-2,
    keys=keys_from(1, "RM delete"),
    since="1.0.0",
    complexity="O(N) with N the number of keys, whatever they hold",
    tips=SUMMED,
    aliases=("DELETE",),
    syntax="key [key ...]",
    summary="Removes keys.",
)
def del_(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of keys that were there."""
    keys = context.keys
    removed = 0
    for key in args[1:]:
        if keys.remove(key):
            keys.notify(events.GENERIC, "del", key)
            removed += 1
    return removed


@KEYS.write(
    "UNLINK",
    arity=-2,
    keys=keys_from(1, "RM delete"),
    flags=FAST,
    since="4.0.0",
    complexity="O(N) with N the number of keys, whatever they hold",
    tips=SUMMED,
    syntax="key [key ...]",
    summary="Removes keys; the room they took is freed later, as with DEL.",
)
def unlink(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of keys that were there."""
    return del_(context, args)


@KEYS.read(
    "EXISTS",
    arity=-2,
    keys=keys_from(1, "RO"),
    flags=FAST,
    since="1.0.0",
    complexity="O(N) with N the number of keys",
    tips=SUMMED,
    syntax="key [key ...]",
    summary="Counts the keys that exist; one named twice counts twice.",
)
def exists(context: ReadContext, args: Args) -> Reply:
    """Replies with the count."""
    keys = context.keys
    return sum([keys.exists(key) for key in args[1:]])


@KEYS.read(
    "TOUCH",
    arity=-2,
    keys=keys_from(1, "RO"),
    flags=FAST,
    since="3.2.1",
    complexity="O(N) with N the number of keys",
    tips=SUMMED,
    syntax="key [key ...]",
    summary="Counts the keys that exist, as an access to each.",
)
def touch(context: ReadContext, args: Args) -> Reply:
    """Replies with the count. It counts as an access even with CLIENT NO-TOUCH on."""
    found = [key for key in args[1:] if context.keys.exists(key)]
    access_times = context.shared.access_times
    for key in found:
        access_times.touch(name_crc(key), context.now_us // 1_000_000)
    return len(found)


@KEYS.read(
    "TYPE",
    arity=2,
    keys=key_at(1, "RO"),
    flags=FAST,
    since="1.0.0",
    syntax="key",
    summary="Names the type of the value that a key holds.",
)
def type_(context: ReadContext, args: Args) -> Reply:
    """Replies with the type, `none` where there is no such key."""
    return VALUE_TYPES[context.keys.type_of(args[1])].name


@KEYS.write(
    "RENAME",
    arity=3,
    keys=key_at(1, "RW access delete") + key_at(2, "OW update"),
    since="1.0.0",
    syntax="key newkey",
    summary="Gives a key another name, in place of the key that had it.",
)
def rename(context: WriteContext, args: Args) -> Reply:
    """Replies OK."""
    record = _existing(context, args[1])
    if args[1] != args[2]:
        _rename(context, args[1], record, args[2])
    return "OK"


def _rename(context: WriteContext, key: bytes, record: bytes, new_key: bytes) -> None:
    keys = context.keys
    keys.rename(key, record, new_key)
    keys.notify(events.GENERIC, "rename_from", key, changes=0)
    keys.notify(events.GENERIC, "rename_to", new_key)


@KEYS.write(
    "RENAMENX",
    arity=3,
    keys=key_at(1, "RW access delete") + key_at(2, "OW insert"),
    flags=FAST,
    since="1.0.0",
    syntax="key newkey",
    summary="Gives a key another name unless there is a key of that name.",
)
def renamenx(context: WriteContext, args: Args) -> Reply:
    """Replies 1, or 0 where the new name is taken, be it by the key itself."""
    record = _existing(context, args[1])
    if context.keys.find(args[2]) is not None:
        return 0
    _rename(context, args[1], record, args[2])
    return 1


def _existing(context: WriteContext, key: bytes) -> bytes:
    record = context.keys.find(key)
    if record is None:
        raise CommandError(NO_SUCH_KEY)
    return record


@KEYS.write(
    "COPY",
    arity=-3,
    keys=key_at(1, "RO access") + key_at(2, "OW update"),
    flags=DENYOOM,
    since="6.2.0",
    complexity="O(N) with N the size of the value",
    syntax="source destination [DB destination-db] [REPLACE]",
    summary="Copies a key's value and deadline to another key.",
)
def copy(context: WriteContext, args: Args) -> Reply:
    """Replies 1, or 0 where there is no such key or the destination is taken."""
    key, new_key = args[1], args[2]
    index, replace = _copy_options(context, args)
    if index == context.selected and key == new_key:
        raise CommandError(SAME_OBJECT)
    target = context.database(index)
    record = context.keys.find(key)
    context.keys.note_read(key, record is not None)
    if record is None or (target.find(new_key) is not None and not replace):
        return 0
    target.remove(new_key)
    copy_value(context.keys, record, target, new_key)
    target.notify(events.GENERIC, "copy_to", new_key)
    return 1


def _copy_options(context: WriteContext, args: Args) -> tuple[int, bool]:
    """The database to copy to, and whether a key that is there is replaced."""
    index, replace = context.selected, False
    rest = iter(args[3:])
    for word in rest:
        option = word.upper()
        if option == b"REPLACE":
            replace = True
            continue
        value = next(rest, None)
        if option != b"DB" or value is None:
            raise CommandError(SYNTAX)
        index = _database_index(context, value)
    return index, replace


@KEYS.write(
    "MOVE",
    arity=3,
    keys=key_at(1, "RW access update"),
    flags=FAST,
    since="1.0.0",
    syntax="key db",
    summary="Moves a key to another database unless it has a key of that name.",
)
def move(context: WriteContext, args: Args) -> Reply:
    """Replies 1, or 0 where there is no such key or the other database has one."""
    key = args[1]
    index = _database_index(context, args[2])
    if index == context.selected:
        raise CommandError(SAME_OBJECT)
    target = context.database(index)
    record = context.keys.find(key)
    if record is None or target.find(key) is not None:
        return 0
    copy_value(context.keys, record, target, key)
    context.keys.remove(key)
    context.keys.notify(events.GENERIC, "move_from", key, changes=0)
    target.notify(events.GENERIC, "move_to", key)
    return 1


def _database_index(context: WriteContext, data: bytes) -> int:
    index = integer(data)
    if not INT_MIN <= index <= INT_MAX:
        raise CommandError(NOT_INT32)
    context.check_index(index)
    return index


@KEYS.read(
    "RANDOMKEY",
    arity=1,
    since="1.0.0",
    tips=("request_policy:all_shards", "response_policy:special", "nondeterministic_output"),
    summary="Returns the name of a random key.",
)
def randomkey(context: ReadContext, args: Args) -> Reply:
    """Replies with the name, null in an empty database."""
    return random_name(context.keys, context.random)
