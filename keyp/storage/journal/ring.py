"""The ring file: what has been committed since the last checkpoint, in records that follow one another round and round.

    page 0, 1   two slots, each with a checkpoint; the newer one that is whole counts
    the rest    records, each at the start of a page

A checkpoint says from which position on the records are needed: what came before it is in the data file for good. So a
start reads the newest slot, then the records from its position on, as far as they are whole and belong together.

Record: magic, length, sequence number, CRC-32 (`_HEAD`), then the payload. The CRC-32 is over the number, the length
and the payload, and begins with that of the record before it: a chain. Only the next number with the right chain is
accepted. What was written behind a torn record before a power cut must not continue what is written in its place; so
each start begins a chain of its own, from another number.

The file is written once with zeros and never grows. A sync of one page then writes nothing but that page; with space
that is allocated and unwritten it took 1.9 times as long, where the file grows 1.3 to 2.0 times.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from struct import Struct
from typing import Final
from zlib import crc32

PAGE: Final = 4096
FIRST: Final = 2 * PAGE  # where records begin
ALIGNMENT: Final = PAGE  # of records: what tears one leaves its neighbours whole
SMALLEST: Final = 16 * PAGE

_HEAD: Final = Struct("<IIQI")  # magic, length of the payload, sequence number, CRC-32
_NUMBERS: Final = Struct("<QI")  # what the CRC-32 covers besides the payload
_MAGIC: Final = 0x4B4A524E
_NEW_CHAIN: Final = 0x5F3759DF
_NOTHING: Final = bytes(_HEAD.size)

_SLOT: Final = Struct("<8sQQQIQI")  # magic, counter, place, sequence number, chain, size of the ring, payload's length
_SLOT_MAGIC: Final = b"KEYPRING"
_CRC: Final = Struct("<I")

_ZEROS: Final = bytes(1 << 20)

fdatasync = getattr(os, "fdatasync", os.fsync)


class Position:
    """Where a record stands or is to stand: its place in the file, its sequence number, the CRC-32 before it."""

    def __init__(self, place: int, sequence: int, chain: int) -> None:
        self.place = place
        self.sequence = sequence
        self.chain = chain


class Checkpoint:
    """What a slot says: the records from `position` on are needed, and `payload`."""

    def __init__(self, counter: int, position: Position, payload: bytes) -> None:
        self.counter = counter
        self.position = position
        self.payload = payload


class Ring:
    """A ring file that is open. `checkpoint` is its newest; `position` is where the next record goes.

    Records are for one thread; `sync` and `write_checkpoint` may be called on another one meanwhile. Raises OSError,
    and `NotWhole` where the file is no ring or none of its slots is whole.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            about = os.fstat(self._fd)
            self.size = about.st_size
            self.capacity = self.size - FIRST  # bytes for records
            self.identity = (about.st_dev, about.st_ino)
            self.checkpoint = self._newest_checkpoint()
        except BaseException:
            os.close(self._fd)
            raise
        self.position = self.checkpoint.position
        self._before = self.position  # that of the last record
        self._tail = self.position.place  # the first record that is needed

    def _newest_checkpoint(self) -> Checkpoint:
        found = [slot for slot in map(self._read_slot, (0, 1)) if slot is not None]
        if not found:
            raise NotWhole("neither of its checkpoints is whole")
        return max(found, key=_counter)

    def _read_slot(self, number: int) -> Checkpoint | None:
        raw = os.pread(self._fd, PAGE, PAGE * number)
        if len(raw) < PAGE:
            return None
        magic, counter, place, sequence, chain, size, length = _SLOT.unpack_from(raw)
        end = _SLOT.size + length
        if magic != _SLOT_MAGIC or end + _CRC.size > PAGE or size != self.size:
            return None
        if _CRC.unpack_from(raw, end)[0] != crc32(raw[:end]):
            return None
        return Checkpoint(counter, Position(place, sequence, chain), raw[_SLOT.size : end])

    @property
    def used(self) -> int:
        """Bytes of the records that are needed."""
        used = self.position.place - self._tail
        return used if used >= 0 else used + self.size - FIRST

    @property
    def needed_records(self) -> int:
        """How many records there are behind the newest checkpoint."""
        return self.position.sequence - self.checkpoint.position.sequence

    def records(self) -> Iterator[bytes]:
        """The payloads of the records behind the newest checkpoint. Afterwards the next record goes behind the last."""
        while True:
            position = self.position
            payload = self._read(position, position.place)
            if payload is None and position.place != FIRST:  # it did not fit before the end
                payload = self._read(position, FIRST)
            if payload is None:
                return
            yield payload

    def rewind(self) -> None:
        """The records behind the newest checkpoint are to be read once more, before anything is written."""
        self.position = self._before = self.checkpoint.position

    def _read(self, position: Position, place: int) -> bytes | None:
        """The payload of the record that is to follow, if it stands at `place`; then `position` is the one behind."""
        head = os.pread(self._fd, _HEAD.size, place)
        if len(head) < _HEAD.size:
            return None
        magic, length, sequence, crc = _HEAD.unpack(head)
        if magic != _MAGIC or sequence != position.sequence or place + _HEAD.size + length > self.size:
            return None
        payload = os.pread(self._fd, length, place + _HEAD.size)
        if crc32(payload, crc32(_NUMBERS.pack(sequence, length), position.chain)) != crc:
            return None
        self._before = Position(place, sequence, position.chain)
        self.position = Position(place - (-(_HEAD.size + length) // ALIGNMENT) * ALIGNMENT, sequence + 1, crc)
        return payload

    def place_for(self, length: int) -> int:
        """Where there is room for a payload of `length` bytes before the next checkpoint; -1 for nowhere.

        One page always stays free before the tail.
        """
        place, tail = self.position.place, self._tail
        span = -(-(_HEAD.size + length) // ALIGNMENT) * ALIGNMENT
        if place >= tail:
            if place + span <= self.size:
                return place
            return FIRST if FIRST + span < tail else -1
        return place if place + span < tail else -1

    def append(self, payload: bytes) -> int:
        """Writes the next record; `sync` brings it to the disk. The bytes of the ring that it takes, 0 without room.

        Raises OSError, and is not there then.
        """
        position = self.position
        length, sequence = len(payload), position.sequence
        place = self.place_for(length)
        if place < 0:
            return 0
        crc = crc32(payload, crc32(_NUMBERS.pack(sequence, length), position.chain))
        self._before = position if place == position.place else Position(place, sequence, position.chain)
        record = _HEAD.pack(_MAGIC, length, sequence, crc) + payload
        if os.pwrite(self._fd, record, place) != len(record):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        size = -(-len(record) // ALIGNMENT) * ALIGNMENT
        self.position = Position(place + size, sequence + 1, crc)
        return size

    def take_back(self) -> None:
        """The last record is not to count, whether it was written or not: the next one takes its place.

        Until then nothing reads it as a record; after a power cut something may. Raises OSError; then something may
        without one, too, and the ring must not be used any more.
        """
        self.position = self._before
        os.pwrite(self._fd, _NOTHING, self.position.place)

    def sync(self) -> None:
        """Brings all records so far to the disk. Raises OSError; then none since the last sync is known to be there."""
        fdatasync(self._fd)

    def write_checkpoint(self, position: Position, payload: bytes) -> None:
        """Makes a checkpoint the newest one, on the disk, and lets go of the records before its position.

        Raises OSError. Then the one before is the newest; after a power cut either may be, so that nothing is let go.
        """
        checkpoint = Checkpoint(self.checkpoint.counter + 1, position, payload)
        place = PAGE * (checkpoint.counter & 1)
        try:
            if os.pwrite(self._fd, _pack_slot(checkpoint, self.size), place) != PAGE:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            fdatasync(self._fd)
        except OSError:
            with suppress(OSError):
                os.pwrite(self._fd, bytes(PAGE), place)
            raise
        self.checkpoint = checkpoint
        self._tail = position.place

    def begin_chain(self) -> None:
        """What is appended from now on follows from nothing that an earlier run wrote. A checkpoint must come next."""
        position = self.position
        seed = crc32(_NUMBERS.pack(position.sequence, self.checkpoint.counter), position.chain ^ _NEW_CHAIN)
        self.position = Position(position.place, position.sequence, seed)

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._fd)


class NotWhole(Exception):
    """A file is no ring, or nothing says where its records begin."""


def ring_size(size: int) -> int:
    """The size that a ring file of about `size` bytes has."""
    return max(size // PAGE * PAGE, SMALLEST)


def make_ring(path: str, size: int, sequence: int, payload: bytes) -> None:
    """Makes a ring file of about `size` bytes whose first checkpoint has `payload`, and gives it its name.

    Whoever finds the name finds it whole; the name itself is not synced yet. Raises OSError.
    """
    size = ring_size(size)
    partial = path + ".new"
    fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        checkpoint = Checkpoint(1, Position(FIRST, sequence, 0), payload)
        _write(fd, bytes(PAGE) + _pack_slot(checkpoint, size))
        left = size - FIRST
        while left > 0:
            _write(fd, _ZEROS[:left])
            left -= len(_ZEROS)
        os.fsync(fd)
        os.rename(partial, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial)
        raise
    finally:
        os.close(fd)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _pack_slot(checkpoint: Checkpoint, size: int) -> bytes:
    position = checkpoint.position
    raw = _SLOT.pack(
        _SLOT_MAGIC,
        checkpoint.counter,
        position.place,
        position.sequence,
        position.chain,
        size,
        len(checkpoint.payload),
    )
    raw += checkpoint.payload
    return (raw + _CRC.pack(crc32(raw))).ljust(PAGE, b"\0")


def _counter(checkpoint: Checkpoint) -> int:
    return checkpoint.counter
