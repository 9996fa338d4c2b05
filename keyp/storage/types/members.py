"""What hashes and sets have in common: different members in the order of their places, each with data of its own.

The header's second own byte is the form in which Redis would keep the collection. A form is compact up to a number of
members and a length, and Redis does not go back to a compact one when members go. It shows in OBJECT ENCODING, and in
scans, which return a compact collection as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.layout import STORED_NAME_MAX
from keyp.storage.types.counted import Counted
from keyp.storage.types.elements import Entry, place_of, split_member
from keyp.storage.value_types import MEMBERS, SET

# Forms.
INTEGERS: Final = 0  # of sets only
COMPACT: Final = 1
LARGE: Final = 2

AT_ONCE: Final = 1024  # entries that are read in one go where many are


class Members(Counted):
    """The collection of `record`, the record of `key`; a new one of a `form` where there is none."""

    def __init__(self, keys: Keyspace, key: bytes, type_: int, record: bytes | None, form: int) -> None:
        super().__init__(keys, key, type_, record, MEMBERS, bytes([form]))

    @property
    def form(self) -> int:
        """The form in which Redis would keep it."""
        return self.own[1]

    def set_form(self, form: int) -> None:
        """Sets the form."""
        self.own = self.own[:1] + bytes([form])

    # One member.

    def has(self, member: bytes) -> bool:
        """Whether it is in the collection."""
        return self.get(MEMBERS + place_of(member)) is not None

    def discard(self, member: bytes) -> bool:
        """Removes a member; whether it was there."""
        return self.remove_if_there(place_of(member))

    def entry(self, place: bytes) -> Entry:
        """The member at a place that is taken, and its data."""
        return split_member(place, self.must_get(MEMBERS + place))

    # Several.

    def slices(self) -> Iterator[list[Entry]]:
        """All entries as they are stored, places with data, in order: so many at a time as are read in one go."""
        place, left = b"", self.count
        while left > 0:
            entries = self.exactly(MEMBERS, place, min(left, AT_ONCE))
            yield entries
            left -= len(entries)
            place = behind(entries[-1][0])

    def all(self) -> list[Entry]:
        """All members with their data, in order."""
        if self.count <= AT_ONCE:
            return opened(self.exactly(MEMBERS, b"", self.count))
        found: list[Entry] = []
        for entries in self.slices():
            found += opened(entries)
        return found

    def names(self) -> list[bytes]:
        """All members in order. Data of more than a page are not read, nor the checksums behind them."""
        if self._has_short_data():
            return [member for member, _ in self.all()]
        found: list[bytes] = []
        place = b""
        while places := self.places(MEMBERS, place, AT_ONCE):
            found += self.names_at(places)
            place = behind(places[-1])
        if len(found) != self.count:
            raise Damaged(self.where())
        return found

    def _has_short_data(self) -> bool:
        """Whether it is certain, at no cost, that no data take more than a part of a page."""
        return self.form != LARGE or self.type_ == SET or not int(self.txn.stat(self.database)["overflow_pages"])

    def names_at(self, places: list[bytes]) -> list[bytes]:
        """The members at places that are taken, as `names` gives them."""
        proof = self.keys.lookups.proof()
        for place in places:
            if not proof.of(self.database, self.id + MEMBERS + place):
                raise Damaged(self.where())
        return [place if len(place) < STORED_NAME_MAX else self.entry(place)[0] for place in places]

    def begin_anew(self, entries: list[Entry]) -> None:
        """Keeps nothing but some entries, as they are stored, in order; the old ones are left to the sweeper."""
        keys = self.keys
        assert isinstance(keys, WritableKeyspace)
        keys.discard_elements(self.number)
        self.become(keys.transaction.new_collection())
        self.count = 0
        self.own = bytes([0, self.form])
        self.fill([entries])


def behind(place: bytes) -> bytes:
    """The first place behind another one."""
    return place + b"\0"


def opened(entries: list[Entry]) -> list[Entry]:
    """Entries as they are stored, as members with their data."""
    return [entry if len(entry[0]) < STORED_NAME_MAX else split_member(entry[0], entry[1]) for entry in entries]
