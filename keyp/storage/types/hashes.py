"""Hashes: each field an entry of its own, with its value for data.

All functions that find a hash raise WRONGTYPE where the key holds another type of value.
"""

from __future__ import annotations

from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.types.elements import place_of, split_member, with_member
from keyp.storage.types.members import COMPACT, LARGE, Members
from keyp.storage.value_types import HASH, MEMBERS


class Hash(Members):
    """The hash of `record`, the record of `key`; a new one where there is none."""

    def __init__(self, keys: Keyspace, key: bytes, record: bytes | None) -> None:
        super().__init__(keys, key, HASH, record, COMPACT)

    def value(self, field: bytes) -> bytes | None:
        """The value of a field, None where it is not there."""
        place = place_of(field)
        data = self.get(MEMBERS + place)
        return None if data is None else split_member(place, data)[1]

    def set(self, field: bytes, value: bytes) -> bool:
        """Gives a field a value; whether the field is new."""
        is_new = self.insert_or_replace(place_of(field), with_member(field, value))
        self._adapt_form(field, value)
        return is_new

    def set_if_new(self, field: bytes, value: bytes) -> bool:
        """Gives a field a value unless it has one; whether it did."""
        if not self.insert_if_new(place_of(field), with_member(field, value)):
            return False
        self._adapt_form(field, value)
        return True

    def _adapt_form(self, field: bytes, value: bytes) -> None:
        if self.form == LARGE:
            return
        limits = self.keys.lookups.limits
        if max(len(field), len(value)) > limits.hash_bytes or self.count > limits.hash_fields:
            self.set_form(LARGE)

    def make_room(self, count: int) -> None:
        """So many fields are about to be set: Redis chooses the encoding by that number, duplicates counted."""
        if count > self.keys.lookups.limits.hash_fields:
            self.set_form(LARGE)


def find(keys: Keyspace, key: bytes) -> Hash | None:
    """The hash a key holds, None where there is no such key."""
    record = keys.find(key, HASH)
    return None if record is None else Hash(keys, key, record)


def find_or_make(keys: WritableKeyspace, key: bytes) -> Hash:
    """The hash a key holds, or a new one that is there once a field has been set."""
    return Hash(keys, key, keys.find(key, HASH))
