"""Strings: short ones inside their record, long ones as pieces of their own.

A string of up to 64 KiB is the body of its record. A longer one is cut into pieces of that size, kept as elements
(`pieces.py`), and its record holds only the id and the length. So a deadline, a new name or a removal costs the same
for a gigabyte as for a byte, APPEND and SETRANGE rewrite the pieces they touch, and LMDB never has to look for a
hundred thousand free pages in a row. A long string in place of another is written over it; one that is too long for
a transaction is written before it (`staging.py`).

The functions take a `Keyspace` or a `WritableKeyspace` and a key. All of them raise WRONGTYPE where the key holds
another type of value, and DAMAGED where its bytes are not what was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keyp.errors import WRONG_TYPE, CommandError
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.keys.staging import must_stage, new_string
from keyp.storage.lmdb import layout, pieces
from keyp.storage.lmdb.layout import EDITED, FLOAT, HAS_ELEMENTS, NO_DEADLINE, TYPE_MASK
from keyp.storage.lmdb.pieces import Content, Given, Pieces, pieces_of
from keyp.storage.lmdb.transaction import Transaction
from keyp.storage.value_types import STRING

# So many pieces that a shorter value leaves over are removed at once, more are left to the sweeper.
SURPLUS_MAX: Final = 16


def get(keys: Keyspace, key: bytes) -> bytes | None:
    """The string a key holds, None where there is none."""
    record = keys.find(key)
    if record is None:
        return None
    if record[0] == STRING:  # the short way: no deadline, short name, one piece
        return record[layout.HEADER : -layout.CHECKSUM]
    if record[0] & TYPE_MASK != STRING:
        raise CommandError(WRONG_TYPE)
    return value(keys, record)


def value(keys: Keyspace, record: bytes) -> bytes:
    """The string of a STRING record."""
    if not record[0] & HAS_ELEMENTS:
        return layout.record_body(record)
    found = _pieces(keys, record)
    return found.read(0, found.length)


def length(keys: Keyspace, key: bytes) -> int:
    """The string's length in bytes, 0 where there is none."""
    record = keys.find(key, STRING)
    return 0 if record is None else length_of(record)


def length_of(record: bytes) -> int:
    """The length of a STRING record's value, in bytes."""
    if record[0] & HAS_ELEMENTS:
        return layout.record_elements(record)[1]
    return len(record) - layout.CHECKSUM - layout.body_offset(record)


def get_range(keys: Keyspace, key: bytes, start: int, stop: int) -> bytes:
    """The bytes from `start` up to, not including, `stop`; both within 0 and the length."""
    record = keys.find(key, STRING)
    return b"" if record is None else part(keys, record, start, stop)


def part(keys: Keyspace, record: bytes, start: int, stop: int) -> bytes:
    """The same of a STRING record."""
    if start >= stop:
        return b""
    if record[0] & HAS_ELEMENTS:
        return _pieces(keys, record).read(start, stop)
    offset = layout.body_offset(record)
    return record[offset + start : offset + stop]


def parts(keys: Keyspace, record: bytes, start: int, stop: int) -> Iterator[bytes]:
    """The same range in parts of at most a piece, each read when it is asked for."""
    while start < stop:
        end = min(stop, (start // pieces.PIECE_BYTES + 1) * pieces.PIECE_BYTES)
        yield part(keys, record, start, end)
        start = end


class Stored(Content):
    """The string of a STRING record that `keys` found, short or long; zeros follow it."""

    def __init__(self, keys: Keyspace, record: bytes) -> None:
        super().__init__(length_of(record), (keys.index, record))
        assert keys.space is not None
        self._elements = keys.space.elements
        self._body = b""
        self._collection = 0
        if record[0] & HAS_ELEMENTS:
            self._collection = layout.record_elements(record)[0]
        else:
            self._body = layout.record_body(record)

    def piece(self, transaction: Transaction, number: int) -> bytes | None:
        """As `Content.piece`."""
        if number * pieces.PIECE_BYTES >= self.length:
            return None
        if not self._collection:
            return self._body
        return self._pieces(transaction).find(number)

    def write_into(self, own: Pieces, first: int, stop: int) -> None:
        """As `Content.write_into`, for a long string of the same length."""
        own.copy(self._pieces(own.transaction), first, stop)

    def write_inverted_into(self, own: Pieces, first: int, stop: int) -> None:
        """The same with all bits inverted."""
        own.copy(self._pieces(own.transaction), first, stop, inverted=True)

    def _pieces(self, transaction: Transaction) -> Pieces:
        return Pieces(transaction, self._elements, self._collection, self.length)


def put(keys: WritableKeyspace, key: bytes, data: bytes, deadline_ms: int = NO_DEADLINE, flags: int = 0) -> None:
    """Makes `data` the key's value in place of whatever it held.

    `deadline_ms` may be KEEP_DEADLINE; `flags` may be EDITED, for a value that counts as one edited in place, or FLOAT.
    """
    if len(data) > pieces.PIECE_BYTES:
        put_content(keys, key, Given(data), deadline_ms, flags)
        return
    old = keys.find(key)
    if old is not None and old[0] & HAS_ELEMENTS:
        keys.discard_elements(layout.record_elements(old)[0])
    keys.put(key, old, STRING, flags, data, deadline_ms)


def put_content(
    keys: WritableKeyspace, key: bytes, content: Content, deadline_ms: int = NO_DEADLINE, flags: int = 0
) -> None:
    """As `put`, for what may be too long for the memory. Raises `LargeWrite` and `Damaged` as `new_string` does."""
    if content.length <= pieces.PIECE_BYTES:
        put(keys, key, _short(keys, content), deadline_ms, flags)
        return
    old = keys.find(key)
    collection = 0
    if old is not None and old[0] & HAS_ELEMENTS:
        if not must_stage(keys, content) and _replace_pieces(keys, old, content):
            collection = layout.record_elements(old)[0]
        else:
            keys.discard_elements(layout.record_elements(old)[0])
    _put_long(keys, key, old, content, flags, deadline_ms, collection)


def _short(keys: WritableKeyspace, content: Content) -> bytes:
    """All of a content that is one piece at most."""
    return content.piece(keys.transaction, 0) or bytes(content.length)


def _replace_pieces(keys: WritableKeyspace, record: bytes, content: Content) -> bool:
    """Writes a long string over the pieces of another, whatever is in them; whether the two are of such lengths.

    A collection that waits for the sweeper while the next is written would let the data file grow, and scatter its free
    pages.
    """
    if record[0] & TYPE_MASK != STRING:
        return False
    old = _pieces(keys, record)
    needed, had = pieces_of(content.length), pieces_of(old.length)
    if had - needed > SURPLUS_MAX:
        return False
    old.write(content, 0, needed)
    old.remove(needed, had)
    return True


def _put_long(
    keys: WritableKeyspace,
    key: bytes,
    old: bytes | None,
    content: Content,
    flags: int,
    deadline_ms: int,
    collection: int = 0,
) -> None:
    """Writes the record of a long string; its pieces too, where they are not in `collection` already."""
    if not collection:
        collection = new_string(keys, content)
    keys.put(key, old, STRING, flags | HAS_ELEMENTS, _header(collection, content.length), deadline_ms)


def append(keys: WritableKeyspace, key: bytes, tail: bytes) -> int:
    """Adds `tail` to the end of the string, which is made if need be; the new length."""
    record = keys.find(key, STRING)
    if record is None:
        put(keys, key, tail)
        return len(tail)
    return _overwrite(keys, key, record, length_of(record), tail)


def set_range(keys: WritableKeyspace, key: bytes, offset: int, patch: bytes) -> int:
    """Writes `patch` over the string from `offset` on, with zero bytes up to there if it is shorter; the new length."""
    record = keys.find(key, STRING)
    if record is None:
        put(keys, key, b"")
        record = keys.find(key)
        assert record is not None
    return _overwrite(keys, key, record, offset, patch)


def mark_edited(keys: WritableKeyspace, key: bytes, record: bytes) -> None:
    """Marks a string that an edit has left as it was: that changes its encoding, and is no change for WATCH."""
    if not record[0] & (EDITED | HAS_ELEMENTS):
        keys.mark(key, record, EDITED)


def copy(keys: Keyspace, record: bytes, target: WritableKeyspace, new_key: bytes) -> None:
    """Writes a STRING record's value and deadline under a key of `target` that does not exist.

    Raises `LargeWrite` and `Damaged` as `new_string` does.
    """
    flags, deadline_ms = record[0] & (EDITED | FLOAT), layout.record_deadline_ms(record)
    if record[0] & HAS_ELEMENTS:
        _put_long(target, new_key, None, Stored(keys, record), flags, deadline_ms)
    else:
        target.put(new_key, None, STRING, flags, layout.record_body(record), deadline_ms)


def _overwrite(keys: WritableKeyspace, key: bytes, record: bytes, offset: int, patch: bytes) -> int:
    """Writes `patch` into the string from `offset` on. A short one that becomes long is its own first piece."""
    old_length = length_of(record)
    new_length = max(old_length, offset + len(patch))
    if record[0] & HAS_ELEMENTS:
        own = _pieces(keys, record)
        own.overwrite(offset, patch)
    elif new_length <= pieces.PIECE_BYTES:
        old = layout.record_body(record).ljust(offset, b"\0")
        keys.put(key, record, STRING, EDITED, old[:offset] + patch + old[offset + len(patch) :])
        return new_length
    else:
        own = Pieces(keys.transaction, keys.writable_space().elements, keys.transaction.new_collection(), old_length)
        if old_length:
            own.put(0, layout.record_body(record))
        own.overwrite(offset, patch)
    keys.put(key, record, STRING, HAS_ELEMENTS | EDITED, _header(own.collection, new_length))
    return new_length


def _pieces(keys: Keyspace, record: bytes) -> Pieces:
    """The pieces of a long string's record."""
    assert keys.space is not None
    collection, length = layout.record_elements(record)
    return Pieces(keys.lookups, keys.space.elements, collection, length)


def _header(collection: int, total: int) -> bytes:
    return layout.number(collection) + layout.number(total)
