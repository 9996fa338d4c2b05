"""Strings: short ones inside their record, long ones as pieces of their own.

A string of up to 64 KiB is the body of its record. A longer one is cut into pieces of that size, kept as elements
(collection id + number of the piece), and its record holds only the id and the length. So a deadline, a new name or
a removal costs the same for a gigabyte as for a byte, APPEND and SETRANGE rewrite the pieces they touch, and LMDB
never has to look for a hundred thousand free pages in a row. A long string in place of another is written over it.

The functions take a `Keyspace` or a `WritableKeyspace` and a key. All of them raise WRONGTYPE where the key holds
another kind of value, and DAMAGED where its bytes are not what was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keyp.errors import DAMAGED, WRONG_TYPE, CommandError
from keyp.storage import layout
from keyp.storage.keyspace import KEEP_DEADLINE, Keyspace, WritableKeyspace
from keyp.storage.layout import EDITED, FLOAT, HAS_ELEMENTS, KIND_MASK, NO_DEADLINE, STRING

# Sixteen pages less LMDB's own page header and the seal: a piece fills its pages to the end.
PIECE_BYTES: Final = 16 * 4096 - 16 - layout.SEAL

# So many pieces that a shorter value leaves over are removed at once, more are left to the sweeper.
SURPLUS_MAX: Final = 16


def get(keys: Keyspace, key: bytes) -> bytes | None:
    """The string a key holds, None where there is none."""
    record = keys.find(key)
    if record is None:
        return None
    if record[0] == STRING:  # the short way: no deadline, short name, one piece
        return record[layout.HEADER : -layout.SEAL]
    if record[0] & KIND_MASK != STRING:
        raise CommandError(WRONG_TYPE)
    return value(keys, record)


def value(keys: Keyspace, record: bytes) -> bytes:
    """The string of a STRING record."""
    if not record[0] & HAS_ELEMENTS:
        return layout.record_body(record)
    collection, length = layout.record_elements(record)
    return _read_pieces(keys, collection, 0, length)


def length(keys: Keyspace, key: bytes) -> int:
    """The string's length in bytes, 0 where there is none."""
    record = keys.find_kind(key, STRING)
    return 0 if record is None else length_of(record)


def length_of(record: bytes) -> int:
    """The length of a STRING record's value, in bytes."""
    if record[0] & HAS_ELEMENTS:
        return layout.record_elements(record)[1]
    return len(record) - layout.SEAL - layout.body_offset(record)


def get_range(keys: Keyspace, key: bytes, start: int, stop: int) -> bytes:
    """The bytes from `start` up to, not including, `stop`; both within 0 and the length."""
    record = keys.find_kind(key, STRING)
    return b"" if record is None else part(keys, record, start, stop)


def part(keys: Keyspace, record: bytes, start: int, stop: int) -> bytes:
    """The same of a STRING record."""
    if start >= stop:
        return b""
    if record[0] & HAS_ELEMENTS:
        return _read_pieces(keys, layout.record_elements(record)[0], start, stop)
    offset = layout.body_offset(record)
    return record[offset + start : offset + stop]


def parts(keys: Keyspace, record: bytes, start: int, stop: int) -> Iterator[bytes]:
    """The same range in parts of at most a piece, each read when it is asked for."""
    while start < stop:
        end = min(stop, (start // PIECE_BYTES + 1) * PIECE_BYTES)
        yield part(keys, record, start, end)
        start = end


def put(keys: WritableKeyspace, key: bytes, data: bytes, deadline_ms: int = NO_DEADLINE, flags: int = 0) -> None:
    """Makes `data` the key's value in place of whatever it held.

    `deadline_ms` may be KEEP_DEADLINE; `flags` may be EDITED, for a value that is not told from one edited in place, or
    FLOAT.
    """
    old = keys.find(key)
    if old is not None and old[0] & HAS_ELEMENTS:
        if _replace_pieces(keys, old, data):
            header = _header(layout.record_elements(old)[0], len(data))
            keys.put(key, old, STRING, flags | HAS_ELEMENTS, header, deadline_ms)
            return
        keys.discard_elements(layout.record_elements(old)[0])
    _store(keys, key, old, data, flags, deadline_ms)


def _replace_pieces(keys: WritableKeyspace, record: bytes, data: bytes) -> bool:
    """Writes a long string over the pieces of another, whatever is in them; whether the two are of such lengths.

    A collection that waits for the sweeper while the next is written would let the data file grow, and scatter its free
    pages.
    """
    if record[0] & KIND_MASK != STRING or len(data) <= PIECE_BYTES:
        return False
    collection, length = layout.record_elements(record)
    needed = _pieces(len(data))
    surplus = range(needed, _pieces(length))
    if len(surplus) > SURPLUS_MAX:
        return False
    elements = keys.writable_space().elements
    _write_pieces(keys, collection, 0, data, {})
    for piece in surplus:
        keys.txn.delete(_piece_name(collection, piece), b"", elements)
    return True


def _store(
    keys: WritableKeyspace, key: bytes, old: bytes | None, data: bytes, flags: int, deadline_ms: int = KEEP_DEADLINE
) -> None:
    if len(data) <= PIECE_BYTES:
        keys.put(key, old, STRING, flags, data, deadline_ms)
    else:
        collection = keys.transaction.new_collection()
        _write_pieces(keys, collection, 0, data, {})
        keys.put(key, old, STRING, flags | HAS_ELEMENTS, _header(collection, len(data)), deadline_ms)


def append(keys: WritableKeyspace, key: bytes, tail: bytes) -> int:
    """Adds `tail` to the end of the string, which is made if need be; the new length."""
    record = keys.find_kind(key, STRING)
    if record is None:
        put(keys, key, tail)
        return len(tail)
    return _overwrite(keys, key, record, length_of(record), tail)


def set_range(keys: WritableKeyspace, key: bytes, offset: int, patch: bytes) -> int:
    """Writes `patch` over the string from `offset` on, with zero bytes up to there if it is shorter; the new length."""
    record = keys.find_kind(key, STRING)
    if record is None:
        put(keys, key, b"")
        record = keys.find(key)
        assert record is not None
    return _overwrite(keys, key, record, offset, patch)


def mark_edited(keys: WritableKeyspace, key: bytes, record: bytes) -> None:
    """An edit has left the string as it was: only its encoding tells of it, once, and nobody who watches the key."""
    if not record[0] & (EDITED | HAS_ELEMENTS):
        keys.mark(key, record, EDITED)


def copy(keys: Keyspace, record: bytes, target: WritableKeyspace, new_key: bytes) -> None:
    """Writes a STRING record's value and deadline under a key of `target` that does not exist."""
    _store(target, new_key, None, value(keys, record), record[0] & (EDITED | FLOAT), layout.record_deadline_ms(record))


def _overwrite(keys: WritableKeyspace, key: bytes, record: bytes, offset: int, patch: bytes) -> int:
    old_length = length_of(record)
    if offset > old_length:
        patch = patch.rjust(len(patch) + offset - old_length, b"\0")
        offset = old_length
    new_length = max(old_length, offset + len(patch))
    if record[0] & HAS_ELEMENTS:
        collection = layout.record_elements(record)[0]
        _edit_pieces(keys, collection, offset, patch)
        keys.put(key, record, STRING, HAS_ELEMENTS | EDITED, _header(collection, new_length))
    else:
        whole = layout.record_body(record)
        _store(keys, key, record, whole[:offset] + patch + whole[offset + len(patch) :], EDITED)
    return new_length


def _header(collection: int, total: int) -> bytes:
    return layout.number(collection) + layout.number(total)


def _pieces(length: int) -> int:
    """How many pieces a string of `length` bytes has."""
    return -(-length // PIECE_BYTES)


def _piece_name(collection: int, piece: int) -> bytes:
    return layout.number(collection) + piece.to_bytes(4, "big")


def _read_piece(keys: Keyspace, name: bytes) -> bytes:
    """The piece stored under `name`. Raises DAMAGED where it is missing or not whole."""
    assert keys.space is not None
    sealed: bytes | None = keys.txn.get(name, None, keys.space.elements)
    if sealed is None or not layout.is_whole(name, sealed):
        raise CommandError(DAMAGED)
    return sealed[: -layout.SEAL]


def _read_pieces(keys: Keyspace, collection: int, start: int, stop: int) -> bytes:
    first, last = start // PIECE_BYTES, (stop - 1) // PIECE_BYTES
    pieces = [_read_piece(keys, _piece_name(collection, piece)) for piece in range(first, last + 1)]
    pieces[-1] = pieces[-1][: stop - last * PIECE_BYTES]
    pieces[0] = pieces[0][start - first * PIECE_BYTES :]
    return b"".join(pieces)


def _edit_pieces(keys: WritableKeyspace, collection: int, offset: int, data: bytes) -> None:
    """Writes `data` into the string from byte `offset` on; it reaches at least to `offset` already.

    What has to be read, the pieces at the ends, is read before anything is written, so that damage found there leaves
    nothing half done.
    """
    if data:
        first, last = offset // PIECE_BYTES, (offset + len(data) - 1) // PIECE_BYTES
        ends = {piece: _edited_piece(keys, collection, piece, offset, data) for piece in (first, last)}
        _write_pieces(keys, collection, offset, data, ends)


def _write_pieces(keys: WritableKeyspace, collection: int, offset: int, data: bytes, whole: dict[int, bytes]) -> None:
    """Writes the pieces that hold `data`, which stands at byte `offset`. `whole` are those that hold more than it.

    The others are cut off `data` one at a time, so that a long string is not in memory twice.
    """
    elements = keys.writable_space().elements
    for piece in range(offset // PIECE_BYTES, _pieces(offset + len(data))):
        start = piece * PIECE_BYTES - offset
        part = whole[piece] if piece in whole else data[start : start + PIECE_BYTES]
        name = _piece_name(collection, piece)
        keys.txn.put(name, layout.seal(name, part), db=elements)


def _edited_piece(keys: WritableKeyspace, collection: int, piece: int, offset: int, data: bytes) -> bytes:
    """A piece as it is once `data` has been written into the string from byte `offset` on."""
    start = piece * PIECE_BYTES
    within = max(offset - start, 0)
    part = data[max(start - offset, 0) : max(start - offset, 0) + PIECE_BYTES - within]
    name = _piece_name(collection, piece)
    if len(part) < PIECE_BYTES and keys.txn.get(name, None, keys.writable_space().elements) is not None:
        old = _read_piece(keys, name)
        part = old[:within] + part + old[within + len(part) :]
    return part
