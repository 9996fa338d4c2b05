"""The elements of one collection: entries of LMDB that begin with the collection's id.

Behind the id stands a byte for the *section*, then the *place* within it; the order of the bytes is the order of the
elements. A section is all there is of structure here: what it means, and what the data of an entry are, is known to the
types of values (`lists.py`, `hashes.py` …).

    b"m"  what the collection is made of: a member, a field, a position
    b"o"  the order of a sorted set
    b"c"  counts of runs of elements (`counted.py`)

A member may have any length, an LMDB key may not: a member of up to 479 bytes is its own place, a longer one has its
first bytes and a digest for a place and stands in full before the entry's data (`place_of`, `with_member`).

An object lives inside its transaction, on its thread. Where bytes are not what was written it raises `Damaged`, which
is no reply to a command: a write may have begun by then, and has to be undone.
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import islice
from typing import Any, Final, TypeAlias

import lmdb

from keyp.storage.keys.keyspace import Keyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.layout import CHECKSUM, LONG_NAME_PREFIX, RAW_NAME_MAX, STORED_NAME_MAX
from keyp.storage.lmdb.proof import ascend, seek
from keyp.storage.lmdb.store import Database

Entry: TypeAlias = tuple[bytes, bytes]  # place and data


_LENGTH: Final = 4  # bytes of a long member's length


def place_of(member: bytes) -> bytes:
    """Where a member stands: 0 to 480 bytes, different for different members, in the members' order.

    Members of 480 bytes and more that begin with the same 448 bytes stand in the order of their digests.
    """
    if len(member) <= RAW_NAME_MAX:
        return member
    return member[:LONG_NAME_PREFIX] + blake2b(member, digest_size=32).digest()


def with_member(member: bytes, data: bytes) -> bytes:
    """The data of a member's entry, with the member before them where its place does not hold all of it."""
    return data if len(member) <= RAW_NAME_MAX else len(member).to_bytes(_LENGTH, "big") + member + data


def split_member(place: bytes, data: bytes) -> Entry:
    """Member and data, from what `place_of` and `with_member` made of them."""
    if len(place) < STORED_NAME_MAX:
        return place, data
    stop = _LENGTH + int.from_bytes(data[:_LENGTH], "big")
    return data[_LENGTH:stop], data[stop:]


class Elements:
    """The elements of the collection with this `id`. Places are given and taken with their section in front.

    `Collection` is what sets the attributes.
    """

    keys: Keyspace
    txn: lmdb.Transaction[bytes]
    database: Database
    id: bytes

    @property
    def number(self) -> int:
        """The id as a number."""
        return layout.read_number(self.id)

    def become(self, number: int) -> None:
        """Switches to another collection."""
        self.id = layout.number(number)

    def where(self) -> str:
        """Names the collection, for the log."""
        return f"collection {self.number} is not what was written"

    def get(self, place: bytes) -> bytes | None:
        """The data at a place, None where there is no such element."""
        name = self.id + place
        raw: bytes | None = self.txn.get(name, None, self.database)
        if raw is None:
            lookups = self.keys.lookups
            if not lookups.in_write and not lookups.proof().of_absence(self.database, name):
                raise Damaged(self.where())
            return None
        if not layout.is_intact(name, raw):
            raise Damaged(self.where())
        return raw[:-CHECKSUM]

    def must_get(self, place: bytes) -> bytes:
        """The data of an element that has to be there. Raises `Damaged` where it is not."""
        data = self.get(place)
        if data is None:
            raise Damaged(self.where())
        return data

    def put(self, place: bytes, data: bytes) -> None:
        """Writes an element."""
        name = self.id + place
        self.keys.lookups.put(self.database, name, layout.with_checksum(name, data))

    def put_if_new(self, place: bytes, data: bytes) -> bool:
        """Writes an element unless there is one at its place; whether it did."""
        name = self.id + place
        return self.keys.lookups.put_if_new(self.database, name, layout.with_checksum(name, data))

    def put_or_replace(self, place: bytes, data: bytes) -> bool:
        """Writes an element, in place of one that is there; whether there was none."""
        name = self.id + place
        raw = layout.with_checksum(name, data)
        transaction = self.keys.lookups
        if transaction.put_if_new(self.database, name, raw):
            return True
        transaction.put(self.database, name, raw)
        return False

    def delete(self, place: bytes) -> bool:
        """Removes an element; whether it was there."""
        return self.keys.lookups.delete(self.database, self.id + place)

    def forward(self, section: bytes, place: bytes, count: int) -> list[Entry]:
        """Up to `count` elements of a section in order, the first at `place` or behind it; places without section."""
        start = self.id + section
        if count <= 0:
            return []
        with self.txn.cursor(self.database) as cursor:
            if not self.seek(cursor, start + place):
                return []
            return self.opened(list(islice(cursor.iternext(True, True), count)), start)

    def must_forward(self, section: bytes, place: bytes, count: int) -> list[Entry]:
        """As `forward` where there are so many; raises `Damaged` where there are not."""
        found = self.forward(section, place, count)
        if len(found) != count:
            raise Damaged(self.where())
        return found

    def exactly(self, section: bytes, place: bytes, count: int) -> list[Entry]:
        """The same for callers that know which they are: all to the section's end, or by the places that they have.

        Where as many different ones are intact as there are, none can be missing, and the entries around them need not
        be looked at. Of a part of a section that is not certain: it may begin too late.
        """
        start = self.id + section
        found: list[Entry] = []
        with self.txn.cursor(self.database) as cursor:
            if cursor.set_range(start + place):
                found = self.opened(list(islice(cursor.iternext(True, True), count)), start)
        if len(found) != count or (count and found[0][0] < place):
            raise Damaged(self.where())
        return found

    def backward(self, section: bytes, place: bytes | None, count: int) -> list[Entry]:
        """As `forward` against the order: the first at `place` or before it; None stands for the end."""
        start = self.id + section
        if count <= 0:
            return []
        with self.txn.cursor(self.database) as cursor:
            target = _behind(start) if place is None else start + place
            if not self.seek_back(cursor, target):
                return []
            found = list(islice(cursor.iterprev(True, True), count))
        if found[0][0] > target:
            raise Damaged(self.where())
        self.leave_foreign(found, start)
        return self.opened(found[::-1], start)[::-1]

    def seek_back(self, cursor: Any, name: bytes) -> bool:
        """Sets a cursor on the last entry at `name` or before it; whether there is one. Raises `Damaged`.

        The caller checks that the entry found is what was written, and not behind `name`.
        """
        if not cursor.set_range(name):
            return bool(cursor.last())
        at: Entry = cursor.item()
        if at[0] == name:
            return True
        if at[0] < name:
            raise Damaged(self.where())
        self.must_be_intact(at)
        return bool(cursor.prev())

    def places(self, section: bytes, place: bytes, count: int) -> list[bytes]:
        """Only the places of up to `count` elements, as for `forward`.

        No data are read: the first place is proved and that none is missing between the others, but not each of them.
        """
        start = self.id + section
        behind = b""
        with self.txn.cursor(self.database) as cursor:
            if not self.seek(cursor, start + place):
                return []
            names = list(islice(cursor.iternext(True, False), count))
        first = names[0]
        while names and not names[-1].startswith(start):
            behind = names.pop()
        proof = self.keys.lookups.proof()
        if not proof.of(self.database, first) or (behind and not proof.of(self.database, behind)) or not ascend(names):
            raise Damaged(self.where())
        cut = len(start)
        return [name[cut:] for name in names]

    def seek(self, cursor: Any, name: bytes) -> bool:
        """Sets a cursor on the first entry at `name` or behind it; whether there is one."""
        return seek(cursor, name, self.keys.lookups.proof(), self.database)

    def opened(self, found: list[Entry], start: bytes) -> list[Entry]:
        """Those of some entries as LMDB has them whose names begin with `start`, without it and without checksums."""
        self.leave_foreign(found, start)
        cut = len(start)
        before = b""
        entries: list[Entry] = []
        for name, raw in found:
            if name <= before or not layout.is_intact(name, raw):
                raise Damaged(self.where())
            before = name
            entries.append((name[cut:], raw[:-CHECKSUM]))
        return entries

    def leave_foreign(self, found: list[Entry], start: bytes) -> None:
        """Removes from some entries those at the end whose names do not begin with `start`.

        The first of them is where a walk has ended, so it must be proved.
        """
        last: Entry | None = None
        while found and not found[-1][0].startswith(start):
            last = found.pop()
        if last is not None:
            self.must_be_intact(last)

    def must_be_intact(self, entry: Entry) -> None:
        """Raises `Damaged` where an entry of LMDB at which a walk ends, perhaps a string's, is not what was written."""
        if not layout.is_intact_or_hole(entry[0], entry[1]):
            raise Damaged(self.where())


def _behind(start: bytes) -> bytes:
    """The first name that is behind all those that begin with `start`, whose last byte is not 255."""
    return start[:-1] + bytes([start[-1] + 1])
