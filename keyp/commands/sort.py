"""SORT: the elements of a list, set or sorted set in order, or values that they lead to.

An element leads to a value by a pattern: put in place of the pattern's star it makes a key's name, or with
`->field` at the end that of a hash's field. BY sorts by such values, GET replies with them.

Numbers are compared as doubles, and where they are the same the elements decide. ALPHA compares bytes; where those are
the same the elements stay in the order in which they were. Patterns, numbers, and texts that are not to be stored, end
for the comparison where C would end them, at a zero byte.
"""

from __future__ import annotations

from heapq import merge
from itertools import islice
from operator import itemgetter
from sys import float_info
from typing import Any, Final, TypeAlias

from keyp import events
from keyp.command.arguments import integer, real
from keyp.command.context import ReadContext, WriteContext
from keyp.command.spec import DENYOOM, MOVABLEKEYS, Args, KeyToStore, UnknownKeys, key_at
from keyp.command.table import CommandTable
from keyp.errors import SYNTAX, WRONG_TYPE, CommandError
from keyp.resp.values import Reply
from keyp.storage.lmdb import layout
from keyp.storage.types import lists, strings
from keyp.storage.types.hashes import Hash
from keyp.storage.types.lists import List
from keyp.storage.types.sets import Set
from keyp.storage.types.sortedsets import SortedSet
from keyp.storage.value_types import HASH, LIST, SET, STRING, VALUE_TYPES, ZSET

SORT = CommandTable(group="generic", categories="set sortedset list dangerous")

NOT_A_WEIGHT: Final = "ERR One or more scores can't be converted into double"
COMPLEXITY: Final = "O(N+M*log(M)) with N the number of elements and M the number of those replied; O(N) unsorted"
OPTIONS: Final = "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]"

SLICE: Final = 8192  # elements sorted in one go: no other thread runs meanwhile

Weighted: TypeAlias = tuple[Any, bytes]  # what an element is compared by, and the element


class Pattern:
    """Which value an element leads to."""

    def __init__(self, pattern: bytes) -> None:
        text = pattern.partition(b"\0")[0]
        self.is_element = text == b"#"
        star = text.find(b"*")
        self.has_star = star >= 0
        self.before = pattern[:star]
        self.after = pattern[star + 1 :]
        self.field = b""
        arrow = text.find(b"->", star + 1)
        if arrow >= 0 and len(text) > arrow + 2:
            self.after = pattern[star + 1 : arrow]
            self.field = pattern[arrow + 2 :]

    def value(self, context: ReadContext, element: bytes) -> bytes | None:
        """The value for an element, None where there is no such key or field, or it is no string."""
        if self.is_element:
            return element
        if not self.has_star:
            return None
        keys = context.keys
        record = keys.read(self.before + element + self.after)
        if record is None:
            return None
        type_ = layout.record_type(record)
        if self.field:
            return Hash(keys, b"", record).value(self.field) if type_ == HASH else None
        return strings.value(keys, record) if type_ == STRING else None


class Order:
    """What a call asks for. Raises the errors of its arguments."""

    def __init__(self, args: Args, may_store: bool) -> None:
        self.key = args[1]
        self.descends = False
        self.alpha = False
        self.by: Pattern | None = None
        self.is_unsorted = False
        self.gets: list[Pattern] = []
        self.target: bytes | None = None
        self.offset = 0
        self.count = -1
        at = 2
        while at < len(args):
            at += self._option(args, at, may_store)

    def _option(self, args: Args, at: int, may_store: bool) -> int:
        """Reads one option; how many arguments it takes."""
        word, left = args[at].upper(), len(args) - at - 1
        if word in (b"ASC", b"DESC"):
            self.descends = word == b"DESC"
            return 1
        if word == b"ALPHA":
            self.alpha = True
            return 1
        if word == b"LIMIT" and left >= 2:
            self.offset, self.count = integer(args[at + 1]), integer(args[at + 2])
            return 3
        if left == 0:
            raise CommandError(SYNTAX)
        if word == b"BY":
            self.by = Pattern(args[at + 1])
            self.is_unsorted = self.is_unsorted or not self.by.has_star  # whatever BY says besides, as in Redis
        elif word == b"GET":
            self.gets.append(Pattern(args[at + 1]))
        elif word == b"STORE" and may_store:
            self.target = args[at + 1]
        else:
            raise CommandError(SYNTAX)
        return 2

    def keeps_order(self, type_: int) -> bool:
        """Whether the elements of a value stay as they are. A set has no order that could be stored."""
        if not self.is_unsorted:
            return False
        if type_ == SET and self.target is not None:
            self.by, self.alpha = None, True
            return False
        return True

    def bounds(self, count: int) -> tuple[int, int]:
        """From where to where the sorted elements are wanted, of `count`."""
        start = min(max(self.offset, 0), count)
        return start, count if self.count < 0 else min(start + self.count, count)

    def weigh(self, context: ReadContext, elements: list[bytes]) -> list[Weighted]:
        """The elements, each with what it is compared by. Raises NOT_A_WEIGHT."""
        by = self.by
        values: list[bytes | None] = list(elements)
        if by is not None:
            values = [by.value(context, element) for element in elements]
        if not self.alpha:
            return [
                (0.0 if value is None else weight(value), element)
                for value, element in zip(values, elements, strict=True)
            ]
        if self.target is None:
            values = [None if value is None else value.partition(b"\0")[0] for value in values]
        return [((value is not None, value or b""), element) for value, element in zip(values, elements, strict=True)]

    def sorted(self, weighted: list[Weighted], start: int, stop: int) -> list[bytes]:
        """The elements from `start` up to `stop` in order.

        Many are sorted in slices, which are merged then as far as they are wanted.
        """
        key = itemgetter(0) if self.alpha else None
        runs = [
            sorted(weighted[first : first + SLICE], key=key, reverse=self.descends)
            for first in range(0, len(weighted), SLICE)
        ]
        if len(runs) == 1:
            return [element for _, element in runs[0][start:stop]]
        return [element for _, element in islice(merge(*runs, key=key, reverse=self.descends), start, stop)]


def weight(text: bytes) -> float:
    """A number as C's strtod reads it: up to a zero byte, with space before it, nothing for 0. Raises NOT_A_WEIGHT."""
    text = text.partition(b"\0")[0]
    if not text:
        return 0.0
    text = text.lstrip()
    value = real(text, NOT_A_WEIGHT)
    if -float_info.min < value < float_info.min and not _is_zero(text):
        raise CommandError(NOT_A_WEIGHT)
    return value


def _is_zero(text: bytes) -> bool:
    """Whether the text of a number stands for 0 indeed, and not for one that is too small."""
    text = text.lower().lstrip(b"+-")
    digits = text[2:].partition(b"p")[0] if text.startswith(b"0x") else text.partition(b"e")[0]
    return not digits.strip(b"0.")


def _values(context: ReadContext, order: Order) -> list[bytes | None]:
    """What a call replies with or stores."""
    record = context.keys.read(order.key)
    type_ = LIST if record is None else layout.record_type(record)
    if not VALUE_TYPES[type_].sorts:
        raise CommandError(WRONG_TYPE)
    if record is None:
        return []
    elements = _elements(context, order, type_, record)
    if not order.gets:
        return list(elements)
    return [get.value(context, element) for element in elements for get in order.gets]


def _elements(context: ReadContext, order: Order, type_: int, record: bytes) -> list[bytes]:
    """The elements of a value that are wanted, in order."""
    keys, key = context.keys, order.key
    count = layout.record_elements(record)[1]
    start, stop = order.bounds(count)
    wanted, gets = stop - start, len(order.gets)
    keeps_order = order.keeps_order(type_)
    if keeps_order and type_ != SET:
        context.expect(wanted * (1 + gets))
        if wanted == 0:
            return []
        if type_ == ZSET:
            return _ranked(SortedSet(keys, key, record), start, wanted, order.descends)
        found = List(keys, key, record)
        return found.range(count - stop, wanted)[::-1] if order.descends else found.range(start, wanted)
    context.expect(count * (1 if order.by is None else 2) + wanted * gets)
    if type_ == LIST:
        elements = List(keys, key, record).range(0, count)
    elif type_ == ZSET:
        elements = _ranked(SortedSet(keys, key, record), 0, count, False)
    else:
        elements = Set(keys, key, record).names()
    if keeps_order:
        return elements[start:stop]
    return order.sorted(order.weigh(context, elements), start, stop)


def _ranked(found: SortedSet, rank: int, count: int, back: bool) -> list[bytes]:
    scored = found.by_rank_back(rank, count) if back else found.by_rank(rank, count)
    return [member for member, _ in scored]


@SORT.write(
    "SORT",
    arity=-2,
    keys=(*key_at(1, "RO access"), UnknownKeys("RO access"), KeyToStore("OW update")),
    flags=DENYOOM | MOVABLEKEYS,
    since="1.0.0",
    complexity=COMPLEXITY,
    syntax=OPTIONS + " [STORE destination]",
    summary="Sorts the elements of a list, set or sorted set, and replies with them or stores them as a list.",
)
def sort(context: WriteContext, args: Args) -> Reply:
    """Replies with elements or values, null for a value that is not there; with STORE with how many were stored."""
    order = Order(args, may_store=True)
    found = _values(context, order)
    target = order.target
    if target is None:
        return found
    keys = context.keys
    if found:
        lists.replace(keys, target, [value or b"" for value in found])
        keys.notify(events.LIST, "sortstore", target, len(found))
    elif keys.remove(target):
        keys.notify(events.GENERIC, "del", target)
    return len(found)


@SORT.read(
    "SORT_RO",
    arity=-2,
    keys=(*key_at(1, "RO access"), UnknownKeys("RO access")),
    flags=MOVABLEKEYS,
    since="7.0.0",
    complexity=COMPLEXITY,
    syntax=OPTIONS,
    summary="Replies with the elements of a list, set or sorted set in order; it stores nothing.",
)
def sort_ro(context: ReadContext, args: Args) -> Reply:
    """Replies as SORT does."""
    return _values(context, Order(args, may_store=False))
