"""Intersections, unions and differences of sets, whatever their size: read in order, a slice at a time.

All sets have their members in the same order, that of places. So the result comes in order too and can be stored as it
comes, and never more is in memory than a slice of each set, and small sets that are looked into again and again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from keyp.storage.types.elements import Entry
from keyp.storage.types.members import AT_ONCE, behind
from keyp.storage.types.sets import Set
from keyp.storage.value_types import MEMBERS

IN_MEMORY_MAX: Final = 65536  # members of a set that is read as a whole where it is looked into often
_READ_FOR_ONE: Final = 2  # members that are read in the time that it takes to look for one


def intersection(sets: list[Set]) -> Iterator[list[Entry]]:
    """The entries that all of the sets have; at least one set is given."""
    smallest, *others = sorted(sets, key=_count)
    lookups = [Lookup(other, smallest.count) for other in others]
    for entries in smallest.slices():
        for lookup in lookups:
            entries = [entry for entry in entries if lookup.has(entry[0])]
        if entries:
            yield entries


def difference(first: Set, others: list[Set]) -> Iterator[list[Entry]]:
    """The entries of the first set that none of the others has."""
    lookups = [Lookup(other, first.count) for other in sorted(others, key=_count, reverse=True)]
    for entries in first.slices():
        for lookup in lookups:
            entries = [entry for entry in entries if not lookup.has(entry[0])]
        if entries:
            yield entries


def union(sets: list[Set]) -> Iterator[list[Entry]]:
    """The entries that any of the sets has, each once."""
    streams = [Stream(one) for one in sets]
    while streams := [stream for stream in streams if stream.fill()]:
        # Up to here nothing more can come from any of them.
        bound = min([stream.bound() for stream in streams])
        entries = [entry for stream in streams for entry in stream.take(bound)]
        if len(streams) > 1:
            entries.sort()
        yield list(dict(entries).items())


def _count(one: Set) -> int:
    return one.count


class Lookup:
    """Answers whether a set has a member at a place. It will be asked about `times`."""

    def __init__(self, members: Set, times: int) -> None:
        self._members = members
        self._is_read = members.count <= min(times * _READ_FOR_ONE, IN_MEMORY_MAX)
        self._places: set[bytes] = set()
        if self._is_read:
            for entries in members.slices():
                self._places.update([place for place, _ in entries])

    def has(self, place: bytes) -> bool:
        """Whether the set has a member there."""
        return place in self._places if self._is_read else self._members.get(MEMBERS + place) is not None


class Stream:
    """The entries of a set that have not been taken yet, the first of them in memory."""

    def __init__(self, members: Set) -> None:
        self._members = members
        self._left = members.count
        self._next = b""
        self._entries: list[Entry] = []

    def fill(self) -> bool:
        """Reads on where nothing is in memory; whether there is something now."""
        if not self._entries:
            self._entries = self._members.must_forward(MEMBERS, self._next, min(self._left, AT_ONCE))
            if self._entries:
                self._left -= len(self._entries)
                self._next = behind(self.bound())
        return len(self._entries) > 0

    def bound(self) -> bytes:
        """The last place in memory."""
        return self._entries[-1][0]

    def take(self, bound: bytes) -> list[Entry]:
        """The entries up to a place, which are not in the stream any more."""
        count = bisect_left(self._entries, (behind(bound), b""))
        taken, self._entries = self._entries[:count], self._entries[count:]
        return taken
