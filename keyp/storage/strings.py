"""Strings: short ones inside their record, long ones as pieces of their own.

A string of up to 64 KiB is the body of its record. A longer one is cut into pieces of that size, kept as elements
(collection id + number of the piece), and its record holds only the id and the length. So a deadline, a new name or
a removal costs the same for a gigabyte as for a byte, APPEND and SETRANGE rewrite the pieces they touch, and LMDB
never has to look for a hundred thousand free pages in a row.

The functions take a `Keyspace` or a `WritableKeyspace` and a key. All of them raise WRONGTYPE where the key holds
another kind of value.
"""

from __future__ import annotations

from typing import Final

from keyp.storage import layout
from keyp.storage.keyspace import Keyspace, WritableKeyspace
from keyp.storage.layout import EDITED, HAS_ELEMENTS, NO_DEADLINE, STRING

# Sixteen pages less LMDB's own page header: a piece fills its pages to the end.
PIECE_BYTES: Final = 16 * 4096 - 16


def get(keys: Keyspace, key: bytes) -> bytes | None:
    """The string a key holds, None where there is none."""
    record = keys.find(key)
    if record is None:
        return None
    if record[0] == STRING:  # the short way: no deadline, short name, one piece
        return record[layout.HEADER :]
    return value(keys, keys.find_kind(key, STRING) or b"")


def value(keys: Keyspace, record: bytes) -> bytes:
    """The string of a STRING record."""
    offset = layout.body_offset(record)
    if not record[0] & HAS_ELEMENTS:
        return record[offset:]
    collection, length = layout.record_elements(record)
    return _read_pieces(keys, collection, 0, length)


def length(keys: Keyspace, key: bytes) -> int:
    """The string's length in bytes, 0 where there is none."""
    record = keys.find_kind(key, STRING)
    return 0 if record is None else _length(record)


def _length(record: bytes) -> int:
    if record[0] & HAS_ELEMENTS:
        return layout.record_elements(record)[1]
    return len(record) - layout.body_offset(record)


def get_range(keys: Keyspace, key: bytes, start: int, stop: int) -> bytes:
    """The bytes from `start` up to, not including, `stop`; both within 0 and the length."""
    record = keys.find_kind(key, STRING)
    if record is None or start >= stop:
        return b""
    if record[0] & HAS_ELEMENTS:
        return _read_pieces(keys, layout.record_elements(record)[0], start, stop)
    offset = layout.body_offset(record)
    return record[offset + start : offset + stop]


def put(keys: WritableKeyspace, key: bytes, data: bytes, deadline_ms: int = NO_DEADLINE) -> None:
    """Makes `data` the key's value in place of whatever it held; `deadline_ms` may be KEEP_DEADLINE."""
    old = keys.find(key)
    if old is not None and old[0] & HAS_ELEMENTS:
        keys.discard_elements(layout.record_elements(old)[0])
    if len(data) <= PIECE_BYTES:
        keys.put(key, old, STRING, 0, data, deadline_ms)
        return
    collection = keys.transaction.new_collection()
    _write_pieces(keys, collection, 0, data)
    keys.put(key, old, STRING, HAS_ELEMENTS, _header(collection, len(data)), deadline_ms)


def append(keys: WritableKeyspace, key: bytes, tail: bytes) -> int:
    """Adds `tail` to the end of the string, which is made if need be; the new length."""
    record = keys.find_kind(key, STRING)
    if record is None:
        put(keys, key, tail)
        return len(tail)
    return _overwrite(keys, key, record, _length(record), tail)


def set_range(keys: WritableKeyspace, key: bytes, offset: int, patch: bytes) -> int:
    """Writes `patch` over the string from `offset` on, with zero bytes up to there if it is shorter; the new length."""
    record = keys.find_kind(key, STRING)
    if record is None:
        put(keys, key, b"")
        record = keys.find(key)
        assert record is not None
    return _overwrite(keys, key, record, offset, patch)


def copy(keys: Keyspace, record: bytes, target: WritableKeyspace, new_key: bytes) -> None:
    """Writes a STRING record's value and deadline under a key of `target` that does not exist."""
    put(target, new_key, value(keys, record), layout.record_deadline_ms(record))


def _overwrite(keys: WritableKeyspace, key: bytes, record: bytes, offset: int, patch: bytes) -> int:
    old_length = _length(record)
    new_length = max(old_length, offset + len(patch))
    if record[0] & HAS_ELEMENTS:
        collection = layout.record_elements(record)[0]
        if offset > old_length:
            _write_pieces(keys, collection, old_length, bytes(offset - old_length))
        _write_pieces(keys, collection, offset, patch)
        keys.put(key, record, STRING, HAS_ELEMENTS | EDITED, _header(collection, new_length))
        return new_length
    whole = record[layout.body_offset(record) :]
    edited = whole[:offset].ljust(offset, b"\0") + patch + whole[offset + len(patch) :]
    if new_length <= PIECE_BYTES:
        keys.put(key, record, STRING, EDITED, edited)
    else:
        collection = keys.transaction.new_collection()
        _write_pieces(keys, collection, 0, edited)
        keys.put(key, record, STRING, HAS_ELEMENTS | EDITED, _header(collection, new_length))
    return new_length


def _header(collection: int, total: int) -> bytes:
    return layout.number(collection) + layout.number(total)


def _piece_name(collection: int, piece: int) -> bytes:
    return layout.number(collection) + piece.to_bytes(4, "big")


def _read_pieces(keys: Keyspace, collection: int, start: int, stop: int) -> bytes:
    assert keys.space is not None
    first, last = start // PIECE_BYTES, (stop - 1) // PIECE_BYTES
    pieces: list[bytes] = []
    for piece in range(first, last + 1):
        data: bytes | None = keys.txn.get(_piece_name(collection, piece), None, keys.space.elements)
        assert data is not None, "a long string lacks a piece"
        pieces.append(data)
    pieces[-1] = pieces[-1][: stop - last * PIECE_BYTES]
    pieces[0] = pieces[0][start - first * PIECE_BYTES :]
    return b"".join(pieces)


def _write_pieces(keys: WritableKeyspace, collection: int, offset: int, data: bytes) -> None:
    """Writes `data` into the pieces from byte `offset` on; the string reaches at least to `offset` already."""
    elements = keys.writable_space().elements
    done = 0
    while done < len(data):
        piece, within = divmod(offset + done, PIECE_BYTES)
        name = _piece_name(collection, piece)
        part = data[done : done + PIECE_BYTES - within]
        done += len(part)
        if len(part) < PIECE_BYTES:
            old: bytes = keys.txn.get(name, b"", elements)
            part = old[:within] + part + old[within + len(part) :]
        keys.txn.put(name, part, db=elements)
