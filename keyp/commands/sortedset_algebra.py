"""Unions, intersections and differences of sorted sets, and of plain sets, whose members count with a score of 1.

The smallest input comes first, as in Redis: the order of additions shows in the last digit of a sum. What is no number
- infinity less infinity, or infinity times 0 - becomes 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import Final

from keyp.command.arguments import INT64_MAX, integer, integer_between, real
from keyp.command.context import ReadContext, WriteContext
from keyp.command.spec import DENYOOM, MOVABLEKEYS, Args, counted_keys, key_at
from keyp.command.table import CommandTable
from keyp.commands.sortedsets import store_elements
from keyp.errors import NEGATIVE_LIMIT, SYNTAX, WRONG_TYPE, CommandError
from keyp.resp.values import Pairs, Reply
from keyp.storage.lmdb import layout
from keyp.storage.types.collection import Collection
from keyp.storage.types.elements import place_of, split_member
from keyp.storage.types.sortedsets import Scored, member_score
from keyp.storage.value_types import MEMBERS, SET, ZSET

SORTED_SET_ALGEBRA = CommandTable(group="sorted-set", categories="sortedset")

UNION: Final = 0
INTERSECTION: Final = 1
DIFFERENCE: Final = 2

SUM: Final = 0
MIN: Final = 1
MAX: Final = 2
AGGREGATES: Final = {b"SUM": SUM, b"MIN": MIN, b"MAX": MAX}

NOT_A_WEIGHT: Final = "ERR weight value is not a float"

SLICE: Final = 1024  # elements that are read in one go

UNITED: Final = "O(N)+O(M*log(M)) with N the number of all elements and M the number of those in the result"
INTERSECTED: Final = (
    "O(N*K)+O(M*log(M)) with N the elements of the smallest input, K the inputs and M the result's elements"
)
SUBTRACTED: Final = (
    "O(N*K)+O(M*log(M)) with N the elements of the first input, K the inputs and M the result's elements"
)


class _Input:
    """One of the collections; `found` is None where there is no such key."""

    def __init__(self, found: Collection | None) -> None:
        self.found = found
        self.count = 0 if found is None else found.count
        self.weight = 1.0

    def score(self, member: bytes) -> float | None:
        """A member's score, not yet weighted; None where it is none."""
        found = self.found
        data = None if found is None else found.get(MEMBERS + place_of(member))
        if found is None or data is None:
            return None
        return 1.0 if found.type_ == SET else member_score(found, data)

    def slices(self) -> Iterator[list[Scored]]:
        """All elements in the order of the members' places, so many at a time."""
        found, place, left = self.found, b"", self.count
        while found is not None and left > 0:
            entries = found.exactly(MEMBERS, place, min(left, SLICE))
            elements: list[Scored] = []
            for at, data in entries:
                member, _ = split_member(at, data)
                elements.append((member, 1.0 if found.type_ == SET else member_score(found, data)))
            yield elements
            left -= len(entries)
            place = entries[-1][0] + b"\0"

    def weighted(self, score: float) -> float:
        """A score times the weight."""
        product = score * self.weight
        return 0.0 if isnan(product) else product


class _Operation:
    """What is asked for, read from the arguments; the number of keys stands at `at`.

    `stores` says that the result becomes a key's value, `counts` that only its size is wanted. Raises WRONGTYPE for
    keys of other types before it looks at the options, as Redis does.
    """

    def __init__(
        self, context: ReadContext, args: Args, at: int, set_op: int, stores: bool = False, counts: bool = False
    ) -> None:
        number = integer(args[at])
        if number < 1:
            raise CommandError(f"ERR at least 1 input key is needed for '{args[0].decode().lower()}' command")
        if number > len(args) - at - 1:
            raise CommandError(SYNTAX)
        self.set_op = set_op
        self.aggregate = SUM
        self.with_scores = False
        self.limit = 0
        self.inputs = [_Input(_find(context, key)) for key in args[at + 1 : at + 1 + number]]
        place = at + 1 + number
        while place < len(args):
            word, left = args[place].upper(), len(args) - place - 1
            if counts:
                if word != b"LIMIT" or left == 0:
                    raise CommandError(SYNTAX)
                self.limit = integer_between(args[place + 1], 0, INT64_MAX, NEGATIVE_LIMIT)
                place += 2
            elif word == b"WITHSCORES" and not stores:
                self.with_scores = True
                place += 1
            elif word == b"WEIGHTS" and left >= number and set_op != DIFFERENCE:
                for index in range(number):
                    self.inputs[index].weight = real(args[place + 1 + index], NOT_A_WEIGHT)
                place += 1 + number
            elif word == b"AGGREGATE" and left and set_op != DIFFERENCE:
                self.aggregate = _aggregate(args[place + 1])
                place += 2
            else:
                raise CommandError(SYNTAX)

    def result(self, context: ReadContext) -> dict[bytes, float]:
        """The members of the result and their scores."""
        if self.set_op == DIFFERENCE:
            return self._difference(context)
        by_size = sorted(self.inputs, key=_size)
        return self._intersection(context, by_size) if self.set_op == INTERSECTION else self._union(context, by_size)

    def _union(self, context: ReadContext, inputs: list[_Input]) -> dict[bytes, float]:
        context.expect(sum([one.count for one in inputs]))
        scores: dict[bytes, float] = {}
        for one in inputs:
            for elements in one.slices():
                for member, score in elements:
                    score = one.weighted(score)
                    old = scores.get(member)
                    scores[member] = score if old is None else self._aggregated(old, score)
        return scores

    def _intersection(self, context: ReadContext, inputs: list[_Input]) -> dict[bytes, float]:
        smallest, others = inputs[0], inputs[1:]
        context.expect(smallest.count * len(inputs))
        scores: dict[bytes, float] = {}
        for elements in smallest.slices():
            for member, score in elements:
                score = smallest.weighted(score)
                for other in others:
                    found = other.score(member)
                    if found is None:
                        break
                    score = self._aggregated(score, found * other.weight)
                else:
                    scores[member] = score
                    if len(scores) == self.limit:
                        return scores
        return scores

    def _difference(self, context: ReadContext) -> dict[bytes, float]:
        first, others = self.inputs[0], self.inputs[1:]
        context.expect(first.count + sum([min(first.count, other.count) for other in others]))
        scores: dict[bytes, float] = {}
        for elements in first.slices():
            scores.update(elements)
        for other in sorted(others, key=_size):
            if other.count < len(scores):
                for elements in other.slices():
                    for member, _ in elements:
                        scores.pop(member, None)
            else:
                scores = {member: score for member, score in scores.items() if other.score(member) is None}
        return scores

    def _aggregated(self, one: float, other: float) -> float:
        if self.aggregate == MIN:
            return other if other < one else one
        if self.aggregate == MAX:
            return other if other > one else one
        total = one + other
        return 0.0 if isnan(total) else total


def _aggregate(word: bytes) -> int:
    aggregate = AGGREGATES.get(word.upper())
    if aggregate is None:
        raise CommandError(SYNTAX)
    return aggregate


def _size(one: _Input) -> int:
    return one.count


def _find(context: ReadContext, key: bytes) -> Collection | None:
    """The sorted set or the set that a key holds, None where there is no such key. Raises WRONGTYPE.

    The look is a read, also where the result is stored.
    """
    keys = context.keys
    record = keys.read(key)
    if record is None:
        return None
    type_ = layout.record_type(record)
    if type_ not in (ZSET, SET):
        raise CommandError(WRONG_TYPE)
    return Collection(keys, key, type_, record)


def _reply(context: ReadContext, args: Args, set_op: int) -> Reply:
    """The result in order, with scores where they are wanted."""
    operation = _Operation(context, args, 1, set_op)
    in_order = sorted([(score, member) for member, score in operation.result(context).items()])
    if operation.with_scores:
        return Pairs([(member, score) for score, member in in_order])
    return [member for _, member in in_order]


def _store(context: WriteContext, args: Args, set_op: int, event: str) -> Reply:
    """How many elements the result has that is stored now."""
    operation = _Operation(context, args, 2, set_op, stores=True)
    return store_elements(context, args[1], list(operation.result(context).items()), event)


@SORTED_SET_ALGEBRA.read(
    "ZUNION",
    arity=-3,
    keys=counted_keys(1, "RO access"),
    flags=MOVABLEKEYS,
    since="6.2.0",
    complexity=UNITED,
    syntax="numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
    summary="Returns the members of all of several sorted sets, their scores combined.",
)
def zunion(context: ReadContext, args: Args) -> Reply:
    """Replies with the members in order, WITHSCORES with pairs."""
    return _reply(context, args, UNION)


@SORTED_SET_ALGEBRA.read(
    "ZINTER",
    arity=-3,
    keys=counted_keys(1, "RO access"),
    flags=MOVABLEKEYS,
    since="6.2.0",
    complexity=INTERSECTED,
    syntax="numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
    summary="Returns the members that several sorted sets have in common, their scores combined.",
)
def zinter(context: ReadContext, args: Args) -> Reply:
    """Replies with the members in order, WITHSCORES with pairs."""
    return _reply(context, args, INTERSECTION)


@SORTED_SET_ALGEBRA.read(
    "ZDIFF",
    arity=-3,
    keys=counted_keys(1, "RO access"),
    flags=MOVABLEKEYS,
    since="6.2.0",
    complexity=SUBTRACTED,
    syntax="numkeys key [key ...] [WITHSCORES]",
    summary="Returns the members of a sorted set that are in none of the others.",
)
def zdiff(context: ReadContext, args: Args) -> Reply:
    """Replies with the members in order, WITHSCORES with pairs."""
    return _reply(context, args, DIFFERENCE)


@SORTED_SET_ALGEBRA.read(
    "ZINTERCARD",
    arity=-3,
    keys=counted_keys(1, "RO access"),
    flags=MOVABLEKEYS,
    since="7.0.0",
    complexity="O(N*K) with N the elements of the smallest input and K the inputs",
    syntax="numkeys key [key ...] [LIMIT limit]",
    summary="Counts the members that several sorted sets have in common.",
)
def zintercard(context: ReadContext, args: Args) -> Reply:
    """Replies with the number, the limit if there are more; a limit of 0 is none."""
    return len(_Operation(context, args, 1, INTERSECTION, counts=True).result(context))


@SORTED_SET_ALGEBRA.write(
    "ZUNIONSTORE",
    arity=-4,
    keys=key_at(1, "OW update") + counted_keys(2, "RO access"),
    flags=DENYOOM | MOVABLEKEYS,
    since="2.0.0",
    complexity=UNITED,
    syntax="destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
    summary="Makes a sorted set of the members of several ones the value of a key.",
)
def zunionstore(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of its elements; of none the key is removed."""
    return _store(context, args, UNION, "zunionstore")


@SORTED_SET_ALGEBRA.write(
    "ZINTERSTORE",
    arity=-4,
    keys=key_at(1, "OW update") + counted_keys(2, "RO access"),
    flags=DENYOOM | MOVABLEKEYS,
    since="2.0.0",
    complexity=INTERSECTED,
    syntax="destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
    summary="Makes a sorted set of the members that several ones have in common the value of a key.",
)
def zinterstore(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of its elements; of none the key is removed."""
    return _store(context, args, INTERSECTION, "zinterstore")


@SORTED_SET_ALGEBRA.write(
    "ZDIFFSTORE",
    arity=-4,
    keys=key_at(1, "OW update") + counted_keys(2, "RO access"),
    flags=DENYOOM | MOVABLEKEYS,
    since="6.2.0",
    complexity=SUBTRACTED,
    syntax="destination numkeys key [key ...]",
    summary="Makes a sorted set of the members that are in the first of several ones only the value of a key.",
)
def zdiffstore(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of its elements; of none the key is removed."""
    return _store(context, args, DIFFERENCE, "zdiffstore")
