"""How big things are: one key with all it holds, the store with all its files."""

from __future__ import annotations

import os
from itertools import islice
from typing import Final

import lmdb

from keyp.storage.keys.keyspace import Keyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.layout import HAS_ELEMENTS
from keyp.storage.lmdb.transaction import Transaction
from keyp.storage.types.stream_groups import CONSUMERS, NAMES, OWNED, PENDING, all_groups, group_prefix
from keyp.storage.types.streams import Stream
from keyp.storage.value_types import GROUPS, STREAM, VALUE_TYPES

# More elements than this are never looked at, whatever is asked for: the reactor's thread may be waiting.
SAMPLES_MAX: Final = 1000


def key_bytes(keys: Keyspace, key: bytes, samples: int) -> int | None:
    """About how many bytes a key takes in the store, its name and its deadline included; None without such a key.

    Of a collection `samples` elements are looked at and stand for the others; what helps to find an element by its
    rank is left out, some hundredths of the whole. So it is with a stream's groups, and the consumers of one.
    """
    record = keys.find(key, is_access=False)
    if record is None:
        return None
    name = len(layout.stored_name(key))
    total = name + len(record)
    if layout.record_deadline_ms(record) != layout.NO_DEADLINE:
        total += 8 + name
    if not record[0] & HAS_ELEMENTS:
        return total
    if layout.record_type(record) == STREAM:
        return total + _stream_bytes(Stream(keys, key, record), min(samples, SAMPLES_MAX))
    collection, count = layout.record_elements(record)
    sections = VALUE_TYPES[layout.record_type(record)].sections
    if not sections:
        return total + count
    samples = min(samples, SAMPLES_MAX, count)
    prefix = layout.number(collection)
    for section in sections:
        total += _section_bytes(keys, prefix + section, count, samples)
    return total


def _stream_bytes(stream: Stream, samples: int) -> int:
    """About how many bytes a stream's entries and groups take, with what is pending."""
    keys = stream.keys
    total = _section_bytes(keys, stream.id + stream.entries_section, stream.count, samples, stream.first)
    total += _section_bytes(keys, stream.id + GROUPS, stream.groups, samples)
    seen = size = 0
    of_each = -(-samples // max(stream.groups, 1))
    for group in islice(all_groups(stream), samples):
        prefix = stream.id + group_prefix(group.number)
        for part, count in ((NAMES, group.consumers), (CONSUMERS, group.consumers), (PENDING, group.pending)):
            size += _section_bytes(keys, prefix + part, count, of_each)
        size += _section_bytes(keys, prefix + OWNED, group.pending, of_each)
        seen += 1
    return total + (size * stream.groups // seen if seen else 0)


def garbage_entries(transaction: Transaction, environment: Environment) -> int:
    """How many removed collections and spaces the sweeper has still to clear, as far as the transaction sees."""
    entries: int = transaction.txn.stat(environment.garbage)["entries"]
    return entries


def _section_bytes(keys: Keyspace, prefix: bytes, count: int, samples: int, first: bytes = b"") -> int:
    """About how many bytes `count` elements take whose names begin with `prefix`, by `samples` of them from `first`."""
    assert keys.space is not None
    seen = size = 0
    samples = min(samples, count)
    with keys.txn.cursor(keys.space.elements) as cursor:
        found = samples > 0 and cursor.set_range(prefix + first)
        while found and seen < samples:
            name, value = cursor.item()
            if not name.startswith(prefix):
                break
            seen += 1
            size += len(name) + len(value)
            found = cursor.next()
    return size * count // seen if seen else 0


class StoreSize:
    """The store's data file and map in bytes. `used` is how much of the file pages have ever taken."""

    def __init__(self, environment: Environment) -> None:
        info = environment.lmdb.info()
        self.map = int(info["map_size"])
        self.used = (int(info["last_pgno"]) + 1) * int(environment.lmdb.stat()["psize"])
        self.file = _file_bytes(os.path.join(environment.path, "data.mdb"))


def _file_bytes(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def engine_version() -> str:
    """The version of the LMDB library."""
    return ".".join(map(str, lmdb.version()))
