"""Random elements of a hash, a set or a sorted set: how many, and which ranks.

A positive count asks for so many different elements, in any order: they come in the collection's. A negative one asks
for elements chosen one by one, each from all there are, so that one may come several times.
"""

from __future__ import annotations

from random import Random
from typing import Final

from keyp.command.arguments import INT64_MIN, integer
from keyp.errors import NO_OPPOSITE, OUT_OF_RANGE, CommandError

REPEATED_MAX: Final = 1_000_000  # one by one; Redis has no limit but its memory

_COST_OF_ONE: Final = 200  # finding an element by its rank takes as long as reading so many that follow each other


def random_count(data: bytes) -> int:
    """The argument that says how many. Raises NOT_AN_INTEGER, and NO_OPPOSITE for the lowest number of all."""
    count = integer(data)
    if count == INT64_MIN:
        raise CommandError(NO_OPPOSITE)
    return count


def looks(size: int, count: int) -> int:
    """As how many elements `count` of `size` are to be looked at, for `context.expect`."""
    return count * min(size, _COST_OF_ONE)


def distinct_ranks(random: Random, size: int, count: int) -> list[int]:
    """`count` different ranks of `size`, in order; there are as many."""
    return sorted(random.sample(range(size), count))


def random_ranks(random: Random, size: int, count: int) -> list[int]:
    """`count` random ranks of `size`, repeats possible. Raises OUT_OF_RANGE for more than REPEATED_MAX."""
    if count > REPEATED_MAX:
        raise CommandError(OUT_OF_RANGE)
    return [random.randrange(size) for _ in range(count)]
