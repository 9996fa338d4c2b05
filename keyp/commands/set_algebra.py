"""Intersections, unions and differences of several sets. A key that is not there is an empty set.

A …STORE command puts the result in place of whatever its destination holds, deadline included; an empty result
removes it. The types of all keys are looked at before anything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keyp import events
from keyp.command.arguments import INT64_MAX, integer_between
from keyp.command.context import ReadContext, WriteContext
from keyp.command.spec import DENYOOM, MOVABLEKEYS, Args, counted_keys, key_at, keys_from
from keyp.command.table import CommandTable
from keyp.errors import NEGATIVE_LIMIT, NUMKEYS_TOO_HIGH, NUMKEYS_TOO_LOW, SYNTAX, CommandError
from keyp.resp import values
from keyp.resp.values import Reply
from keyp.storage.types import sets
from keyp.storage.types.elements import Entry
from keyp.storage.types.members import opened
from keyp.storage.types.set_algebra import difference, intersection, union
from keyp.storage.types.sets import Set

SET_ALGEBRA = CommandTable(group="set", categories="set")

ANY_ORDER: Final = ("nondeterministic_output_order",)
KEYS_OF_STORE: Final = key_at(1, "OW update") + keys_from(2, "RO access")


_NOTHING: Final[list[list[Entry]]] = []


# The entries of a result, and how many are looked at for them.


def _sets(context: ReadContext, keys: list[bytes]) -> list[Set | None]:
    """The sets of some keys. Raises WRONGTYPE."""
    keyspace = context.keys
    found: list[Set | None] = []
    for key in keys:
        one = sets.find(keyspace, key)
        if keyspace.lookups.in_write:
            keyspace.note_read(key, one is not None)
        found.append(one)
    return found


def _different(found: list[Set]) -> list[Set]:
    """Without those that are named again."""
    return list({one.number: one for one in found}.values())


def _intersection(context: ReadContext, keys: list[bytes]) -> Iterator[list[Entry]]:
    found = _sets(context, keys)
    there = [one for one in found if one is not None]
    if len(there) < len(found):
        return iter(_NOTHING)
    there = _different(there)
    context.expect(min([one.count for one in there]) * len(there))
    return intersection(there)


def _union(context: ReadContext, keys: list[bytes]) -> Iterator[list[Entry]]:
    there = _different([one for one in _sets(context, keys) if one is not None])
    context.expect(sum([one.count for one in there]))
    return union(there)


def _difference(context: ReadContext, keys: list[bytes]) -> Iterator[list[Entry]]:
    first, *rest = _sets(context, keys)
    others = _different([one for one in rest if one is not None])
    if first is None or first.number in [other.number for other in others]:
        return iter(_NOTHING)
    context.expect(first.count * (1 + len(others)))
    return difference(first, others)


def _reply(slices: Iterator[list[Entry]]) -> Reply:
    return values.Set([member for entries in slices for member, _ in opened(entries)])


def _store(context: WriteContext, key: bytes, slices: Iterator[list[Entry]], event: str) -> Reply:
    keys = context.keys
    stored = sets.replace(keys, key, slices)
    if stored:
        keys.notify(events.SET, event, key)
    elif keys.remove(key):
        keys.notify(events.GENERIC, "del", key)
    return stored


@SET_ALGEBRA.read(
    "SINTER",
    arity=-2,
    keys=keys_from(1, "RO access"),
    since="1.0.0",
    complexity="O(N*M) with N the number of members of the smallest set and M the number of sets",
    tips=ANY_ORDER,
    syntax="key [key ...]",
    summary="Lists the members that all of several sets have.",
)
def sinter(context: ReadContext, args: Args) -> Reply:
    """Replies with a set."""
    return _reply(_intersection(context, args[1:]))


@SET_ALGEBRA.write(
    "SINTERSTORE",
    arity=-3,
    keys=KEYS_OF_STORE,
    flags=DENYOOM,
    since="1.0.0",
    complexity="O(N*M) with N the number of members of the smallest set and M the number of sets",
    syntax="destination key [key ...]",
    summary="Stores the members that all of several sets have.",
)
def sinterstore(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of members stored."""
    return _store(context, args[1], _intersection(context, args[2:]), "sinterstore")


@SET_ALGEBRA.read(
    "SINTERCARD",
    arity=-3,
    keys=counted_keys(1, "RO access"),
    flags=MOVABLEKEYS,
    since="7.0.0",
    complexity="O(N*M) with N the number of members of the smallest set and M the number of sets",
    syntax="numkeys key [key ...] [LIMIT limit]",
    summary="Counts the members that all of several sets have.",
)
def sintercard(context: ReadContext, args: Args) -> Reply:
    """Replies with the number, or with the limit where it is reached; a limit of 0 is none."""
    numkeys = integer_between(args[1], 1, INT64_MAX, NUMKEYS_TOO_LOW)
    if numkeys > len(args) - 2:
        raise CommandError(NUMKEYS_TOO_HIGH)
    limit = _limit(args[2 + numkeys :])
    counted = 0
    for entries in _intersection(context, args[2 : 2 + numkeys]):
        counted += len(entries)
        if limit and counted >= limit:
            return limit
    return counted


def _limit(options: list[bytes]) -> int:
    """The last LIMIT among the options, 0 without one."""
    limit = 0
    rest = iter(options)
    for word in rest:
        value = next(rest, None)
        if word.upper() != b"LIMIT" or value is None:
            raise CommandError(SYNTAX)
        limit = integer_between(value, 0, INT64_MAX, NEGATIVE_LIMIT)
    return limit


@SET_ALGEBRA.read(
    "SUNION",
    arity=-2,
    keys=keys_from(1, "RO access"),
    since="1.0.0",
    complexity="O(N) with N the number of members of all sets",
    tips=ANY_ORDER,
    syntax="key [key ...]",
    summary="Lists the members that any of several sets has.",
)
def sunion(context: ReadContext, args: Args) -> Reply:
    """Replies with a set."""
    return _reply(_union(context, args[1:]))


@SET_ALGEBRA.write(
    "SUNIONSTORE",
    arity=-3,
    keys=KEYS_OF_STORE,
    flags=DENYOOM,
    since="1.0.0",
    complexity="O(N) with N the number of members of all sets",
    syntax="destination key [key ...]",
    summary="Stores the members that any of several sets has.",
)
def sunionstore(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of members stored."""
    return _store(context, args[1], _union(context, args[2:]), "sunionstore")


@SET_ALGEBRA.read(
    "SDIFF",
    arity=-2,
    keys=keys_from(1, "RO access"),
    since="1.0.0",
    complexity="O(N*M) with N the number of members of the first set and M the number of sets",
    tips=ANY_ORDER,
    syntax="key [key ...]",
    summary="Lists the members of a set that none of several others has.",
)
def sdiff(context: ReadContext, args: Args) -> Reply:
    """Replies with a set."""
    return _reply(_difference(context, args[1:]))


@SET_ALGEBRA.write(
    "SDIFFSTORE",
    arity=-3,
    keys=KEYS_OF_STORE,
    flags=DENYOOM,
    since="1.0.0",
    complexity="O(N*M) with N the number of members of the first set and M the number of sets",
    syntax="destination key [key ...]",
    summary="Stores the members of a set that none of several others has.",
)
def sdiffstore(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of members stored."""
    return _store(context, args[1], _difference(context, args[2:]), "sdiffstore")
