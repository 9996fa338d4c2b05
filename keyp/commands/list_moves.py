"""Commands that pop from the first of several lists or move from one list to another, and their blocking forms.

A blocking command does the same as its other form where there is an element; where there is none it waits.
"""

from __future__ import annotations

from keyp.command.arguments import INT64_MAX, integer_between
from keyp.command.block_timeout import timeout_ms
from keyp.command.context import WriteContext
from keyp.command.spec import BLOCKING, DENYOOM, MOVABLEKEYS, Args, KeySpec, counted_keys, key_at
from keyp.command.table import CommandTable
from keyp.commands.lists import end_of, pop_elements, tell_popped, tell_pushed
from keyp.errors import COUNT_TOO_LOW, NUMKEYS_TOO_LOW, SYNTAX, CommandError
from keyp.resp.values import NULL_ARRAY, Reply, Wait
from keyp.storage.types import lists
from keyp.storage.value_types import LIST

LIST_MOVES = CommandTable(group="list", categories="list")


def _move(context: WriteContext, source: bytes, target: bytes, from_left: bool, to_left: bool) -> Reply:
    """Moves an element; None where there is no source.

    The target's event comes before the source's, as in Redis, which counts the move as one change.
    """
    keys = context.keys
    taken = lists.find(keys, source)
    if taken is None:
        return None
    if source == target:
        element = taken.pop(1, from_left)[0]
        taken.push([element], to_left)
        tell_pushed(keys, target, to_left, 1)
        tell_popped(keys, source, from_left, 0)
        taken.save()
        return element
    given = lists.open_list(keys, target)
    element = taken.pop(1, from_left)[0]
    given.push([element], to_left)
    tell_pushed(keys, target, to_left, 1)
    given.save()
    tell_popped(keys, source, from_left, 0)
    taken.save()
    return element


@LIST_MOVES.write(
    "LMOVE",
    arity=5,
    keys=key_at(1, "RW access delete") + key_at(2, "RW insert"),
    flags=DENYOOM,
    since="6.2.0",
    syntax="source destination <LEFT | RIGHT> <LEFT | RIGHT>",
    summary="Moves an element from an end of a list to an end of another one, or of the same.",
)
def lmove(context: WriteContext, args: Args) -> Reply:
    """Replies with the element, null where there is no source."""
    from_left, to_left = end_of(args[3]), end_of(args[4])
    return _move(context, args[1], args[2], from_left, to_left)


@LIST_MOVES.write(
    "RPOPLPUSH",
    arity=3,
    keys=key_at(1, "RW access delete") + key_at(2, "RW insert"),
    flags=DENYOOM,
    since="1.2.0",
    syntax="source destination",
    summary="Moves the last element of a list to the beginning of another one.",
)
def rpoplpush(context: WriteContext, args: Args) -> Reply:
    """Replies with the element, null where there is no source."""
    return _move(context, args[1], args[2], from_left=False, to_left=True)


def _move_or_wait(context: WriteContext, args: Args, from_left: bool, to_left: bool, timeout: bytes) -> Reply:
    limit_ms = timeout_ms(context, timeout)
    element = _move(context, args[1], args[2], from_left, to_left)
    return Wait(LIST, [args[1]], limit_ms, otherwise=None) if element is None else element


@LIST_MOVES.write(
    "BLMOVE",
    arity=6,
    keys=key_at(1, "RW access delete") + key_at(2, "RW insert"),
    flags=DENYOOM | BLOCKING,
    since="6.2.0",
    syntax="source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
    summary="Moves an element from list to list, and waits for one where there is none.",
)
def blmove(context: WriteContext, args: Args) -> Reply:
    """Replies with the element; the null array when the time is over."""
    from_left, to_left = end_of(args[3]), end_of(args[4])
    return _move_or_wait(context, args, from_left, to_left, args[5])


@LIST_MOVES.write(
    "BRPOPLPUSH",
    arity=4,
    keys=key_at(1, "RW access delete") + key_at(2, "RW insert"),
    flags=DENYOOM | BLOCKING,
    since="2.2.0",
    syntax="source destination timeout",
    summary="Moves the last element of a list to the beginning of another one, and waits where there is none.",
)
def brpoplpush(context: WriteContext, args: Args) -> Reply:
    """Replies with the element; the null array when the time is over."""
    return _move_or_wait(context, args, False, True, args[3])


def _pop_first_or_wait(context: WriteContext, args: Args, left: bool) -> Reply:
    """Pops from the first of the lists that is there."""
    limit_ms = timeout_ms(context, args[-1])
    keys = context.keys
    for key in args[1:-1]:
        found = lists.find(keys, key)
        if found is not None:
            return [key, pop_elements(keys, found, 1, left)[0]]
    return Wait(LIST, args[1:-1], limit_ms)


@LIST_MOVES.write(
    "BLPOP",
    arity=-3,
    keys=(KeySpec(1, -2, 1, "RW access delete"),),
    flags=BLOCKING,
    since="2.0.0",
    complexity="O(N) with N the number of keys",
    syntax="key [key ...] timeout",
    summary="Removes the first element of the first list that there is, and waits where there is none.",
)
def blpop(context: WriteContext, args: Args) -> Reply:
    """Replies with key and element; the null array when the time is over."""
    return _pop_first_or_wait(context, args, left=True)


@LIST_MOVES.write(
    "BRPOP",
    arity=-3,
    keys=(KeySpec(1, -2, 1, "RW access delete"),),
    flags=BLOCKING,
    since="2.0.0",
    complexity="O(N) with N the number of keys",
    syntax="key [key ...] timeout",
    summary="Removes the last element of the first list that there is, and waits where there is none.",
)
def brpop(context: WriteContext, args: Args) -> Reply:
    """Replies with key and element; the null array when the time is over."""
    return _pop_first_or_wait(context, args, left=False)


class _Choice:
    """What LMPOP and BLMPOP are asked for, read from `args` where the number of keys stands at `at`."""

    def __init__(self, args: Args, at: int) -> None:
        numkeys = integer_between(args[at], 1, INT64_MAX, NUMKEYS_TOO_LOW)
        where = at + 1 + numkeys
        if where >= len(args):
            raise CommandError(SYNTAX)
        self.keys = args[at + 1 : where]
        self.left = end_of(args[where])
        self.count = -1
        for place in range(where + 1, len(args), 2):
            if self.count != -1 or args[place].upper() != b"COUNT" or place + 1 == len(args):
                raise CommandError(SYNTAX)
            self.count = integer_between(args[place + 1], 1, INT64_MAX, COUNT_TOO_LOW)

    def pop(self, context: WriteContext) -> Reply:
        """Key and elements, None where there is no list."""
        keys = context.keys
        for key in self.keys:
            found = lists.find(keys, key)
            if found is not None:
                return [key, pop_elements(keys, found, max(1, self.count), self.left)]
        return None


@LIST_MOVES.write(
    "LMPOP",
    arity=-4,
    keys=counted_keys(1, "RW access delete"),
    flags=MOVABLEKEYS,
    since="7.0.0",
    complexity="O(N+M) with N the number of keys and M the number of elements popped",
    syntax="numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
    summary="Removes elements from the first list that there is.",
)
def lmpop(context: WriteContext, args: Args) -> Reply:
    """Replies with key and elements, the null array where there is no list."""
    popped = _Choice(args, 1).pop(context)
    return NULL_ARRAY if popped is None else popped


@LIST_MOVES.write(
    "BLMPOP",
    arity=-5,
    keys=counted_keys(2, "RW access delete"),
    flags=BLOCKING | MOVABLEKEYS,
    since="7.0.0",
    complexity="O(N+M) with N the number of keys and M the number of elements popped",
    syntax="timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
    summary="Removes elements from the first list that there is, and waits where there is none.",
)
def blmpop(context: WriteContext, args: Args) -> Reply:
    """Replies with key and elements; the null array when the time is over."""
    choice = _Choice(args, 2)
    limit_ms = timeout_ms(context, args[1])
    popped = choice.pop(context)
    return Wait(LIST, choice.keys, limit_ms) if popped is None else popped
