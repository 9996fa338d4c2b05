"""Copies of values, of whatever type."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.types import strings
from keyp.storage.types.collection import Collection
from keyp.storage.types.stream_groups import all_groups, group_prefix
from keyp.storage.types.streams import Stream
from keyp.storage.value_types import GROUPS, STREAM, VALUE_TYPES

COPIED_AT_ONCE = 1024


def copy_value(keys: Keyspace, key_record: bytes, target: WritableKeyspace, new_key: bytes) -> None:
    """Writes the value and the deadline of a record of `keys` under a key of `target`, where no such key exists."""
    type_ = layout.record_type(key_record)
    sections = VALUE_TYPES[type_].sections
    if not sections:
        strings.copy(keys, key_record, target, new_key)
        return
    if type_ == STREAM:
        _copy_stream(
            Stream(keys, b"", key_record), Stream(target, new_key, None), layout.record_deadline_ms(key_record)
        )
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


def _copy_stream(source: Stream, copy: Stream, deadline_ms: int) -> None:
    """Writes a stream's entries and groups; what the sweeper has still to clear of it is left out."""
    copy.take_header(source)
    prefixes = [GROUPS, *[group_prefix(group.number) for group in all_groups(source)]]
    parts = [(prefix, b"", prefix) for prefix in prefixes]
    if source.count:
        parts.append((source.entries_section, source.first, copy.entries_section))
        parts.append((source.runs_section, next(source.runs()).start, copy.runs_section))
    met = 0
    for section, place, to in parts:
        while entries := source.forward(section, place, COPIED_AT_ONCE):
            for name, data in entries:
                copy.put(to + name, data)
            met += len(entries) if section == source.entries_section else 0
            place = entries[-1][0] + b"\0"
    if met != source.count:
        raise Damaged(source.where())
    copy.save(deadline_ms)
