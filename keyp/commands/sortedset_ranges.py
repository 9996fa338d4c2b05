"""Ranges of sorted sets: by rank, by score, or by member where all scores are the same.

A range is read from its arguments first (`Range`), and found in a sorted set as a pair of places after. Ranks come
from counts, so an offset costs no walk over what it passes over.

By member makes sense where all scores are the same. Where they are not, a set is taken for one whose members are in
order all the same, as in Redis; which elements such a range holds is not promised.
"""

from __future__ import annotations

from math import inf
from typing import Final

from keyp import events
from keyp.command.arguments import bound, integer
from keyp.command.context import ReadContext, WriteContext
from keyp.command.spec import DENYOOM, FAST, Args, key_at
from keyp.command.table import CommandTable
from keyp.commands.sortedsets import find_to_read, store_elements
from keyp.errors import SYNTAX, CommandError
from keyp.resp.values import Pairs, Reply
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.layout import STORED_NAME_MAX
from keyp.storage.types import sortedsets
from keyp.storage.types.elements import place_of
from keyp.storage.types.sortedsets import END, SCORE, START, Scored, SortedSet, ordered, score_range

SORTED_SET_RANGES = CommandTable(group="sorted-set", categories="sortedset")

BY_RANK: Final = 0
BY_SCORE: Final = 1
BY_MEMBER: Final = 2
RANGE_TYPES: Final = {b"BYSCORE": BY_SCORE, b"BYLEX": BY_MEMBER}

BEHIND_MEMBERS: Final = b"\xff" * (STORED_NAME_MAX + 1)  # no member has this place, nor one behind it

NOT_A_SCORE: Final = "ERR min or max is not a float"
NOT_A_MEMBER: Final = "ERR min or max not valid string range item"
LIMIT_BY_RANK: Final = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
SCORES_BY_MEMBER: Final = "ERR syntax error, WITHSCORES not supported in combination with BYLEX"

READ_IN_ORDER: Final = "O(log(N)+M) with N the number of elements in the sorted set and M the number returned"
REMOVED_IN_ORDER: Final = "O(log(N)+M) with N the number of elements and M the number removed or left, if that is less"
COUNTED: Final = "O(log(N)) with N the number of elements in the sorted set"

SLICE: Final = 1024  # elements that are read in one go
STEPPED_OVER: Final = 64  # up to so many elements before an offset are read rather than counted


class Range:
    """What the bounds of a range say, `low` and `high` in the order of elements. Raises Redis's errors."""

    def __init__(self, range_type: int, low: bytes, high: bytes) -> None:
        self.range_type = range_type
        self.start = self.stop = 0
        self.places = (START, END)  # in the order; where members are bounds, among members only
        if range_type == BY_RANK:
            self.start, self.stop = integer(low), integer(high)
        elif range_type == BY_SCORE:
            self.places = _score_places(low, high)
        else:
            self.places = (_member_place(low, after=b"(", before=b"["), _member_place(high, after=b"[", before=b"("))

    def ranks(self, count: int) -> tuple[int, int]:
        """The first rank, and how many elements follow it, in a set of `count` elements."""
        start = max(0, self.start + count) if self.start < 0 else self.start
        stop = self.stop + count if self.stop < 0 else min(self.stop, count - 1)
        return start, max(0, stop - start + 1)

    def find(self, zset: SortedSet) -> tuple[bytes, bytes]:
        """The places from which and up to which the range goes in a sorted set."""
        if self.range_type == BY_SCORE:
            return self.places
        if self.range_type == BY_MEMBER:
            return _member_range(zset, self.places[0], self.places[1])
        start, count = self.ranks(zset.count)
        if count == 0:
            return START, START
        return _place_at(zset, start), _place_at(zset, start + count)


def _place_at(zset: SortedSet, rank: int) -> bytes:
    """The first place that `rank` elements stand before."""
    if rank == 0:
        return START
    return zset.at(rank) if rank < zset.count else END


def _score_places(low: bytes, high: bytes) -> tuple[bytes, bytes]:
    above_low, below_high = low.startswith(b"("), high.startswith(b"(")
    first = bound(low[1:] if above_low else low, NOT_A_SCORE)
    last = bound(high[1:] if below_high else high, NOT_A_SCORE)
    start, stop = score_range(first, above_low, last, below_high)
    # With these bounds a range is known to hold every element.
    return START if first == -inf and not above_low else start, END if last == inf and not below_high else stop


def _member_place(data: bytes, after: bytes, before: bytes) -> bytes:
    """The place at which a bound stands among members: in front of the one it names, or right behind it."""
    if data in (b"-", b"+"):
        return START if data == b"-" else BEHIND_MEMBERS
    sign = data[:1]
    if sign == before:
        return place_of(data[1:])
    if sign == after:
        return place_of(data[1:]) + b"\0"
    raise CommandError(NOT_A_MEMBER)


def _member_range(zset: SortedSet, low: bytes, high: bytes) -> tuple[bytes, bytes]:
    """The places in the order that two places among members stand for."""
    (_, first), (_, last) = zset.by_rank(0, 1)[0], zset.by_rank_back(0, 1)[0]
    places: list[bytes] = []
    for place in (low, high):
        if place in (START, BEHIND_MEMBERS):
            places.append(START if place == START else END)
        else:
            places.append(ordered(first) + place if first == last else _search(zset, place))
    return places[0], places[1]


def _search(zset: SortedSet, place: bytes) -> bytes:
    """The place of the first element whose member is at `place` or behind it, if members grow with the scores."""
    low, high = 0, zset.count
    while low < high:
        middle = (low + high) // 2
        if zset.at(middle)[SCORE:] < place:
            low = middle + 1
        else:
            high = middle
    return _place_at(zset, low)


class _Query:
    """A range, and what is wanted of it, read from the arguments behind the key at `at`.

    The words that choose type and direction are taken only where the command leaves them open (`is_open`).
    """

    def __init__(
        self, args: Args, at: int, range_type: int = BY_RANK, reverse: bool = False, is_open: bool = False,
        stores: bool = False,
    ) -> None:  # fmt: skip
        self.range_type = range_type
        self.reverse = reverse
        self.with_scores = False
        self.offset, self.limit = 0, -1
        place = at + 3
        while place < len(args):
            word = args[place].upper()
            if word == b"WITHSCORES" and not stores:
                self.with_scores = True
            elif word == b"LIMIT" and place + 2 < len(args):
                self.offset, self.limit = integer(args[place + 1]), integer(args[place + 2])
                place += 2
            elif word == b"REV" and is_open and not self.reverse:
                self.reverse = True
            elif word in RANGE_TYPES and is_open and self.range_type == BY_RANK:
                self.range_type = RANGE_TYPES[word]
            else:
                raise CommandError(SYNTAX)
            place += 1
        if self.range_type == BY_RANK and self.limit != -1:
            raise CommandError(LIMIT_BY_RANK)
        if self.range_type == BY_MEMBER and self.with_scores:
            raise CommandError(SCORES_BY_MEMBER)
        low, high = args[at + 1], args[at + 2]
        if self.reverse and self.range_type != BY_RANK:
            low, high = high, low
        self.range = Range(self.range_type, low, high)

    def elements(self, context: ReadContext, zset: SortedSet) -> list[Scored]:
        """The elements of a sorted set that are asked for."""
        if self.range_type == BY_RANK:
            start, count = self.range.ranks(zset.count)
            context.expect(count)
            return zset.by_rank_back(start, count) if self.reverse else zset.by_rank(start, count)
        if self.offset < 0 or self.limit == 0:
            return []
        low, high = self.range.find(zset)
        skipped = self.offset
        if skipped > STEPPED_OVER:
            low, high = _without(zset, low, high, skipped, self.reverse)
            skipped = 0
        limit = -1 if self.limit < 0 else self.limit + skipped
        return _elements(context, zset, low, high, limit, self.reverse)[skipped:]


def _without(zset: SortedSet, low: bytes, high: bytes, count: int, reverse: bool) -> tuple[bytes, bytes]:
    """A range without its first `count` elements, or its last where it is walked in reverse."""
    if reverse:
        return low, _place_at(zset, max(0, zset.rank(high) - count) if high != END else max(0, zset.count - count))
    return _place_at(zset, min(zset.count, zset.rank(low) + count)), high


def _elements(
    context: ReadContext, zset: SortedSet, low: bytes, high: bytes, limit: int, reverse: bool
) -> list[Scored]:
    """Up to `limit` elements of a range of places, -1 for all; the batch moves to another thread if they are many."""
    found: list[Scored] = []
    expected = zset.count if (low, high, limit) == (START, END, -1) else -1
    while True:
        wanted = SLICE if limit < 0 else min(SLICE, limit - len(found))
        context.expect(len(found) + wanted)
        part = zset.between_back(low, high, wanted) if reverse else zset.between(low, high, wanted)
        found += part
        if len(part) < wanted or len(found) == limit:
            if expected not in (-1, len(found)):
                raise Damaged(zset.where())
            return found
        if reverse:
            high = zset.place(*part[-1])
        else:
            low = zset.place(*part[-1]) + b"\0"


def _reply(context: ReadContext, key: bytes, query: _Query) -> Reply:
    """The members that are asked for, with their scores where these are wanted."""
    zset = sortedsets.find(context.keys, key)
    if zset is None:
        return []
    elements = query.elements(context, zset)
    return Pairs(elements) if query.with_scores else [member for member, _ in elements]


@SORTED_SET_RANGES.read(
    "ZRANGE",
    arity=-4,
    keys=key_at(1, "RO access"),
    since="1.2.0",
    complexity=READ_IN_ORDER,
    syntax="key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
    summary="Returns a range of a sorted set: by rank, by score or by member, in order or in reverse.",
)
def zrange(context: ReadContext, args: Args) -> Reply:
    """Replies with the members, WITHSCORES with pairs."""
    return _reply(context, args[1], _Query(args, 1, is_open=True))


@SORTED_SET_RANGES.read(
    "ZREVRANGE",
    arity=-4,
    keys=key_at(1, "RO access"),
    since="1.2.0",
    complexity=READ_IN_ORDER,
    syntax="key start stop [WITHSCORES]",
    summary="Returns the members of a range of ranks, counted from the highest score on.",
)
def zrevrange(context: ReadContext, args: Args) -> Reply:
    """As ZRANGE with REV."""
    return _reply(context, args[1], _Query(args, 1, reverse=True))


@SORTED_SET_RANGES.read(
    "ZRANGEBYSCORE",
    arity=-4,
    keys=key_at(1, "RO access"),
    since="1.0.5",
    complexity=READ_IN_ORDER,
    syntax="key min max [WITHSCORES] [LIMIT offset count]",
    summary="Returns the members whose scores are within a range.",
)
def zrangebyscore(context: ReadContext, args: Args) -> Reply:
    """As ZRANGE with BYSCORE."""
    return _reply(context, args[1], _Query(args, 1, BY_SCORE))


@SORTED_SET_RANGES.read(
    "ZREVRANGEBYSCORE",
    arity=-4,
    keys=key_at(1, "RO access"),
    since="2.2.0",
    complexity=READ_IN_ORDER,
    syntax="key max min [WITHSCORES] [LIMIT offset count]",
    summary="Returns the members whose scores are within a range, the highest first.",
)
def zrevrangebyscore(context: ReadContext, args: Args) -> Reply:
    """As ZRANGE with BYSCORE and REV."""
    return _reply(context, args[1], _Query(args, 1, BY_SCORE, reverse=True))


@SORTED_SET_RANGES.read(
    "ZRANGEBYLEX",
    arity=-4,
    keys=key_at(1, "RO access"),
    since="2.8.9",
    complexity=READ_IN_ORDER,
    syntax="key min max [LIMIT offset count]",
    summary="Returns the members between two texts, of a sorted set whose scores are all the same.",
)
def zrangebylex(context: ReadContext, args: Args) -> Reply:
    """As ZRANGE with BYLEX."""
    return _reply(context, args[1], _Query(args, 1, BY_MEMBER))


@SORTED_SET_RANGES.read(
    "ZREVRANGEBYLEX",
    arity=-4,
    keys=key_at(1, "RO access"),
    since="2.8.9",
    complexity=READ_IN_ORDER,
    syntax="key max min [LIMIT offset count]",
    summary="Returns the members between two texts in reverse, of a sorted set whose scores are all the same.",
)
def zrevrangebylex(context: ReadContext, args: Args) -> Reply:
    """As ZRANGE with BYLEX and REV."""
    return _reply(context, args[1], _Query(args, 1, BY_MEMBER, reverse=True))


@SORTED_SET_RANGES.write(
    "ZRANGESTORE",
    arity=-5,
    keys=key_at(1, "OW update") + key_at(2, "RO access"),
    flags=DENYOOM,
    since="6.2.0",
    complexity="O(log(N)+M*log(M)) with N the number of elements in the sorted set and M the number stored",
    syntax="dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
    summary="Makes a range of a sorted set the value of a key.",
)
def zrangestore(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of elements stored; of none the key is removed."""
    query = _Query(args, 2, is_open=True, stores=True)
    zset = find_to_read(context, args[2])
    elements = [] if zset is None else query.elements(context, zset)
    return store_elements(context, args[1], elements, "zrangestore")


def _count(context: ReadContext, key: bytes, wanted: Range) -> Reply:
    zset = sortedsets.find(context.keys, key)
    return 0 if zset is None else zset.count_between(*wanted.find(zset))


@SORTED_SET_RANGES.read(
    "ZCOUNT",
    arity=4,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="2.0.0",
    complexity=COUNTED,
    syntax="key min max",
    summary="Counts the members whose scores are within a range.",
)
def zcount(context: ReadContext, args: Args) -> Reply:
    """Replies with the number, 0 without such a key."""
    return _count(context, args[1], Range(BY_SCORE, args[2], args[3]))


@SORTED_SET_RANGES.read(
    "ZLEXCOUNT",
    arity=4,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="2.8.9",
    complexity=COUNTED,
    syntax="key min max",
    summary="Counts the members between two texts, in a sorted set whose scores are all the same.",
)
def zlexcount(context: ReadContext, args: Args) -> Reply:
    """Replies with the number, 0 without such a key."""
    return _count(context, args[1], Range(BY_MEMBER, args[2], args[3]))


def _remove(context: WriteContext, key: bytes, wanted: Range, event: str) -> Reply:
    """Removes the elements of a range; how many."""
    zset = sortedsets.find(context.keys, key)
    if zset is None:
        return 0
    removed = zset.remove_between(*wanted.find(zset))
    if removed:
        context.keys.notify(events.ZSET, event, key, removed)
        zset.save()
    return removed


@SORTED_SET_RANGES.write(
    "ZREMRANGEBYRANK",
    arity=4,
    keys=key_at(1, "RW delete"),
    since="2.0.0",
    complexity=REMOVED_IN_ORDER,
    syntax="key start stop",
    summary="Removes the members of a range of ranks.",
)
def zremrangebyrank(context: WriteContext, args: Args) -> Reply:
    """Replies with the number removed."""
    return _remove(context, args[1], Range(BY_RANK, args[2], args[3]), "zremrangebyrank")


@SORTED_SET_RANGES.write(
    "ZREMRANGEBYSCORE",
    arity=4,
    keys=key_at(1, "RW delete"),
    since="1.2.0",
    complexity=REMOVED_IN_ORDER,
    syntax="key min max",
    summary="Removes the members whose scores are within a range.",
)
def zremrangebyscore(context: WriteContext, args: Args) -> Reply:
    """Replies with the number removed."""
    return _remove(context, args[1], Range(BY_SCORE, args[2], args[3]), "zremrangebyscore")


@SORTED_SET_RANGES.write(
    "ZREMRANGEBYLEX",
    arity=4,
    keys=key_at(1, "RW delete"),
    since="2.8.9",
    complexity=REMOVED_IN_ORDER,
    syntax="key min max",
    summary="Removes the members between two texts, from a sorted set whose scores are all the same.",
)
def zremrangebylex(context: WriteContext, args: Args) -> Reply:
    """Replies with the number removed."""
    return _remove(context, args[1], Range(BY_MEMBER, args[2], args[3]), "zremrangebylex")
