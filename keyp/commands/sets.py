"""Commands on sets: different members in no order. A set without members does not exist.

Commands on several sets are in `set_algebra.py`.
"""

from __future__ import annotations

from typing import Final

from keyp import events
from keyp.command.arguments import INT64_MAX, integer_between
from keyp.command.context import ReadContext, WriteContext
from keyp.command.element_scan import NOTHING_SCANNED, scan_elements
from keyp.command.random_elements import distinct_ranks, looks, random_count, random_ranks
from keyp.command.scan_options import scan_cursor
from keyp.command.spec import DENYOOM, FAST, Args, key_at
from keyp.command.table import CommandTable
from keyp.errors import NOT_POSITIVE, SYNTAX, CommandError
from keyp.resp.values import Reply, Set
from keyp.storage.types import sets
from keyp.storage.types.members import LARGE
from keyp.storage.value_types import SET

SETS = CommandTable(group="set", categories="set")

ANY_ORDER: Final = ("nondeterministic_output_order",)
BY_CHANCE: Final = ("nondeterministic_output",)


@SETS.write(
    "SADD",
    arity=-3,
    keys=key_at(1, "RW insert"),
    flags=DENYOOM | FAST,
    since="1.0.0",
    complexity="O(N) with N the number of members given",
    syntax="key member [member ...]",
    summary="Adds members to a set.",
)
def sadd(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of members that are new."""
    found = sets.find_or_make(context.keys, args[1])
    found.make_room(len(args) - 2, args[2])
    added = 0
    for at in range(2, len(args)):
        if found.add(args[at]):
            added += 1
    if added:
        found.save()
        context.keys.notify(events.SET, "sadd", args[1], added)
    return added


@SETS.write(
    "SREM",
    arity=-3,
    keys=key_at(1, "RW delete"),
    flags=FAST,
    since="1.0.0",
    complexity="O(N) with N the number of members given",
    syntax="key member [member ...]",
    summary="Removes members from a set.",
)
def srem(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of members that were there."""
    found = sets.find(context.keys, args[1])
    if found is None:
        return 0
    removed = sum([found.discard(member) for member in args[2:]])
    if removed:
        context.keys.notify(events.SET, "srem", args[1], removed)
        found.save()
    return removed


@SETS.write(
    "SMOVE",
    arity=4,
    keys=key_at(1, "RW access delete") + key_at(2, "RW insert"),
    flags=FAST,
    since="1.0.0",
    syntax="source destination member",
    summary="Moves a member from one set to another.",
)
def smove(context: WriteContext, args: Args) -> Reply:
    """Replies 1, or 0 where the source has no such member."""
    keys, source, target, member = context.keys, args[1], args[2], args[3]
    taken = sets.find(keys, source)
    if taken is None:
        return 0
    if source == target:
        return 1 if taken.has(member) else 0
    record = keys.find(target, SET)
    if not taken.discard(member):
        return 0
    keys.notify(events.SET, "srem", source)
    taken.save()
    given = sets.Set(keys, target, record)
    if record is None:
        given.make_room(1, member)
    if given.add(member):
        given.save()
        keys.notify(events.SET, "sadd", target)
    return 1


@SETS.write(
    "SPOP",
    arity=-2,
    keys=key_at(1, "RW access delete"),
    flags=FAST,
    since="1.0.0",
    complexity="O(N) with N the number of members popped",
    tips=BY_CHANCE,
    syntax="key [count]",
    summary="Removes random members from a set and returns them.",
)
def spop(context: WriteContext, args: Args) -> Reply:
    """Replies with the member, null without such a key; with a count with a set of so many, or of all there are."""
    if len(args) > 3:
        raise CommandError(SYNTAX)
    wanted = 1 if len(args) == 2 else integer_between(args[2], 0, INT64_MAX, NOT_POSITIVE)
    keys, key = context.keys, args[1]
    found = sets.find(keys, key)
    if found is None or wanted == 0:
        return None if len(args) == 2 else Set([])
    if wanted >= found.count:
        popped = [member for member, _ in found.all()]
        keys.notify(events.SET, "spop", key, len(popped))
        keys.remove(key)
        keys.notify(events.GENERIC, "del", key, changes=0)
    else:
        popped = found.pop(distinct_ranks(context.random, found.count, wanted))
        keys.notify(events.SET, "spop", key, len(popped))
        found.save()
    return popped[0] if len(args) == 2 else Set(popped)


@SETS.read(
    "SRANDMEMBER",
    arity=-2,
    keys=key_at(1, "RO access"),
    since="1.0.0",
    complexity="O(N) with N the number of members given back",
    tips=BY_CHANCE,
    syntax="key [count]",
    summary="Returns random members of a set.",
)
def srandmember(context: ReadContext, args: Args) -> Reply:
    """Replies with a member or null; with a count with as many members."""
    if len(args) > 3:
        raise CommandError(SYNTAX)
    if len(args) == 2:
        found = sets.find(context.keys, args[1])
        return None if found is None else found.entry(found.places_at([context.random.randrange(found.count)])[0])[0]
    wanted = random_count(args[2])
    found = sets.find(context.keys, args[1])
    if found is None:
        return []
    size = found.count
    if wanted >= size:
        context.expect(size)
        return [member for member, _ in found.all()]
    context.expect(looks(size, abs(wanted)))
    if wanted >= 0:
        return [found.entry(place)[0] for place in found.places_at(distinct_ranks(context.random, size, wanted))]
    ranks = random_ranks(context.random, size, -wanted)
    different = sorted(set(ranks))
    places = zip(different, found.places_at(different), strict=True)
    members = {rank: found.entry(place)[0] for rank, place in places}
    return [members[rank] for rank in ranks]


@SETS.read(
    "SISMEMBER",
    arity=3,
    keys=key_at(1, "RO"),
    flags=FAST,
    since="1.0.0",
    syntax="key member",
    summary="Returns whether a set has a member.",
)
def sismember(context: ReadContext, args: Args) -> Reply:
    """Replies 1 or 0."""
    found = sets.find(context.keys, args[1])
    return 1 if found is not None and found.has(args[2]) else 0


@SETS.read(
    "SMISMEMBER",
    arity=-3,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="6.2.0",
    complexity="O(N) with N the number of members given",
    syntax="key member [member ...]",
    summary="Returns whether a set has each of several members.",
)
def smismember(context: ReadContext, args: Args) -> Reply:
    """Replies with 1 or 0 for each."""
    found = sets.find(context.keys, args[1])
    if found is None:
        return [0] * (len(args) - 2)
    return [1 if found.has(member) else 0 for member in args[2:]]


@SETS.read(
    "SCARD",
    arity=2,
    keys=key_at(1, "RO"),
    flags=FAST,
    since="1.0.0",
    syntax="key",
    summary="Counts the members of a set.",
)
def scard(context: ReadContext, args: Args) -> Reply:
    """Replies with the number, 0 without such a key."""
    found = sets.find(context.keys, args[1])
    return 0 if found is None else found.count


@SETS.read(
    "SMEMBERS",
    arity=2,
    keys=key_at(1, "RO access"),
    since="1.0.0",
    complexity="O(N) with N the number of members",
    tips=ANY_ORDER,
    syntax="key",
    summary="Lists the members of a set.",
)
def smembers(context: ReadContext, args: Args) -> Reply:
    """Replies with a set, empty without such a key."""
    found = sets.find(context.keys, args[1])
    if found is None:
        return Set([])
    context.expect(found.count)
    return Set([member for member, _ in found.all()])


@SETS.read(
    "SSCAN",
    arity=-3,
    keys=key_at(1, "RO access"),
    since="2.8.0",
    complexity="O(COUNT) for a call, O(N) for a whole scan with N the number of members",
    tips=BY_CHANCE,
    syntax="key cursor [MATCH pattern] [COUNT count]",
    summary="Lists the members of a set, some at each call.",
)
def sscan(context: ReadContext, args: Args) -> Reply:
    """Replies with the next cursor, 0 at the end, and the members found on the way."""
    cursor = scan_cursor(args[2])
    found = sets.find(context.keys, args[1])
    if found is None:
        return NOTHING_SCANNED
    following, entries = scan_elements(context, args[3:], cursor, found, found.form != LARGE)
    return [following, [member for member, _ in entries]]
