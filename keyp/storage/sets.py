"""Sets: each member an entry of its own, without data.

All functions that find a set raise WRONGTYPE where the key holds another kind of value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from keyp.storage import layout
from keyp.storage.elements import MEMBERS, Entry, place_of, with_member
from keyp.storage.keyspace import Keyspace, WritableKeyspace
from keyp.storage.layout import HAS_ELEMENTS, NO_DEADLINE, SET
from keyp.storage.members import COMPACT, INTEGERS, LARGE, Members, opened

INTEGERS_MAX: Final = 512
COMPACT_COUNT_MAX: Final = 128
COMPACT_LENGTH_MAX: Final = 64

_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_INTEGER_END: Final = 1 << 63

_MOVED: Final = 5  # where at least so many times as many go as are left, those that are left are stored anew


class Set(Members):
    """The set that `record` of `key` tells of, or a new one."""

    def __init__(self, keys: Keyspace, key: bytes, record: bytes | None) -> None:
        super().__init__(keys, key, SET, record, INTEGERS)

    def add(self, member: bytes) -> bool:
        """Adds a member; whether it is new."""
        if not self.insert_if_new(place_of(member), with_member(member, b"")):
            return False
        form = self.form
        if form == INTEGERS and not _is_integer(member):
            form = COMPACT
        most = INTEGERS_MAX if form == INTEGERS else COMPACT_COUNT_MAX
        if self.count > most or len(member) > COMPACT_LENGTH_MAX:
            form = LARGE
        self.set_form(form)
        return True

    def make_room(self, count: int, first: bytes) -> None:
        """So many members are about to be added, `first` at first.

        By that the reference chooses the form, be some of them the same.
        """
        fits_integers = self.form == INTEGERS and (self.count > 0 or _is_integer(first))
        if count > (INTEGERS_MAX if fits_integers else COMPACT_COUNT_MAX):
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
        if self.form == LARGE and _is_compact(kept):
            self.set_form(COMPACT)
        return [member for member, _ in opened(popped)]


def find(keys: Keyspace, key: bytes) -> Set | None:
    """The set a key holds, None where there is no such key."""
    record = keys.find_kind(key, SET)
    return None if record is None else Set(keys, key, record)


def find_or_make(keys: WritableKeyspace, key: bytes) -> Set:
    """The set a key holds, or a new one that is there once a member has been added."""
    return Set(keys, key, keys.find_kind(key, SET))


def replace(keys: WritableKeyspace, key: bytes, slices: Iterable[list[Entry]]) -> int:
    """Makes a set of entries, which come in order, the value of a key, in place of whatever it held; how many they are.

    The deadline goes. Without entries nothing is changed. What the key holds may still be read while they come.
    """
    old = keys.find(key)
    made = Set(keys, key, None)
    made.fill(slices)
    if made.count == 0:
        return 0
    if old is not None and old[0] & HAS_ELEMENTS:
        keys.discard_elements(layout.record_elements(old)[0])
    made.set_form(_form(made.exactly(MEMBERS, b"", min(made.count, INTEGERS_MAX + 1))))
    made.record = old
    made.save(NO_DEADLINE)
    return made.count


def _form(entries: list[Entry]) -> int:
    """The form that a new set of these entries has; more than INTEGERS_MAX are like any number of them."""
    if len(entries) <= INTEGERS_MAX and all(_is_integer(place) for place, _ in entries):
        return INTEGERS
    return COMPACT if _is_compact(entries) else LARGE


def _is_compact(entries: list[Entry]) -> bool:
    return len(entries) <= COMPACT_COUNT_MAX and all(len(place) <= COMPACT_LENGTH_MAX for place, _ in entries)


def _is_integer(member: bytes) -> bool:
    """Whether it is a signed 64-bit number in its one canonical spelling."""
    return _INTEGER.fullmatch(member) is not None and -_INTEGER_END <= int(member) < _INTEGER_END
