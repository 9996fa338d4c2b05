"""Commands on single elements of sorted sets: members with scores are added, changed, removed and looked up.

A score is a 64-bit floating-point number, the infinities among them; what is no number is refused. A sorted set
without elements does not exist.
"""

from __future__ import annotations

from math import isnan
from typing import Final

from keyp import events
from keyp.command.arguments import INT64_MAX, real
from keyp.command.context import ReadContext, WriteContext
from keyp.command.element_scan import NOTHING_SCANNED, scan_elements
from keyp.command.random_elements import distinct_ranks, looks, random_count, random_ranks
from keyp.command.scan_options import scan_cursor
from keyp.command.spec import DENYOOM, FAST, Args, key_at
from keyp.command.table import CommandTable
from keyp.errors import OUT_OF_RANGE, SYNTAX, WRONG_TYPE, CommandError, wrong_arity
from keyp.resp.encoder import format_double
from keyp.resp.values import NULL_ARRAY, Pairs, Reply
from keyp.storage.lmdb import layout
from keyp.storage.types import sortedsets
from keyp.storage.types.sortedsets import Scored, SortedSet, member_score, needs_large_form
from keyp.storage.value_types import ZSET

SORTED_SETS = CommandTable(group="sorted-set", categories="sortedset")

# The options of ZADD.
IF_ABSENT: Final = 1 << 0
IF_PRESENT: Final = 1 << 1
IF_GREATER: Final = 1 << 2
IF_LESS: Final = 1 << 3
COUNT_CHANGED: Final = 1 << 4
INCREMENT: Final = 1 << 5

OPTIONS: Final = {
    b"NX": IF_ABSENT,
    b"XX": IF_PRESENT,
    b"GT": IF_GREATER,
    b"LT": IF_LESS,
    b"CH": COUNT_CHANGED,
    b"INCR": INCREMENT,
}

BOTH_CONDITIONS: Final = "ERR XX and NX options at the same time are not compatible"
BOTH_COMPARISONS: Final = "ERR GT, LT, and/or NX options at the same time are not compatible"
ONE_INCREMENT: Final = "ERR INCR option supports a single increment-element pair"
PAIRS_MAX: Final = INT64_MAX >> 1  # members with scores that ZRANDMEMBER may be asked for

BY_CHANCE: Final = ("nondeterministic_output",)

NOT_A_NUMBER: Final = "ERR resulting score is not a number (NaN)"


def add_elements(context: WriteContext, key: bytes, options: int, elements: list[Scored]) -> Reply:
    """Adds elements to a sorted set, as ZADD with these options does; ZADD's reply. Raises WRONGTYPE."""
    keys = context.keys
    record = keys.find(key, ZSET)
    if record is None and options & IF_PRESENT:
        return None if options & INCREMENT else 0
    zset = SortedSet(keys, key, record)
    if needs_large_form(elements, keys.lookups.limits):
        zset.enlarge()
    added = changed = 0
    reply: Reply = None
    for member, score in elements:
        old = zset.score(member)
        if old is None:
            if options & IF_PRESENT:
                continue
            zset.add(member, score)
            added += 1
        else:
            if options & IF_ABSENT:
                continue
            if options & INCREMENT:
                score += old
                if isnan(score):
                    raise CommandError(NOT_A_NUMBER)
            if (options & IF_GREATER and score <= old) or (options & IF_LESS and score >= old):
                continue
            if score != old:
                zset.change(member, old, score)
                changed += 1
        reply = score
    if added or changed:
        keys.notify(events.ZSET, "zincr" if options & INCREMENT else "zadd", key, added + changed)
        zset.save()
    if options & INCREMENT:
        return reply
    return added + changed if options & COUNT_CHANGED else added


def find_to_read(context: ReadContext, key: bytes) -> SortedSet | None:
    """The sorted set a key holds, None where there is none. Raises WRONGTYPE. Counts as a read in a write, too."""
    keys = context.keys
    record = keys.read(key)
    if record is None:
        return None
    if layout.record_type(record) != ZSET:
        raise CommandError(WRONG_TYPE)
    return SortedSet(keys, key, record)


def store_elements(context: WriteContext, key: bytes, elements: list[Scored], event: str, changes: int = 1) -> int:
    """Makes elements the value of a key, in place of any; without elements the key is removed. How many they are.

    How many changes that counts as is left to the command.
    """
    keys = context.keys
    if elements:
        sortedsets.replace(keys, key, elements)
        keys.notify(events.ZSET, event, key, changes)
    elif keys.remove(key):
        keys.notify(events.GENERIC, "del", key)
    return len(elements)


@SORTED_SETS.write(
    "ZADD",
    arity=-4,
    keys=key_at(1, "RW update"),
    flags=DENYOOM | FAST,
    since="1.2.0",
    complexity="O(log(N)) for each element, with N the number of elements in the sorted set",
    syntax="key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
    summary="Adds members with their scores to a sorted set, or changes the scores of those that are there.",
)
def zadd(context: WriteContext, args: Args) -> Reply:
    """Replies with the number added, with CH those changed too; with INCR the new score, null if nothing was done."""
    options, at = 0, 2
    while at < len(args):
        option = OPTIONS.get(args[at].upper())
        if option is None:
            break
        options |= option
        at += 1
    if at == len(args) or (len(args) - at) % 2:
        raise CommandError(SYNTAX)
    if options & IF_ABSENT and options & IF_PRESENT:
        raise CommandError(BOTH_CONDITIONS)
    if (options & (IF_ABSENT | IF_GREATER | IF_LESS)).bit_count() > 1:
        raise CommandError(BOTH_COMPARISONS)
    if options & INCREMENT and len(args) - at > 2:
        raise CommandError(ONE_INCREMENT)
    elements = [(args[place + 1], real(args[place])) for place in range(at, len(args), 2)]
    return add_elements(context, args[1], options, elements)


@SORTED_SETS.write(
    "ZINCRBY",
    arity=4,
    keys=key_at(1, "RW access update"),
    flags=DENYOOM | FAST,
    since="1.2.0",
    complexity="O(log(N)) with N the number of elements in the sorted set",
    syntax="key increment member",
    summary="Adds to a member's score; a member that is not there has none and is added.",
)
def zincrby(context: WriteContext, args: Args) -> Reply:
    """Replies with the new score. As in Redis, the options of ZADD are accepted here too."""
    if args[2].upper() in OPTIONS:
        raise CommandError(SYNTAX)
    return add_elements(context, args[1], INCREMENT, [(args[3], real(args[2]))])


@SORTED_SETS.write(
    "ZREM",
    arity=-3,
    keys=key_at(1, "RW delete"),
    flags=FAST,
    since="1.2.0",
    complexity="O(M*log(N)) with N the number of elements in the sorted set and M the number of members given",
    syntax="key member [member ...]",
    summary="Removes members from a sorted set.",
)
def zrem(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of those that were there."""
    zset = sortedsets.find(context.keys, args[1])
    if zset is None:
        return 0
    removed = 0
    for member in args[2:]:
        score = zset.score(member)
        if score is not None:
            zset.discard(member, score)
            removed += 1
    if removed:
        context.keys.notify(events.ZSET, "zrem", args[1], removed)
        zset.save()
    return removed


@SORTED_SETS.read(
    "ZCARD",
    arity=2,
    keys=key_at(1, "RO"),
    flags=FAST,
    since="1.2.0",
    syntax="key",
    summary="Counts the members of a sorted set.",
)
def zcard(context: ReadContext, args: Args) -> Reply:
    """Replies with the number, 0 without such a key."""
    zset = sortedsets.find(context.keys, args[1])
    return 0 if zset is None else zset.count


@SORTED_SETS.read(
    "ZSCORE",
    arity=3,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="1.2.0",
    syntax="key member",
    summary="Returns the score of a member.",
)
def zscore(context: ReadContext, args: Args) -> Reply:
    """Replies with the score, null where there is no such member."""
    zset = sortedsets.find(context.keys, args[1])
    return None if zset is None else zset.score(args[2])


@SORTED_SETS.read(
    "ZMSCORE",
    arity=-3,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="6.2.0",
    complexity="O(N) with N the number of members asked for",
    syntax="key member [member ...]",
    summary="Returns the scores of several members.",
)
def zmscore(context: ReadContext, args: Args) -> Reply:
    """Replies with a score for each, null for one that is no member."""
    zset = sortedsets.find(context.keys, args[1])
    if zset is None:
        return [None] * (len(args) - 2)
    return [zset.score(member) for member in args[2:]]


def _rank(context: ReadContext, args: Args, backwards: bool) -> Reply:
    """Replies with the rank, or an array of rank and score; null, or the null array, where there is no such member."""
    with_score = len(args) > 3
    if len(args) > 4:
        raise wrong_arity("zrevrank" if backwards else "zrank")
    if with_score and args[3].upper() != b"WITHSCORE":
        raise CommandError(SYNTAX)
    zset = sortedsets.find(context.keys, args[1])
    found = None if zset is None else zset.score(args[2])
    if zset is None or found is None:
        return NULL_ARRAY if with_score else None
    rank = zset.rank(zset.place(args[2], found))
    if backwards:
        rank = zset.count - 1 - rank
    return [rank, found] if with_score else rank


@SORTED_SETS.read(
    "ZRANK",
    arity=-3,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="2.0.0",
    complexity="O(log(N)) with N the number of elements in the sorted set",
    syntax="key member [WITHSCORE]",
    summary="Returns the rank of a member, from the lowest score on.",
)
def zrank(context: ReadContext, args: Args) -> Reply:
    """Replies with the rank from the lowest score on."""
    return _rank(context, args, backwards=False)


@SORTED_SETS.read(
    "ZREVRANK",
    arity=-3,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="2.0.0",
    complexity="O(log(N)) with N the number of elements in the sorted set",
    syntax="key member [WITHSCORE]",
    summary="Returns the rank of a member, from the highest score on.",
)
def zrevrank(context: ReadContext, args: Args) -> Reply:
    """Replies with the rank from the highest score on."""
    return _rank(context, args, backwards=True)


@SORTED_SETS.read(
    "ZRANDMEMBER",
    arity=-2,
    keys=key_at(1, "RO access"),
    since="6.2.0",
    complexity="O(N*log(M)) with N the number of members given back and M the number of those in the sorted set",
    tips=BY_CHANCE,
    syntax="key [count [WITHSCORES]]",
    summary="Returns random members of a sorted set.",
)
def zrandmember(context: ReadContext, args: Args) -> Reply:
    """Replies with a member or null; with a count with members, or with pairs of members and scores."""
    if len(args) == 2:
        zset = sortedsets.find(context.keys, args[1])
        return None if zset is None else zset.at_ranks([context.random.randrange(zset.count)])[0][0]
    wanted, with_scores = _random_arguments(args)
    zset = sortedsets.find(context.keys, args[1])
    if zset is None:
        return []
    elements = _random_elements(context, zset, wanted)
    return Pairs(elements) if with_scores else [member for member, _ in elements]


def _random_arguments(args: Args) -> tuple[int, bool]:
    """How many members, negative where one may come several times, and whether with scores."""
    wanted = random_count(args[2])
    if len(args) == 3:
        return wanted, False
    if len(args) > 4 or args[3].upper() != b"WITHSCORES":
        raise CommandError(SYNTAX)
    if abs(wanted) > PAIRS_MAX:
        raise CommandError(OUT_OF_RANGE)
    return wanted, True


def _random_elements(context: ReadContext, zset: SortedSet, wanted: int) -> list[Scored]:
    """The elements chosen; all of them come in reverse, as in Redis."""
    size = zset.count
    if wanted >= size:
        context.expect(size)
        return zset.by_rank_back(0, size)
    context.expect(looks(size, abs(wanted)))
    if wanted >= 0:
        return zset.at_ranks(distinct_ranks(context.random, size, wanted))
    ranks = random_ranks(context.random, size, -wanted)
    different = sorted(set(ranks))
    elements = dict(zip(different, zset.at_ranks(different), strict=True))
    return [elements[rank] for rank in ranks]


@SORTED_SETS.read(
    "ZSCAN",
    arity=-3,
    keys=key_at(1, "RO access"),
    since="2.8.0",
    complexity="O(COUNT) for a call, O(N) for a whole scan with N the number of members",
    tips=BY_CHANCE,
    syntax="key cursor [MATCH pattern] [COUNT count]",
    summary="Lists the members of a sorted set with their scores, some at each call.",
)
def zscan(context: ReadContext, args: Args) -> Reply:
    """Replies with the next cursor, 0 at the end, and the members and scores found on the way.

    In the large form Redis prints scores with seventeen digits here, and nowhere else.
    """
    cursor = scan_cursor(args[2])
    zset = sortedsets.find(context.keys, args[1])
    if zset is None:
        return NOTHING_SCANNED
    following, entries = scan_elements(context, args[3:], cursor, zset, zset.is_compact)
    found: list[Reply] = []
    for member, data in entries:
        number = member_score(zset, data)
        found += [member, format_double(number) if zset.is_compact else b"%.17g" % number]
    return [following, found]
