"""Sets: each member an entry of its own, without data.

All functions that find a set raise WRONGTYPE where the key holds another type of value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain
from typing import Final

from keyp.storage.compact_limits import CompactLimits
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.layout import HAS_ELEMENTS, NO_DEADLINE
from keyp.storage.types.elements import Entry, place_of, with_member
from keyp.storage.types.members import COMPACT, INTEGERS, LARGE, Members, opened
from keyp.storage.value_types import SET

_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_INTEGER_END: Final = 1 << 63
INTEGER_BYTES_MAX: Final = 20  # of a signed 64-bit number

_MOVED: Final = 5  # where at least so many times as many go as are left, those that are left are stored anew


class Set(Members):
    """The set of `record`, the record of `key`; a new one where there is none."""

    def __init__(self, keys: Keyspace, key: bytes, record: bytes | None) -> None:
        super().__init__(keys, key, SET, record, INTEGERS)

    def add(self, member: bytes) -> bool:
        """Adds a member; whether it is new."""
        if not self.insert_if_new(place_of(member), with_member(member, b"")):
            return False
        if self.form != LARGE:
            self._adapt_form(member)
        return True

    def _adapt_form(self, member: bytes) -> None:
        """`member` has been added, and the set was no large one."""
        limits = self.keys.lookups.limits
        form = self.form
        if form == INTEGERS:
            if _is_integer(member):
                if self.count > limits.integers:
                    self.set_form(LARGE)
                return
            self.set_form(COMPACT)
        longest = len(member)
        if form == INTEGERS and limits.set_bytes < INTEGER_BYTES_MAX and self.count <= limits.set_members:
            longest = max(longest, *[len(one) for one in self.names()])
        if self.count > limits.set_members or longest > limits.set_bytes:
            self.set_form(LARGE)

    def make_room(self, count: int, first: bytes) -> None:
        """So many members are about to be added, `first` before the others.

        Redis chooses the encoding by that number, duplicates counted.
        """
        limits = self.keys.lookups.limits
        form = self.form
        if self.count == 0:
            form = INTEGERS if _is_integer(first) and count <= limits.integers else COMPACT
            self.set_form(form)
        if form != LARGE and count > (limits.integers if form == INTEGERS else limits.set_members):
            self.set_form(LARGE)

    def pop(self, ranks: list[int]) -> list[bytes]:
        """Removes members by their ranks, which are different, in order and not all there are."""
        left = self.count - len(ranks)
        if left * _MOVED <= len(ranks):
            return self._pop_most(ranks)
        places = self.places_at(ranks)
        popped = [self.entry(place)[0] for place in places]
        for place in places:
            self.remove(place)
        return popped

    def _pop_most(self, ranks: list[int]) -> list[bytes]:
        going = set(ranks)
        popped: list[Entry] = []
        kept: list[Entry] = []
        rank = 0
        for entries in self.slices():
            for entry in entries:
                (popped if rank in going else kept).append(entry)
                rank += 1
        self.begin_anew(kept)
        limits = self.keys.lookups.limits
        if self.form == LARGE and len(kept) <= limits.set_members and _are_short(kept, limits):
            self.set_form(COMPACT)
        return [member for member, _ in opened(popped)]


def find(keys: Keyspace, key: bytes) -> Set | None:
    """The set a key holds, None where there is no such key."""
    record = keys.find(key, SET)
    return None if record is None else Set(keys, key, record)


def find_or_make(keys: WritableKeyspace, key: bytes) -> Set:
    """The set a key holds, or a new one that is there once a member has been added."""
    return Set(keys, key, keys.find(key, SET))


def replace(keys: WritableKeyspace, key: bytes, slices: Iterable[list[Entry]]) -> int:
    """Makes a set of entries, which come in order, the value of a key, in place of whatever it held; how many they are.

    The deadline goes. Without entries nothing is changed. What the key holds may still be read while they come.
    """
    rest = iter(slices)
    first = next((entries for entries in rest if entries), None)
    if first is None:
        return 0
    old = keys.find(key)
    made = Set(keys, key, None)
    made.fill(chain([first], rest))
    if old is not None and old[0] & HAS_ELEMENTS:
        keys.discard_elements(layout.record_elements(old)[0])
    made.set_form(_form(made, keys.lookups.limits))
    made.record = old
    made.save(NO_DEADLINE)
    return made.count


def _form(made: Set, limits: CompactLimits) -> int:
    """The form that a new set has. Its members are looked at for as long as it may be one of the compact ones."""
    integers, compact = made.count <= limits.integers, made.count <= limits.set_members
    if integers or compact:
        for entries in made.slices():
            integers = integers and all(_is_integer(place) for place, _ in entries)
            compact = compact and _are_short(entries, limits)
            if not (integers or compact):
                break
    return INTEGERS if integers else COMPACT if compact else LARGE


def _are_short(entries: list[Entry], limits: CompactLimits) -> bool:
    return all(len(member) <= limits.set_bytes for member, _ in opened(entries))


def _is_integer(member: bytes) -> bool:
    """Whether it is a signed 64-bit number in its one canonical spelling."""
    return _INTEGER.fullmatch(member) is not None and -_INTEGER_END <= int(member) < _INTEGER_END
