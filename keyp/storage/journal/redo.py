"""Redo records: what one commit has changed, to be changed once more after a crash.

A record names entries of LMDB and not commands. So a replay needs no clock, no chance and no command: whatever a
command or a script has computed, what it has written is here. A record is a list of changes, each of them

    operation (1), database (2), length of the name (2), length of the data (4), the name, the data

PUT writes an entry; DELETE removes one, DELETE_RANGE all from its name on to its data, which is a name as well; DROP
empties a database. The numbers of databases are the caller's. All numbers are little-endian.

Records may be replayed on a store that has some of their changes already: once all of them are through, every entry is
what its last change has made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final, TypeAlias

PUT: Final = 1
DELETE: Final = 2
DELETE_RANGE: Final = 3
DROP: Final = 4

Change: TypeAlias = tuple[int, int, bytes, bytes]  # operation, database, name, data

_HEAD: Final = Struct("<BHHI")


def encode(changes: list[Change], most: int) -> bytes | None:
    """The record of these changes, in their order; None where it would have more than `most` bytes."""
    parts: list[bytes] = []
    size = 0
    for operation, database, name, data in changes:
        size += len(name) + len(data)
        if size > most:
            return None
        parts += (_HEAD.pack(operation, database, len(name), len(data)), name, data)
    record = b"".join(parts)
    return record if len(record) <= most else None


def decode(record: bytes) -> Iterator[Change]:
    """The changes that a record was made of."""
    at = 0
    while at < len(record):
        operation, database, name_bytes, data_bytes = _HEAD.unpack_from(record, at)
        at += _HEAD.size
        name = record[at : at + name_bytes]
        at += name_bytes
        yield operation, database, name, record[at : at + data_bytes]
        at += data_bytes
