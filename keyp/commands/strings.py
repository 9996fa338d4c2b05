"""Commands on strings: a key's value as bytes, whole or in part.

Rules. A command that replaces the whole value removes the key's deadline, unless KEEPTTL is given; one that edits the
value in place (APPEND, SETRANGE) keeps it. A command that gives the old value refuses a key of another type before it
changes anything.

SET stores a deadline in the past like any other: the key does not exist for later commands, and the sweeper removes it.
Only GETEX, which writes no value, removes the key at once.
"""

from __future__ import annotations

from typing import Final

from keyp import events
from keyp.command.arguments import integer
from keyp.command.context import ReadContext, WriteContext
from keyp.command.deadline_arguments import MILLISECONDS, SECONDS, positive_deadline_ms
from keyp.command.spec import DENYOOM, FAST, Args, key_at, keys_from
from keyp.command.table import CommandTable
from keyp.errors import OFFSET_OUT_OF_RANGE, STRING_TOO_LONG, SYNTAX, CommandError, wrong_arity
from keyp.resp.values import Reply
from keyp.storage.keys.keyspace import KEEP_DEADLINE, WritableKeyspace
from keyp.storage.lmdb.layout import NO_DEADLINE, record_deadline_ms, record_type
from keyp.storage.types import strings
from keyp.storage.value_types import STRING

STRINGS = CommandTable(group="string", categories="string")

# Words that introduce a time: its unit, and whether it is absolute.
TIME_WORDS: Final[dict[bytes, tuple[int, bool]]] = {
    b"EX": (SECONDS, False),
    b"PX": (MILLISECONDS, False),
    b"EXAT": (SECONDS, True),
    b"PXAT": (MILLISECONDS, True),
}


class _Options:
    """The words behind a SET or GETEX. `time_word` is empty where no time is given."""

    def __init__(self) -> None:
        self.if_absent = False
        self.if_present = False
        self.get = False
        self.keep_deadline = False
        self.persist = False
        self.time_word = b""
        self.time = b""

    def deadline_ms(self, now_ms: int, command: str) -> int:
        """The deadline the time stands for, NO_DEADLINE without one. Raises the errors of `positive_deadline_ms`."""
        if not self.time_word:
            return NO_DEADLINE
        unit_ms, absolute = TIME_WORDS[self.time_word]
        return positive_deadline_ms(now_ms, self.time, unit_ms, absolute, command)


def _set_options(args: Args) -> _Options:
    options = _Options()
    position = 3
    while position < len(args):
        word = args[position].upper()
        if word == b"NX" and not options.if_present:
            options.if_absent = True
        elif word == b"XX" and not options.if_absent:
            options.if_present = True
        elif word == b"GET":
            options.get = True
        elif word == b"KEEPTTL" and not options.time_word:
            options.keep_deadline = True
        else:
            position = _time_option(options, args, position)
        position += 1
    return options


def _getex_options(args: Args) -> _Options:
    options = _Options()
    position = 2
    while position < len(args):
        if args[position].upper() == b"PERSIST" and not options.time_word:
            options.persist = True
        else:
            position = _time_option(options, args, position)
        position += 1
    return options


def _time_option(options: _Options, args: Args, position: int) -> int:
    """Takes a time word and its number; the position of the number. A word may be repeated, two not combined."""
    word = args[position].upper()
    if (
        word not in TIME_WORDS
        or position + 1 == len(args)
        or options.keep_deadline
        or options.persist
        or options.time_word not in (b"", word)
    ):
        raise CommandError(SYNTAX)
    options.time_word = word
    options.time = args[position + 1]
    return position + 1


def _key_flags(call: Args) -> str:
    """SET reads the old value only with GET."""
    return "RW access update" if b"GET" in [word.upper() for word in call[3:]] else "OW update"


@STRINGS.write(
    "SET",
    arity=-3,
    keys=key_at(1, "RW access update variable_flags", _key_flags),
    flags=DENYOOM,
    since="1.0.0",
    syntax="key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds"
    " | PXAT unix-time-milliseconds | KEEPTTL]",
    summary="Makes a string the value of a key, whatever it held before.",
)
def set_(context: WriteContext, args: Args) -> Reply:
    """OK, or null where a condition did not hold; with GET, the old value or null."""
    keys, key = context.keys, args[1]
    deadline_ms = NO_DEADLINE
    reply: Reply = "OK"
    if len(args) > 3:
        options = _set_options(args)
        deadline_ms = KEEP_DEADLINE if options.keep_deadline else options.deadline_ms(context.now_ms, "set")
        old = _old_value(context, key) if options.get else None
        if options.if_absent or options.if_present:
            exists = keys.find(key) is not None
            if exists if options.if_absent else not exists:
                return old
        if options.get:
            reply = old
    strings.put(keys, key, args[2], deadline_ms)
    keys.notify(events.STRING, "set", key)
    if deadline_ms > NO_DEADLINE:
        keys.notify(events.GENERIC, "expire", key, changes=0)
    return reply


def _put(keys: WritableKeyspace, key: bytes, value: bytes, deadline_ms: int = NO_DEADLINE) -> None:
    strings.put(keys, key, value, deadline_ms)
    keys.notify(events.STRING, "set", key)
    if deadline_ms not in (NO_DEADLINE, KEEP_DEADLINE):
        keys.notify(events.GENERIC, "expire", key, changes=0)


def _old_value(context: WriteContext, key: bytes) -> bytes | None:
    """What a key holds, for a reply: a read, although the command writes."""
    found = strings.get(context.keys, key)
    context.keys.note_read(key, found is not None)
    return found


@STRINGS.write(
    "SETNX",
    arity=3,
    keys=key_at(1, "OW insert"),
    flags=DENYOOM | FAST,
    since="1.0.0",
    syntax="key value",
    summary="Makes a string the value of a key that does not exist yet.",
)
def setnx(context: WriteContext, args: Args) -> Reply:
    """1 if the key was made, 0 if there was one."""
    keys, key = context.keys, args[1]
    if keys.find(key) is not None:
        return 0
    _put(keys, key, args[2])
    return 1


def _set_with_time(context: WriteContext, args: Args, unit_ms: int, command: str) -> Reply:
    deadline_ms = positive_deadline_ms(context.now_ms, args[2], unit_ms, False, command)
    _put(context.keys, args[1], args[3], deadline_ms)
    return "OK"


@STRINGS.write(
    "SETEX",
    arity=4,
    keys=key_at(1, "OW update"),
    flags=DENYOOM,
    since="2.0.0",
    syntax="key seconds value",
    summary="Makes a string the value of a key for a number of seconds.",
)
def setex(context: WriteContext, args: Args) -> Reply:
    """OK."""
    return _set_with_time(context, args, SECONDS, "setex")


@STRINGS.write(
    "PSETEX",
    arity=4,
    keys=key_at(1, "OW update"),
    flags=DENYOOM,
    since="2.6.0",
    syntax="key milliseconds value",
    summary="Makes a string the value of a key for a number of milliseconds.",
)
def psetex(context: WriteContext, args: Args) -> Reply:
    """OK."""
    return _set_with_time(context, args, MILLISECONDS, "psetex")


@STRINGS.read(
    "GET",
    arity=2,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="1.0.0",
    syntax="key",
    summary="Gives the string a key holds.",
)
def get(context: ReadContext, args: Args) -> Reply:
    """The value, or null."""
    return strings.get(context.keys, args[1])


@STRINGS.write(
    "GETEX",
    arity=-2,
    keys=key_at(1, "RW access update"),
    flags=FAST,
    since="6.2.0",
    syntax="key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
    summary="Gives the string a key holds, and changes the key's deadline.",
)
def getex(context: WriteContext, args: Args) -> Reply:
    """The value, or null. The time is checked only where the key exists, as in Redis."""
    keys, key = context.keys, args[1]
    options = _getex_options(args)
    record = keys.find(key, STRING)
    keys.note_read(key, record is not None)
    if record is None:
        return None
    deadline_ms = options.deadline_ms(context.now_ms, "getex")
    found = strings.value(keys, record)
    if options.time_word and deadline_ms <= context.now_ms:
        keys.remove(key)
        keys.notify(events.GENERIC, "del", key)
    elif options.time_word:
        keys.touch(key, record, deadline_ms)
        keys.notify(events.GENERIC, "expire", key)
    elif options.persist and record_deadline_ms(record) != NO_DEADLINE:
        keys.touch(key, record, NO_DEADLINE)
        keys.notify(events.GENERIC, "persist", key)
    return found


@STRINGS.write(
    "GETDEL",
    arity=2,
    keys=key_at(1, "RW access delete"),
    flags=FAST,
    since="6.2.0",
    syntax="key",
    summary="Gives the string a key holds, and removes the key.",
)
def getdel(context: WriteContext, args: Args) -> Reply:
    """The value, or null."""
    keys, key = context.keys, args[1]
    found = _old_value(context, key)
    if found is not None:
        keys.remove(key)
        keys.notify(events.GENERIC, "del", key)
    return found


@STRINGS.write(
    "GETSET",
    arity=3,
    keys=key_at(1, "RW access update"),
    flags=DENYOOM | FAST,
    since="1.0.0",
    syntax="key value",
    summary="Makes a string the value of a key, and gives the one it held.",
)
def getset(context: WriteContext, args: Args) -> Reply:
    """The old value, or null."""
    old = _old_value(context, args[1])
    _put(context.keys, args[1], args[2])
    return old


@STRINGS.read(
    "MGET",
    arity=-2,
    keys=keys_from(1, "RO access"),
    flags=FAST,
    since="1.0.0",
    complexity="O(N) where N is the number of keys to retrieve.",
    tips=("request_policy:multi_shard",),
    syntax="key [key ...]",
    summary="Gives the strings that several keys hold.",
)
def mget(context: ReadContext, args: Args) -> Reply:
    """A value for each key, null where there is none or it is no string."""
    keys = context.keys
    found: list[Reply] = []
    for key in args[1:]:
        record = keys.find(key)
        if record is None or record_type(record) != STRING:
            found.append(None)
        else:
            found.append(strings.value(keys, record))
    return found


@STRINGS.write(
    "MSET",
    arity=-3,
    keys=keys_from(1, "OW update", step=2),
    flags=DENYOOM,
    since="1.0.1",
    complexity="O(N) where N is the number of keys to set.",
    tips=("request_policy:multi_shard", "response_policy:all_succeeded"),
    syntax="key value [key value ...]",
    summary="Makes strings the values of several keys, whatever they held before.",
)
def mset(context: WriteContext, args: Args) -> Reply:
    """OK."""
    _put_pairs(context, args, "mset")
    return "OK"


@STRINGS.write(
    "MSETNX",
    arity=-3,
    keys=keys_from(1, "OW insert", step=2),
    flags=DENYOOM,
    since="1.0.1",
    complexity="O(N) where N is the number of keys to set.",
    syntax="key value [key value ...]",
    summary="Makes strings the values of several keys, if none of them exists yet.",
)
def msetnx(context: WriteContext, args: Args) -> Reply:
    """1 if all were set, 0 if none was."""
    if len(args) % 2 == 0:
        raise wrong_arity("msetnx")
    keys = context.keys
    for key in args[1::2]:
        if keys.find(key) is not None:
            return 0
    _put_pairs(context, args, "msetnx")
    return 1


def _put_pairs(context: WriteContext, args: Args, command: str) -> None:
    if len(args) % 2 == 0:
        raise wrong_arity(command)
    for position in range(1, len(args), 2):
        _put(context.keys, args[position], args[position + 1])


@STRINGS.write(
    "APPEND",
    arity=3,
    keys=key_at(1, "RW insert"),
    flags=DENYOOM | FAST,
    since="2.0.0",
    syntax="key value",
    summary="Adds bytes to the end of a string, which is made if need be.",
)
def append(context: WriteContext, args: Args) -> Reply:
    """The new length."""
    keys, key, tail = context.keys, args[1], args[2]
    old_length = strings.length(keys, key)
    if old_length + len(tail) > context.shared.max_string_bytes and keys.exists(key):
        raise CommandError(STRING_TOO_LONG)
    new_length = strings.append(keys, key, tail)
    keys.notify(events.STRING, "append", key)
    return new_length


@STRINGS.read(
    "STRLEN",
    arity=2,
    keys=key_at(1, "RO"),
    flags=FAST,
    since="2.2.0",
    syntax="key",
    summary="Gives the length of a string.",
)
def strlen(context: ReadContext, args: Args) -> Reply:
    """The length in bytes, 0 where there is no key."""
    return strings.length(context.keys, args[1])


def _part(context: ReadContext, args: Args) -> Reply:
    start, last = integer(args[2]), integer(args[3])
    record = context.keys.find(args[1], STRING)
    if record is None or (start < 0 and last < 0 and start > last):
        return b""
    length = strings.length_of(record)
    # Redis takes an end before the string for its first byte, not for nothing.
    start = max(start + length, 0) if start < 0 else start
    last = max(last + length, 0) if last < 0 else last
    return strings.part(context.keys, record, min(start, length), min(last + 1, length))


@STRINGS.read(
    "GETRANGE",
    arity=4,
    keys=key_at(1, "RO access"),
    since="2.4.0",
    complexity="O(N) where N is the length of the returned string.",
    syntax="key start end",
    summary="Gives a part of a string.",
)
def getrange(context: ReadContext, args: Args) -> Reply:
    """The bytes from start to end, both included; negative positions count from the end."""
    return _part(context, args)


@STRINGS.read(
    "SUBSTR",
    arity=4,
    keys=key_at(1, "RO access"),
    since="1.0.0",
    complexity="O(N) where N is the length of the returned string.",
    syntax="key start end",
    summary="Gives a part of a string; the old name of GETRANGE.",
)
def substr(context: ReadContext, args: Args) -> Reply:
    """As GETRANGE."""
    return _part(context, args)


@STRINGS.write(
    "SETRANGE",
    arity=4,
    keys=key_at(1, "RW update"),
    flags=DENYOOM,
    since="2.2.0",
    complexity="O(M) where M is the length of the value.",
    syntax="key offset value",
    summary="Writes bytes over a part of a string, with zeros before them if it is too short.",
)
def setrange(context: WriteContext, args: Args) -> Reply:
    """The new length. Writing nothing changes nothing, whatever the offset."""
    keys, key, patch = context.keys, args[1], args[3]
    offset = integer(args[2])
    if offset < 0:
        raise CommandError(OFFSET_OUT_OF_RANGE)
    length = strings.length(keys, key)
    if not patch:
        return length
    if offset + len(patch) > context.shared.max_string_bytes:
        raise CommandError(STRING_TOO_LONG)
    new_length = strings.set_range(keys, key, offset, patch)
    keys.notify(events.STRING, "setrange", key)
    return new_length
