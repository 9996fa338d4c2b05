"""Commands on hashes: fields with values. A hash without fields does not exist."""

from __future__ import annotations

from typing import Final

from keyp import events
from keyp.algorithms import long_double
from keyp.command.arguments import INT64_MAX, INT64_MIN, integer
from keyp.command.context import ReadContext, WriteContext
from keyp.command.element_scan import NOTHING_SCANNED, scan_elements
from keyp.command.random_elements import distinct_ranks, looks, random_count, random_ranks
from keyp.command.scan_options import scan_cursor
from keyp.command.spec import DENYOOM, FAST, Args, key_at
from keyp.command.table import CommandTable
from keyp.errors import NOT_A_FLOAT, NOT_FINITE, OUT_OF_RANGE, OVERFLOW, SYNTAX, CommandError, wrong_arity
from keyp.resp.values import Pairs, Reply
from keyp.storage.types import hashes
from keyp.storage.types.hashes import Hash
from keyp.storage.types.members import LARGE

HASHES = CommandTable(group="hash", categories="hash")

VALUE_NOT_INTEGER: Final = "ERR hash value is not an integer"
VALUE_NOT_FLOAT: Final = "ERR hash value is not a float"
INCREMENT_NOT_FINITE: Final = "ERR value is NaN or Infinity"
PAIRS_MAX: Final = INT64_MAX >> 1  # fields with values that HRANDFIELD may be asked for

ANY_ORDER: Final = ("nondeterministic_output_order",)
BY_CHANCE: Final = ("nondeterministic_output",)


# Writing.


def _set_all(context: WriteContext, args: Args) -> int:
    """Gives fields values; how many of the fields are new."""
    if len(args) % 2:
        raise wrong_arity(args[0].decode("latin-1").lower())
    found = hashes.find_or_make(context.keys, args[1])
    found.make_room(len(args) // 2 - 1)
    new = 0
    for at in range(2, len(args), 2):
        if found.set(args[at], args[at + 1]):
            new += 1
    _save(context, found, "hset", len(args) // 2 - 1)
    return new


def _save(context: WriteContext, found: Hash, event: str, changes: int = 1) -> None:
    """Saves a hash that has fields, and notifies of an event with so many changes."""
    found.save()
    context.keys.notify(events.HASH, event, found.key, changes)


@HASHES.write(
    "HSET",
    arity=-4,
    keys=key_at(1, "RW update"),
    flags=DENYOOM | FAST,
    since="2.0.0",
    complexity="O(N) with N the number of fields given",
    syntax="key field value [field value ...]",
    summary="Gives fields of a hash values.",
)
def hset(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of fields that are new."""
    return _set_all(context, args)


@HASHES.write(
    "HMSET",
    arity=-4,
    keys=key_at(1, "RW update"),
    flags=DENYOOM | FAST,
    since="2.0.0",
    complexity="O(N) with N the number of fields given",
    syntax="key field value [field value ...]",
    summary="Gives fields of a hash values; HSET with another reply.",
)
def hmset(context: WriteContext, args: Args) -> Reply:
    """Replies OK."""
    _set_all(context, args)
    return "OK"


@HASHES.write(
    "HSETNX",
    arity=4,
    keys=key_at(1, "RW insert"),
    flags=DENYOOM | FAST,
    since="2.0.0",
    syntax="key field value",
    summary="Gives a field of a hash a value unless it has one.",
)
def hsetnx(context: WriteContext, args: Args) -> Reply:
    """Replies 1, or 0 where the field was there."""
    found = hashes.find_or_make(context.keys, args[1])
    if not found.set_if_new(args[2], args[3]):
        return 0
    _save(context, found, "hset")
    return 1


@HASHES.write(
    "HDEL",
    arity=-3,
    keys=key_at(1, "RW delete"),
    flags=FAST,
    since="2.0.0",
    complexity="O(N) with N the number of fields given",
    syntax="key field [field ...]",
    summary="Removes fields from a hash.",
)
def hdel(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of fields that were there."""
    found = hashes.find(context.keys, args[1])
    if found is None:
        return 0
    removed = sum([found.discard(field) for field in args[2:]])
    if removed:
        context.keys.notify(events.HASH, "hdel", args[1], removed)
        found.save()
    return removed


@HASHES.write(
    "HINCRBY",
    arity=4,
    keys=key_at(1, "RW access update"),
    flags=DENYOOM | FAST,
    since="2.0.0",
    syntax="key field increment",
    summary="Adds a whole number to the number in a field, 0 where there is none.",
)
def hincrby(context: WriteContext, args: Args) -> Reply:
    """The new number."""
    step = integer(args[3])
    found = hashes.find_or_make(context.keys, args[1])
    old = found.value(args[2])
    total = step if old is None else integer(old, VALUE_NOT_INTEGER) + step
    if not INT64_MIN <= total <= INT64_MAX:
        raise CommandError(OVERFLOW)
    found.set(args[2], b"%d" % total)
    _save(context, found, "hincrby")
    return total


@HASHES.write(
    "HINCRBYFLOAT",
    arity=4,
    keys=key_at(1, "RW access update"),
    flags=DENYOOM | FAST,
    since="2.6.0",
    syntax="key field increment",
    summary="Adds a floating-point number to the number in a field, 0 where there is none.",
)
def hincrbyfloat(context: WriteContext, args: Args) -> Reply:
    """The new number as it is stored: up to seventeen decimals, no exponent."""
    step = long_double.parse(args[3])
    if step is None:
        raise CommandError(NOT_A_FLOAT)
    if not step.finite:
        raise CommandError(INCREMENT_NOT_FINITE)
    found = hashes.find_or_make(context.keys, args[1])
    old = found.value(args[2])
    number = long_double.parse(b"0" if old is None else old)
    if number is None:
        raise CommandError(VALUE_NOT_FLOAT)
    total = long_double.add(number, step)
    if not total.finite:
        raise CommandError(NOT_FINITE)
    result = long_double.text(total)
    found.set(args[2], result)
    _save(context, found, "hincrbyfloat")
    return result


# One field.


@HASHES.read(
    "HGET",
    arity=3,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="2.0.0",
    syntax="key field",
    summary="Gets the value of a field.",
)
def hget(context: ReadContext, args: Args) -> Reply:
    """Replies with the value, null where there is no such field."""
    found = hashes.find(context.keys, args[1])
    return None if found is None else found.value(args[2])


@HASHES.read(
    "HMGET",
    arity=-3,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="2.0.0",
    complexity="O(N) with N the number of fields given",
    syntax="key field [field ...]",
    summary="Gets the values of several fields.",
)
def hmget(context: ReadContext, args: Args) -> Reply:
    """Replies with a value for each field, null where it is not there."""
    found = hashes.find(context.keys, args[1])
    if found is None:
        return [None] * (len(args) - 2)
    return [found.value(field) for field in args[2:]]


@HASHES.read(
    "HEXISTS",
    arity=3,
    keys=key_at(1, "RO"),
    flags=FAST,
    since="2.0.0",
    syntax="key field",
    summary="Returns whether a hash has a field.",
)
def hexists(context: ReadContext, args: Args) -> Reply:
    """Replies 1 or 0."""
    found = hashes.find(context.keys, args[1])
    return 1 if found is not None and found.has(args[2]) else 0


@HASHES.read(
    "HSTRLEN",
    arity=3,
    keys=key_at(1, "RO"),
    flags=FAST,
    since="3.2.0",
    syntax="key field",
    summary="Returns the length of a field's value in bytes.",
)
def hstrlen(context: ReadContext, args: Args) -> Reply:
    """Replies with the number, 0 where there is no such field."""
    found = hashes.find(context.keys, args[1])
    value = None if found is None else found.value(args[2])
    return 0 if value is None else len(value)


@HASHES.read(
    "HLEN",
    arity=2,
    keys=key_at(1, "RO"),
    flags=FAST,
    since="2.0.0",
    syntax="key",
    summary="Counts the fields of a hash.",
)
def hlen(context: ReadContext, args: Args) -> Reply:
    """Replies with the number, 0 without such a key."""
    found = hashes.find(context.keys, args[1])
    return 0 if found is None else found.count


# All fields, or some that the caller has not named.


@HASHES.read(
    "HGETALL",
    arity=2,
    keys=key_at(1, "RO access"),
    since="2.0.0",
    complexity="O(N) with N the number of fields",
    tips=ANY_ORDER,
    syntax="key",
    summary="Gets all fields of a hash with their values.",
)
def hgetall(context: ReadContext, args: Args) -> Reply:
    """Replies with a map, empty without such a key."""
    found = hashes.find(context.keys, args[1])
    if found is None:
        return {}
    context.expect(found.count)
    return dict(found.all())


@HASHES.read(
    "HKEYS",
    arity=2,
    keys=key_at(1, "RO access"),
    since="2.0.0",
    complexity="O(N) with N the number of fields",
    tips=ANY_ORDER,
    syntax="key",
    summary="Lists the fields of a hash.",
)
def hkeys(context: ReadContext, args: Args) -> Reply:
    """Replies with the fields, none without such a key."""
    found = hashes.find(context.keys, args[1])
    if found is None:
        return []
    context.expect(found.count)
    return found.names()


@HASHES.read(
    "HVALS",
    arity=2,
    keys=key_at(1, "RO access"),
    since="2.0.0",
    complexity="O(N) with N the number of fields",
    tips=ANY_ORDER,
    syntax="key",
    summary="Lists the values of a hash.",
)
def hvals(context: ReadContext, args: Args) -> Reply:
    """Replies with the values, none without such a key."""
    found = hashes.find(context.keys, args[1])
    if found is None:
        return []
    context.expect(found.count)
    return [value for _, value in found.all()]


@HASHES.read(
    "HRANDFIELD",
    arity=-2,
    keys=key_at(1, "RO access"),
    since="6.2.0",
    complexity="O(N) with N the number of fields given back",
    tips=BY_CHANCE,
    syntax="key [count [WITHVALUES]]",
    summary="Returns random fields of a hash.",
)
def hrandfield(context: ReadContext, args: Args) -> Reply:
    """Replies with a field or null; with a count with fields, or with pairs of fields and values."""
    if len(args) == 2:
        found = hashes.find(context.keys, args[1])
        return None if found is None else found.names_at(found.places_at([context.random.randrange(found.count)]))[0]
    wanted, with_values = _random_arguments(args)
    found = hashes.find(context.keys, args[1])
    if found is None:
        return []
    size = found.count
    if wanted >= size:
        context.expect(size)
        return Pairs(found.all()) if with_values else found.names()
    context.expect(looks(size, abs(wanted)))
    if wanted >= 0:
        ranks = distinct_ranks(context.random, size, wanted)
        different = ranks
    else:
        ranks = random_ranks(context.random, size, -wanted)
        different = sorted(set(ranks))
    places = found.places_at(different)
    if not with_values:
        names = dict(zip(different, found.names_at(places), strict=True))
        return [names[rank] for rank in ranks]
    entries = {rank: found.entry(place) for rank, place in zip(different, places, strict=True)}
    return Pairs([entries[rank] for rank in ranks])


def _random_arguments(args: Args) -> tuple[int, bool]:
    """How many fields, negative where one may come several times, and whether with values."""
    wanted = random_count(args[2])
    if len(args) == 3:
        return wanted, False
    if len(args) > 4 or args[3].upper() != b"WITHVALUES":
        raise CommandError(SYNTAX)
    if abs(wanted) > PAIRS_MAX:
        raise CommandError(OUT_OF_RANGE)
    return wanted, True


@HASHES.read(
    "HSCAN",
    arity=-3,
    keys=key_at(1, "RO access"),
    since="2.8.0",
    complexity="O(COUNT) for a call, O(N) for a whole scan with N the number of fields",
    tips=BY_CHANCE,
    syntax="key cursor [MATCH pattern] [COUNT count]",
    summary="Lists the fields of a hash with their values, some at each call.",
)
def hscan(context: ReadContext, args: Args) -> Reply:
    """Replies with the next cursor, 0 at the end, and the fields and values found on the way."""
    cursor = scan_cursor(args[2])
    found = hashes.find(context.keys, args[1])
    if found is None:
        return NOTHING_SCANNED
    following, entries = scan_elements(context, args[3:], cursor, found, found.form != LARGE)
    return [following, [word for entry in entries for word in entry]]
