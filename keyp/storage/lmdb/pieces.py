"""The pieces of long strings: entries of LMDB under the string's collection id and the number of the piece.

Every piece has PIECE_BYTES but the last, which has the rest. A piece of nothing but zeros is a *hole*: its entry is a
checksum and no data (`layout.hole`). So what SETRANGE, SETBIT and BITOP put between two far places costs a few bytes
for each 64 KiB, and is as safe from damage as everything else: a piece without an entry is damage, as before.

What a long string is to be made of is a `Content`, which is asked for one piece at a time, in their order. So nothing
has a long string in memory that does not have it already.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

from keyp.errors import DAMAGED, CommandError
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.store import Database
from keyp.storage.lmdb.transaction import Transaction

# Sixteen pages less LMDB's own page header and the checksum: a piece fills its pages to the end.
PIECE_BYTES: Final = 16 * 4096 - 16 - layout.CHECKSUM

INVERTED: Final = bytes(range(255, -1, -1))  # for `bytes.translate`: each byte with all its bits inverted


class Content:
    """What a long string of `length` bytes is to be made of.

    Two of the same `identity` are the same string, as long as nothing is written to what they are read from.
    """

    def __init__(self, length: int, identity: tuple[object, ...]) -> None:
        self.length = length
        self.identity = identity

    def piece(self, transaction: Transaction, number: int) -> bytes | None:
        """Piece `number` of the string, None where it is all zeros. Raises DAMAGED."""
        raise NotImplementedError

    def write_into(self, own: Pieces, first: int, stop: int) -> None:
        """Makes the pieces from `first` up to, not including, `stop` those of `own`. Raises DAMAGED."""
        for number in range(first, stop):
            own.put(number, self.piece(own.transaction, number))


class Given(Content):
    """Bytes that are there already. The pieces are cut off one at a time, so that they are not in memory twice."""

    def __init__(self, data: bytes) -> None:
        super().__init__(len(data), (data,))
        self._data = data

    def piece(self, transaction: Transaction, number: int) -> bytes | None:
        """As `Content.piece`."""
        return self._data[number * PIECE_BYTES : (number + 1) * PIECE_BYTES]


class Pieces:
    """The pieces of string `collection`, which is `length` bytes long, in sub-database `elements`.

    Valid inside the transaction, on its thread.
    """

    def __init__(self, transaction: Transaction, elements: Database, collection: int, length: int) -> None:
        self.transaction = transaction
        self.elements = elements
        self.collection = collection
        self.length = length
        self._id = layout.number(collection)

    def name(self, number: int) -> bytes:
        """The LMDB key of a piece."""
        return self._id + number.to_bytes(4, "big")

    def find_with_checksum(self, number: int) -> bytes | None:
        """A piece with its checksum, None where it is a hole. Raises DAMAGED where it is missing or not intact."""
        name = self.name(number)
        raw: bytes | None = self.transaction.txn.get(name, None, self.elements)
        if raw is None:
            raise CommandError(DAMAGED)
        if not layout.is_intact(name, raw):
            if raw == layout.hole(name):
                return None
            raise CommandError(DAMAGED)
        return raw

    def find(self, number: int) -> bytes | None:
        """The same without its checksum."""
        raw = self.find_with_checksum(number)
        return None if raw is None else raw[: -layout.CHECKSUM]

    def get(self, number: int) -> bytes:
        """A piece, as `find` does, with its zeros."""
        data = self.find(number)
        return bytes(min(PIECE_BYTES, self.length - number * PIECE_BYTES)) if data is None else data

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` up to, not including, `stop`, which is behind it and within the length."""
        first, last = start // PIECE_BYTES, (stop - 1) // PIECE_BYTES
        if first == last:
            return self.get(first)[start - first * PIECE_BYTES : stop - first * PIECE_BYTES]
        whole = BytesIO()  # which gives away what it holds, and does not copy it
        whole.write(self.get(first)[start - first * PIECE_BYTES :])
        for number in range(first + 1, last):
            whole.write(self.get(number))
        whole.write(self.get(last)[: stop - last * PIECE_BYTES])
        return whole.getvalue()

    def put(self, number: int, data: bytes | None) -> None:
        """Writes a piece, None for zeros."""
        name = self.name(number)
        if data is None or data == bytes(len(data)):
            self.transaction.put(self.elements, name, layout.hole(name))
        else:
            self.transaction.put(self.elements, name, layout.with_checksum(name, data))

    def write(self, content: Content, first: int, stop: int) -> None:
        """Writes the pieces from `first` up to, not including, `stop` as they are in `content`.

        Raises `Damaged` where that cannot be read: some are written by then, and have to be undone.
        """
        try:
            content.write_into(self, first, stop)
        except CommandError as error:
            raise Damaged(f"what string {self.collection} is to be made of is not what was written") from error

    def copy(self, other: Pieces, first: int, stop: int, inverted: bool = False) -> None:
        """Makes some pieces those of another string of the same length, or those with all bits inverted.

        Raises DAMAGED. The checksums are not computed anew: CRC-32 is linear, so those of the same bytes in two strings
        differ by a number that depends on the two ids and the number of bytes alone, and so do those of bytes and
        inverted ones.
        """
        difference, size = 0, -1
        for number in range(first, stop):
            raw = other.find_with_checksum(number)
            name = self.name(number)
            if raw is None:
                self.put(number, other.get(number).translate(INVERTED) if inverted else None)
                continue
            if len(raw) != size:
                size = len(raw)
                zeros = bytes(size - layout.CHECKSUM)
                copied = zeros.translate(INVERTED) if inverted else zeros
                difference = layout.read_checksum(layout.with_checksum(name, copied)) ^ layout.read_checksum(
                    layout.with_checksum(other.name(number), zeros)
                )
            data: bytes | memoryview = memoryview(raw)[: -layout.CHECKSUM]
            if inverted:
                data = raw[: -layout.CHECKSUM].translate(INVERTED)
                if data == bytes(len(data)):
                    self.put(number, None)
                    continue
            checksum = (layout.read_checksum(raw) ^ difference).to_bytes(layout.CHECKSUM, "little")
            self.transaction.put(self.elements, name, b"".join((data, checksum)))

    def remove(self, first: int, stop: int) -> None:
        """Removes the pieces from `first` up to, not including, `stop`."""
        for number in range(first, stop):
            self.transaction.delete(self.elements, self.name(number))

    def overwrite(self, offset: int, data: bytes) -> None:
        """Writes `data` over the string from byte `offset` on, with zeros before it where the string ends sooner.

        What has to be read, the pieces at the ends, is read before anything is written, so that damage found there
        leaves nothing half done.
        """
        if not data:
            return
        old_length = self.length
        end = offset + len(data)
        first, last = min(offset, old_length) // PIECE_BYTES, (end - 1) // PIECE_BYTES
        ends = {number: self._edited(number, offset, data) for number in (first, offset // PIECE_BYTES, last)}
        self.length = max(old_length, end)
        for number in range(first, last + 1):
            start = number * PIECE_BYTES - offset
            if number in ends:
                self.put(number, ends[number])
            elif start < 0:
                self.put(number, None)
            else:
                self.put(number, data[start : start + PIECE_BYTES])

    def _edited(self, number: int, offset: int, data: bytes) -> bytes:
        """A piece as it is once `data` has been written over the string from byte `offset` on."""
        start = number * PIECE_BYTES
        end = offset + len(data)
        stop = min(start + PIECE_BYTES, max(self.length, end))
        low = min(max(offset, start), stop)
        high = max(low, min(end, stop))
        part = data[low - offset : high - offset] if low >= offset else b""
        if start >= self.length or (low == start and high >= min(stop, self.length)):
            return bytes(low - start) + part  # nothing of the old piece is left
        old = self.get(number).ljust(low - start, b"\0")
        return old[: low - start] + part + old[high - start :]


def pieces_of(length: int) -> int:
    """How many pieces a string of `length` bytes has."""
    return -(-length // PIECE_BYTES)
