"""Commands that take the elements with the lowest or highest scores from a sorted set, and their blocking forms.

A blocking command does the same as its other form where there is an element; where there is none it waits.
"""

from __future__ import annotations

from typing import Final

from keyp import events
from keyp.command.arguments import INT64_MAX, integer_between
from keyp.command.block_timeout import timeout_ms
from keyp.command.context import WriteContext
from keyp.command.spec import BLOCKING, FAST, MOVABLEKEYS, Args, KeySpec, counted_keys, key_at
from keyp.command.table import CommandTable
from keyp.errors import COUNT_TOO_LOW, NOT_POSITIVE, NUMKEYS_TOO_LOW, SYNTAX, CommandError
from keyp.resp.values import NULL_ARRAY, Pairs, Reply, Wait
from keyp.storage.types import sortedsets
from keyp.storage.types.sortedsets import END, START, Scored, SortedSet
from keyp.storage.value_types import ZSET

SORTED_SET_POPS = CommandTable(group="sorted-set", categories="sortedset")

ENDS: Final = {b"MIN": True, b"MAX": False}


POPPED: Final = "O(log(N)*M) with N the number of elements in the sorted set and M the number popped"
FIRST_POPPED: Final = "O(K)+O(log(N)*M) with K the number of keys, N the elements in the sorted set and M those popped"


def _pop(context: WriteContext, zset: SortedSet, count: int, lowest: bool) -> list[Scored]:
    """Takes up to `count` elements from an end, notifies of it and saves the set; they come from the end inwards."""
    if lowest:
        elements = zset.between(START, END, count)
        low, high = START, zset.place(*elements[-1]) + b"\0"
    else:
        elements = zset.between_back(START, END, count)
        low, high = zset.place(*elements[-1]), END
    if len(elements) == 1:
        zset.discard(*elements[0])
    else:
        zset.remove_between(low, high)
    context.keys.notify(events.ZSET, "zpopmin" if lowest else "zpopmax", zset.key, len(elements))
    zset.save()
    return elements


def _pop_one_or_more(context: WriteContext, args: Args, lowest: bool) -> Reply:
    """Pairs, of one element as a plain array where no count is given."""
    if len(args) > 3:
        raise CommandError(SYNTAX)
    count = integer_between(args[2], 0, INT64_MAX, NOT_POSITIVE) if len(args) == 3 else -1
    zset = sortedsets.find(context.keys, args[1])
    if zset is None or count == 0:
        return []
    elements = _pop(context, zset, max(1, count), lowest)
    return Pairs(elements) if count > 0 else list(elements[0])


@SORTED_SET_POPS.write(
    "ZPOPMIN",
    arity=-2,
    keys=key_at(1, "RW access delete"),
    flags=FAST,
    since="5.0.0",
    complexity=POPPED,
    syntax="key [count]",
    summary="Removes the members with the lowest scores and returns them.",
)
def zpopmin(context: WriteContext, args: Args) -> Reply:
    """Replies with member and score, with a count with pairs; an empty array without such a key."""
    return _pop_one_or_more(context, args, lowest=True)


@SORTED_SET_POPS.write(
    "ZPOPMAX",
    arity=-2,
    keys=key_at(1, "RW access delete"),
    flags=FAST,
    since="5.0.0",
    complexity=POPPED,
    syntax="key [count]",
    summary="Removes the members with the highest scores and returns them, the highest first.",
)
def zpopmax(context: WriteContext, args: Args) -> Reply:
    """Replies with member and score, with a count with pairs; an empty array without such a key."""
    return _pop_one_or_more(context, args, lowest=False)


def _pop_first_or_wait(context: WriteContext, args: Args, lowest: bool) -> Reply:
    """Pops one element from the first of the sorted sets that is there."""
    limit_ms = timeout_ms(context, args[-1])
    for key in args[1:-1]:
        zset = sortedsets.find(context.keys, key)
        if zset is not None:
            return [key, *_pop(context, zset, 1, lowest)[0]]
    return Wait(ZSET, args[1:-1], limit_ms)


@SORTED_SET_POPS.write(
    "BZPOPMIN",
    arity=-3,
    keys=(KeySpec(1, -2, 1, "RW access delete"),),
    flags=FAST | BLOCKING,
    since="5.0.0",
    complexity="O(K)+O(log(N)) with K the number of keys and N the number of elements in the sorted set",
    syntax="key [key ...] timeout",
    summary="Removes the member with the lowest score of the first sorted set that there is, and waits where none is.",
)
def bzpopmin(context: WriteContext, args: Args) -> Reply:
    """Replies with key, member and score; the null array when the time is over."""
    return _pop_first_or_wait(context, args, lowest=True)


@SORTED_SET_POPS.write(
    "BZPOPMAX",
    arity=-3,
    keys=(KeySpec(1, -2, 1, "RW access delete"),),
    flags=FAST | BLOCKING,
    since="5.0.0",
    complexity="O(K)+O(log(N)) with K the number of keys and N the number of elements in the sorted set",
    syntax="key [key ...] timeout",
    summary="Removes the member with the highest score of the first sorted set that there is, and waits where none is.",
)
def bzpopmax(context: WriteContext, args: Args) -> Reply:
    """Replies with key, member and score; the null array when the time is over."""
    return _pop_first_or_wait(context, args, lowest=False)


class _Choice:
    """What ZMPOP and BZMPOP are asked for, read from `args` where the number of keys stands at `at`."""

    def __init__(self, args: Args, at: int) -> None:
        numkeys = integer_between(args[at], 1, INT64_MAX, NUMKEYS_TOO_LOW)
        where = at + 1 + numkeys
        if where >= len(args):
            raise CommandError(SYNTAX)
        self.keys = args[at + 1 : where]
        lowest = ENDS.get(args[where].upper())
        if lowest is None:
            raise CommandError(SYNTAX)
        self.lowest = lowest
        self.count = -1
        for place in range(where + 1, len(args), 2):
            if self.count != -1 or args[place].upper() != b"COUNT" or place + 1 == len(args):
                raise CommandError(SYNTAX)
            self.count = integer_between(args[place + 1], 1, INT64_MAX, COUNT_TOO_LOW)

    def pop(self, context: WriteContext) -> Reply:
        """Key and elements, None where there is no sorted set."""
        for key in self.keys:
            zset = sortedsets.find(context.keys, key)
            if zset is not None:
                elements = _pop(context, zset, max(1, self.count), self.lowest)
                return [key, [list(element) for element in elements]]
        return None


@SORTED_SET_POPS.write(
    "ZMPOP",
    arity=-4,
    keys=counted_keys(1, "RW access delete"),
    flags=MOVABLEKEYS,
    since="7.0.0",
    complexity=FIRST_POPPED,
    syntax="numkeys key [key ...] <MIN | MAX> [COUNT count]",
    summary="Removes members with the lowest or highest scores from the first sorted set that there is.",
)
def zmpop(context: WriteContext, args: Args) -> Reply:
    """Replies with key and pairs, the null array where there is no sorted set."""
    popped = _Choice(args, 1).pop(context)
    return NULL_ARRAY if popped is None else popped


@SORTED_SET_POPS.write(
    "BZMPOP",
    arity=-5,
    keys=counted_keys(2, "RW access delete"),
    flags=BLOCKING | MOVABLEKEYS,
    since="7.0.0",
    complexity=FIRST_POPPED,
    syntax="timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
    summary="Removes members with the lowest or highest scores from the first sorted set that there is, and waits"
    " where there is none.",
)
def bzmpop(context: WriteContext, args: Args) -> Reply:
    """Replies with key and pairs; the null array when the time is over."""
    choice = _Choice(args, 2)
    limit_ms = timeout_ms(context, args[1])
    popped = choice.pop(context)
    return Wait(ZSET, choice.keys, limit_ms) if popped is None else popped
