"""Commands on lists: elements in an order of their own, pushed and popped at the ends.

Indexes may be negative and count from the end then. A list without elements does not exist.
"""

from __future__ import annotations

from typing import Final

from keyp import events
from keyp.command.arguments import INT64_MAX, integer, integer_between
from keyp.command.context import ReadContext, WriteContext
from keyp.command.spec import DENYOOM, FAST, Args, key_at
from keyp.command.table import CommandTable
from keyp.errors import NO_OPPOSITE, NO_SUCH_KEY, NOT_POSITIVE, OUT_OF_RANGE_INDEX, SYNTAX, CommandError, wrong_arity
from keyp.resp.values import NULL_ARRAY, Reply
from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.types import lists
from keyp.storage.types.lists import AT_ONCE, List

LISTS = CommandTable(group="list", categories="list")

ENDS: Final = {b"LEFT": True, b"RIGHT": False}

RANK_ZERO: Final = (
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start"
    " from the end of the list"
)
# Elements that a search looks at first; then twice as many, and so on: what is sought is often near an end.
FIRST_LOOK: Final = 32

NEGATIVE_COUNT: Final = "ERR COUNT can't be negative"
NEGATIVE_LENGTH: Final = "ERR MAXLEN can't be negative"


def tell_pushed(keys: WritableKeyspace, key: bytes, left: bool, count: int) -> None:
    """The event of a push of so many elements."""
    keys.notify(events.LIST, "lpush" if left else "rpush", key, count)


def tell_popped(keys: WritableKeyspace, key: bytes, left: bool, count: int) -> None:
    """The event of a pop of so many elements."""
    keys.notify(events.LIST, "lpop" if left else "rpop", key, count)


def end_of(word: bytes) -> bool:
    """Whether a word names the left end of a list. Raises SYNTAX where it names none."""
    left = ENDS.get(word.upper())
    if left is None:
        raise CommandError(SYNTAX)
    return left


def _push(context: WriteContext, args: Args, left: bool, make: bool) -> Reply:
    keys, key = context.keys, args[1]
    found = lists.open_list(keys, key) if make else lists.find(keys, key)
    if found is None:
        return 0
    found.push(args[2:], left)
    tell_pushed(keys, key, left, len(args) - 2)
    found.save()
    return found.count


@LISTS.write(
    "LPUSH",
    arity=-3,
    keys=key_at(1, "RW insert"),
    flags=DENYOOM | FAST,
    since="1.0.0",
    complexity="O(1) for each element",
    syntax="key element [element ...]",
    summary="Adds elements to the beginning of a list, which is made if need be; the last one becomes the first.",
)
def lpush(context: WriteContext, args: Args) -> Reply:
    """Replies with the list's new length."""
    return _push(context, args, left=True, make=True)


@LISTS.write(
    "RPUSH",
    arity=-3,
    keys=key_at(1, "RW insert"),
    flags=DENYOOM | FAST,
    since="1.0.0",
    complexity="O(1) for each element",
    syntax="key element [element ...]",
    summary="Adds elements to the end of a list, which is made if need be.",
)
def rpush(context: WriteContext, args: Args) -> Reply:
    """Replies with the list's new length."""
    return _push(context, args, left=False, make=True)


@LISTS.write(
    "LPUSHX",
    arity=-3,
    keys=key_at(1, "RW insert"),
    flags=DENYOOM | FAST,
    since="2.2.0",
    complexity="O(1) for each element",
    syntax="key element [element ...]",
    summary="Adds elements to the beginning of a list, if there is one.",
)
def lpushx(context: WriteContext, args: Args) -> Reply:
    """Replies with the list's new length, 0 where there is no such key."""
    return _push(context, args, left=True, make=False)


@LISTS.write(
    "RPUSHX",
    arity=-3,
    keys=key_at(1, "RW insert"),
    flags=DENYOOM | FAST,
    since="2.2.0",
    complexity="O(1) for each element",
    syntax="key element [element ...]",
    summary="Adds elements to the end of a list, if there is one.",
)
def rpushx(context: WriteContext, args: Args) -> Reply:
    """Replies with the list's new length, 0 where there is no such key."""
    return _push(context, args, left=False, make=False)


def pop_elements(keys: WritableKeyspace, found: List, count: int, left: bool) -> list[bytes]:
    """Pops up to `count` elements, notifies of it and saves the list."""
    elements = found.pop(count, left)
    tell_popped(keys, found.key, left, len(elements))
    found.save()
    return elements


def _pop(context: WriteContext, args: Args, left: bool) -> Reply:
    """One element, or with a count an array of them."""
    if len(args) > 3:
        raise wrong_arity("lpop" if left else "rpop")
    count = integer_between(args[2], 0, INT64_MAX, NOT_POSITIVE) if len(args) == 3 else -1
    keys = context.keys
    found = lists.find(keys, args[1])
    if found is None:
        return None if count < 0 else NULL_ARRAY
    if count < 0:
        return pop_elements(keys, found, 1, left)[0]
    return pop_elements(keys, found, count, left) if count else []


@LISTS.write(
    "LPOP",
    arity=-2,
    keys=key_at(1, "RW access delete"),
    flags=FAST,
    since="1.0.0",
    complexity="O(N) with N the number of elements popped",
    syntax="key [count]",
    summary="Removes the first elements of a list and returns them.",
)
def lpop(context: WriteContext, args: Args) -> Reply:
    """Replies with the element, or with a count with an array; null without such a key."""
    return _pop(context, args, left=True)


@LISTS.write(
    "RPOP",
    arity=-2,
    keys=key_at(1, "RW access delete"),
    flags=FAST,
    since="1.0.0",
    complexity="O(N) with N the number of elements popped",
    syntax="key [count]",
    summary="Removes the last elements of a list and returns them.",
)
def rpop(context: WriteContext, args: Args) -> Reply:
    """Replies with the element, or with a count with an array, the last one first; null without such a key."""
    return _pop(context, args, left=False)


@LISTS.read(
    "LLEN",
    arity=2,
    keys=key_at(1, "RO"),
    flags=FAST,
    since="1.0.0",
    syntax="key",
    summary="Returns the length of a list.",
)
def llen(context: ReadContext, args: Args) -> Reply:
    """Replies with the length, 0 without such a key."""
    found = lists.find(context.keys, args[1])
    return 0 if found is None else found.count


@LISTS.read(
    "LINDEX",
    arity=3,
    keys=key_at(1, "RO access"),
    since="1.0.0",
    syntax="key index",
    summary="Returns the element at an index.",
)
def lindex(context: ReadContext, args: Args) -> Reply:
    """Replies with the element, null where there is none."""
    found = lists.find(context.keys, args[1])
    if found is None:
        return None
    index = _index(found, args[2])
    return found.element(index) if 0 <= index < found.count else None


def _index(found: List, data: bytes) -> int:
    """An index from the beginning; it may be outside the list."""
    index = integer(data)
    return index + found.count if index < 0 else index


@LISTS.write(
    "LSET",
    arity=4,
    keys=key_at(1, "RW update"),
    flags=DENYOOM,
    since="1.0.0",
    syntax="key index element",
    summary="Puts another element in the place of the one at an index.",
)
def lset(context: WriteContext, args: Args) -> Reply:
    """Replies OK. Raises an error where there is no such key or index."""
    found = lists.find(context.keys, args[1])
    if found is None:
        raise CommandError(NO_SUCH_KEY)
    index = _index(found, args[2])
    if not 0 <= index < found.count:
        raise CommandError(OUT_OF_RANGE_INDEX)
    found.set(index, args[3])
    context.keys.notify(events.LIST, "lset", args[1])
    found.save()
    return "OK"


def _bounds(found: List, start: int, stop: int) -> tuple[int, int]:
    """The first index of a range with both ends included, at most the list's length, and how many elements it has."""
    start = max(0, start + found.count) if start < 0 else min(start, found.count)
    stop = stop + found.count if stop < 0 else min(stop, found.count - 1)
    return start, max(0, stop - start + 1)


@LISTS.read(
    "LRANGE",
    arity=4,
    keys=key_at(1, "RO access"),
    since="1.0.0",
    complexity="O(N) with N the number of elements returned",
    syntax="key start stop",
    summary="Returns the elements from one index to another.",
)
def lrange(context: ReadContext, args: Args) -> Reply:
    """Replies with the elements."""
    start, stop = integer(args[2]), integer(args[3])
    found = lists.find(context.keys, args[1])
    if found is None:
        return []
    start, count = _bounds(found, start, stop)
    context.expect(count)
    return found.range(start, count) if count else []


@LISTS.write(
    "LTRIM",
    arity=4,
    keys=key_at(1, "RW delete"),
    since="1.0.0",
    complexity="O(N) with N the number of elements removed or the number kept, whichever is smaller",
    syntax="key start stop",
    summary="Removes all elements of a list but those from one index to another.",
)
def ltrim(context: WriteContext, args: Args) -> Reply:
    """Replies OK."""
    start, stop = integer(args[2]), integer(args[3])
    found = lists.find(context.keys, args[1])
    if found is not None:
        start, count = _bounds(found, start, stop)
        removed = found.count - count
        if removed:
            found.keep(start, count)
        context.keys.notify(events.LIST, "ltrim", args[1], removed)
        if removed:
            found.save()
    return "OK"


@LISTS.write(
    "LINSERT",
    arity=5,
    keys=key_at(1, "RW insert"),
    flags=DENYOOM,
    since="2.2.0",
    complexity="O(N) with N the number of elements up to the pivot, or on its shorter side if that is more",
    syntax="key <BEFORE | AFTER> pivot element",
    summary="Adds an element before or after another one.",
)
def linsert(context: WriteContext, args: Args) -> Reply:
    """Replies with the new length, 0 without such a key and -1 where the pivot is not in the list."""
    word = args[2].upper()
    if word not in (b"BEFORE", b"AFTER"):
        raise CommandError(SYNTAX)
    found = lists.find(context.keys, args[1])
    if found is None:
        return 0
    at = find_matches(context, found, args[3], limit=1)
    if not at:
        return -1
    found.insert(at[0] + (word == b"AFTER"), args[4])
    context.keys.notify(events.LIST, "linsert", args[1])
    found.save()
    return found.count


def find_matches(
    context: ReadContext, found: List, element: bytes, limit: int = 0, skip: int = 0, backwards: bool = False,
    most: int = 0,
) -> list[int]:  # fmt: skip
    """The indexes of elements that equal `element`, in the order of the search.

    At most `limit` of them, `skip` passed over before, and `most` elements looked at; 0 stands for all.
    """
    looked_at = min(most or found.count, found.count)
    indexes: list[int] = []
    done, size = 0, FIRST_LOOK
    while done < looked_at:
        count = min(size, looked_at - done)
        size = min(2 * size, AT_ONCE)
        start = found.count - done - count if backwards else done
        part = found.range(start, count)
        places = range(count - 1, -1, -1) if backwards else range(count)
        if element in part:
            for place in places:
                if part[place] == element:
                    if skip:
                        skip -= 1
                        continue
                    indexes.append(start + place)
                    if len(indexes) == limit:
                        return indexes
        done += count
        context.expect(done)
    return indexes


@LISTS.write(
    "LREM",
    arity=4,
    keys=key_at(1, "RW delete"),
    since="1.0.0",
    complexity="O(N) with N the number of elements",
    syntax="key count element",
    summary="Removes elements that equal a value: all, or so many from one end.",
)
def lrem(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of elements removed. `count` is negative for those nearest the end, 0 for all."""
    count = integer(args[2])
    found = lists.find(context.keys, args[1])
    if found is None:
        return 0
    indexes = find_matches(context, found, args[3], limit=abs(count), backwards=count < 0)
    if indexes:
        found.remove(sorted(indexes))
        context.keys.notify(events.LIST, "lrem", args[1], len(indexes))
        found.save()
    return len(indexes)


@LISTS.read(
    "LPOS",
    arity=-3,
    keys=key_at(1, "RO access"),
    since="6.0.6",
    complexity="O(N) with N the number of elements looked at",
    syntax="key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
    summary="Finds the index of an element.",
)
def lpos(context: ReadContext, args: Args) -> Reply:
    """Replies with the index or null, with COUNT with an array of indexes."""
    rank, count, most = _position_options(args)
    found = lists.find(context.keys, args[1])
    if found is None:
        return None if count < 0 else []
    limit = 1 if count < 0 else count
    indexes = find_matches(context, found, args[2], limit, abs(rank) - 1, rank < 0, most)
    if count < 0:
        return indexes[0] if indexes else None
    return indexes


def _position_options(args: Args) -> tuple[int, int, int]:
    """Rank, count (-1 where none is given) and most elements to look at."""
    rank, count, most = 1, -1, 0
    for at in range(3, len(args), 2):
        word = args[at].upper()
        if at + 1 == len(args):
            raise CommandError(SYNTAX)
        value = args[at + 1]
        if word == b"RANK":
            rank = integer(value)
            if rank < -INT64_MAX:
                raise CommandError(NO_OPPOSITE)
            if rank == 0:
                raise CommandError(RANK_ZERO)
        elif word == b"COUNT":
            count = integer_between(value, 0, INT64_MAX, NEGATIVE_COUNT)
        elif word == b"MAXLEN":
            most = integer_between(value, 0, INT64_MAX, NEGATIVE_LENGTH)
        else:
            raise CommandError(SYNTAX)
    return rank, count, most
