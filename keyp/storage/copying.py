"""Copies of values, of whatever type."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.types import strings
from keyp.storage.types.collection import Collection
from keyp.storage.value_types import VALUE_TYPES

COPIED_AT_ONCE = 1024


def copy_value(keys: Keyspace, key_record: bytes, target: WritableKeyspace, new_key: bytes) -> None:
    """Writes the value and the deadline of a record of `keys` under a key of `target`, where no such key exists."""
    type_ = layout.record_type(key_record)
    sections = VALUE_TYPES[type_].sections
    if not sections:
        strings.copy(keys, key_record, target, new_key)
        return
    source = Collection(keys, b"", type_, key_record)
    copy = Collection(target, new_key, type_, None, source.own)
    copy.count = source.count
    met: Counter[bytes] = Counter()
    last = b""
    while entries := _entries(source, last):
        for name, data in entries:
            copy.put(name, data)
            met[name[:1]] += 1
        last = entries[-1][0]
    if any(met[section] != source.count for section in sections):
        raise Damaged(source.where())
    copy.save(layout.record_deadline_ms(key_record))


def _entries(source: Collection, after: bytes) -> list[tuple[bytes, bytes]]:
    """The next entries of a collection behind a place, whatever their section."""
    with source.txn.cursor(source.database) as cursor:
        if not source.seek(cursor, source.id + after + b"\0" if after else source.id):
            return []
        found = list(islice(cursor.iternext(True, True), COPIED_AT_ONCE))
    return source.opened(found, source.id)
