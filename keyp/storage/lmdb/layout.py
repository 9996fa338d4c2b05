"""Bytes on disk, format 2: pure functions between Keyp's terms and what LMDB keeps. Nothing here opens anything.

A *space* is a numbered set of three sub-databases that together hold one Redis database; `meta` says which space
each database uses, so that FLUSHDB and SWAPDB are a change of that list, whatever the size of what they move.

    keys:S      stored name                 -> record
    elements:S  collection id + place       -> a piece of the value that the record's header stands for
    expiry:S    deadline + stored name      -> nothing
    garbage     what is left to clear       -> checksum     (a space, a collection of a space, or a part of one)
    meta        a name                      -> a number or a list of them, and checksum

Stored name. LMDB keys hold 1 to 511 bytes, Redis names 0 to 512 MiB. A name of 1 to 479 bytes is stored as it is;
every other one as its first 448 bytes, filled up with zeros, and the 32-byte BLAKE2b digest of all of it: 480 bytes,
which no name that is stored as it is can have. The rest of the 511 is for what indexes put in front of a name.

Record. One byte of type and flags, then the fields the flags announce, then the body:

    type | flags    1
    version         8    of the last write command that touched the key
    deadline        8    milliseconds since 1970, if HAS_DEADLINE
    name length     4    and the whole name, if LONG_NAME
    body                 a short string itself; with HAS_ELEMENTS a collection id (8), a count (8) and whatever
                         the type keeps besides
    checksum        4

Checksum. LMDB keeps none, so records, pieces of values, the garbage and the store's own numbers carry their own: the
CRC-32 of the LMDB key and all that stands before the checksum, little-endian. Only the format's number in `meta` has
none. A byte that has changed on the disk, or a value that stands under another key, is found when it is read. (A
CRC-32 over data and its own CRC-32 is a constant, so a look need not take them apart.)

Hole. The entry of a piece of a string that is all zeros holds no data, only the CRC-32 of its LMDB key and the word
`hole`. It is not the checksum of an empty piece, so that a Keyp that does not know of holes takes it for damage and
not for an empty piece.

All other numbers are big-endian, so that the order of bytes is the order of numbers.
"""

from __future__ import annotations

import zlib
from hashlib import blake2b
from itertools import starmap
from operator import add
from typing import Final

FORMAT: Final = 2
FORMATS: Final = (1, 2)  # those that can be read; 1 is the same without a journal

TYPE_MASK: Final = 0x07  # the number of the value's type (`keyp.storage.value_types`)
FLOAT: Final = 0x08  # a string that INCRBYFLOAT has written, which looks like an integer; for OBJECT ENCODING
HAS_DEADLINE: Final = 0x10
LONG_NAME: Final = 0x20
HAS_ELEMENTS: Final = 0x40
EDITED: Final = 0x80  # a string that APPEND or SETRANGE has changed in place; for OBJECT ENCODING
OF_VALUE: Final = FLOAT | HAS_ELEMENTS | EDITED  # the flags that go with a value wherever it goes

RAW_NAME_MAX: Final = 479
STORED_NAME_MAX: Final = 480
LONG_NAME_PREFIX: Final = 448  # of a long name, the bytes before the digest

# The header without optional fields: type and flags, version.
HEADER: Final = 9

NO_DEADLINE: Final = 0

NUMBER: Final = 8  # bytes of one number

ONE_PAGE_MAX: Final = 4096 - 16  # bytes of a record or a piece that takes no more than a page of its own

crc32: Final = zlib.crc32  # compiled, a constant is found at once, an imported name by its text

CHECKSUM: Final = 4
_RESIDUE: Final = 0x2144DF1C  # what CRC-32 makes of anything followed by its own CRC-32
_HOLE: Final = b"hole"
_SHORT: Final = 512  # bytes that are copied sooner than a second look is taken


def stored_name(name: bytes) -> bytes:
    """The LMDB key that stands for `name`: 1 to 480 bytes, different for different names."""
    if 0 < len(name) <= RAW_NAME_MAX:
        return name
    return name[:LONG_NAME_PREFIX].ljust(LONG_NAME_PREFIX, b"\0") + blake2b(name, digest_size=32).digest()


def number(value: int) -> bytes:
    """Eight bytes whose order is the order of numbers, for 0 <= value < 2**64."""
    return value.to_bytes(8, "big")


def read_number(data: bytes, offset: int = 0) -> int:
    """The number that `number` wrote at `offset`."""
    return int.from_bytes(data[offset : offset + 8], "big")


def with_checksum(name: bytes, data: bytes) -> bytes:
    """`data` and its checksum, to be stored under the LMDB key `name`."""
    return data + crc32(data, crc32(name)).to_bytes(CHECKSUM, "little")


def read_checksum(raw: bytes) -> int:
    """The CRC-32 at the end of what `with_checksum` made."""
    return int.from_bytes(raw[-CHECKSUM:], "little")


def is_intact(name: bytes, raw: bytes) -> bool:
    """Whether `raw` is, to the last bit, what `with_checksum` made for `name`."""
    if len(raw) <= _SHORT:
        return crc32(name + raw) == _RESIDUE
    return crc32(raw, crc32(name)) == _RESIDUE


def name_crc(name: bytes) -> int:
    """The CRC-32 of a key's stored name, with which the checksum of its record begins."""
    return crc32(stored_name(name))


def is_intact_behind(name_crc: int, raw: bytes) -> bool:
    """`is_intact`, for who knows the CRC-32 of the name already."""
    return crc32(raw, name_crc) == _RESIDUE


def are_intact(entries: list[tuple[bytes, bytes]]) -> bool:
    """`is_intact` of many short entries, LMDB keys and data with checksum, faster than one by one."""
    return set(map(crc32, starmap(add, entries))) <= {_RESIDUE}


def hole(name: bytes) -> bytes:
    """What stands under the LMDB key `name` for a piece of nothing but zeros; `is_intact` refuses it."""
    return crc32(_HOLE, crc32(name)).to_bytes(CHECKSUM, "little")


def is_intact_or_hole(name: bytes, raw: bytes) -> bool:
    """Whether an entry is what was written, as an entry or as a hole: of a neighbour it is not known which it is."""
    return is_intact(name, raw) or (len(raw) == CHECKSUM and raw == hole(name))


def make_record(
    stored: bytes, name: bytes, type_: int, flags: int, version: int, deadline_ms: int, body: bytes
) -> bytes:
    """The record of a key. `flags` are those of OF_VALUE; the others follow from the rest."""
    head = version.to_bytes(8, "big")
    if deadline_ms != NO_DEADLINE:
        flags |= HAS_DEADLINE
        head += deadline_ms.to_bytes(8, "big")
    if len(stored) == STORED_NAME_MAX:
        flags |= LONG_NAME
        head += len(name).to_bytes(4, "big") + name
    return with_checksum(stored, (type_ | flags).to_bytes(1, "big") + head + body)


def record_type(record: bytes) -> int:
    """The number of the type of value a record holds: STRING, LIST …"""
    return record[0] & TYPE_MASK


def record_version(record: bytes) -> int:
    """The version of the write command that last touched the key."""
    return int.from_bytes(record[1:9], "big")


def record_deadline_ms(record: bytes) -> int:
    """The deadline in milliseconds since 1970, or NO_DEADLINE."""
    if record[0] & HAS_DEADLINE:
        return int.from_bytes(record[9:17], "big")
    return NO_DEADLINE


def body_offset(record: bytes) -> int:
    """Where the body of a record starts."""
    flags = record[0]
    offset = HEADER
    if flags & HAS_DEADLINE:
        offset += 8
    if flags & LONG_NAME:
        offset += 4 + int.from_bytes(record[offset : offset + 4], "big")
    return offset


def record_body(record: bytes) -> bytes:
    """The body of a record."""
    return record[body_offset(record) : -CHECKSUM]


def record_name(stored: bytes, record: bytes) -> bytes:
    """The key's whole name, from its stored name and its record."""
    flags = record[0]
    if not flags & LONG_NAME:
        return stored
    offset = HEADER + 8 if flags & HAS_DEADLINE else HEADER
    length = int.from_bytes(record[offset : offset + 4], "big")
    return record[offset + 4 : offset + 4 + length]


def record_elements(record: bytes) -> tuple[int, int]:
    """Collection id and count, from a record with HAS_ELEMENTS."""
    offset = body_offset(record)
    return read_number(record, offset), read_number(record, offset + 8)


def expiry_entry(deadline_ms: int, stored: bytes) -> bytes:
    """The key under which the expiry index holds a deadline."""
    return deadline_ms.to_bytes(8, "big") + stored


def space_garbage(space: int) -> bytes:
    """The garbage entry of a whole space that no database uses any more."""
    return b"s" + number(space)


def elements_garbage(space: int, collection: int) -> bytes:
    """The garbage entry of one collection's elements; with the beginning of their places behind it, of some of them."""
    return b"e" + number(space) + number(collection)


def range_garbage(space: int, collection: int, section: bytes, stop: bytes) -> bytes:
    """The garbage entry of what stands before the place `stop` in a section of a collection."""
    return b"r" + number(space) + number(collection) + section + stop


def pack_numbers(values: list[int]) -> bytes:
    """A list of numbers as one value of `meta`."""
    return b"".join([number(value) for value in values])


def unpack_numbers(data: bytes) -> list[int]:
    """The list that `pack_numbers` wrote."""
    return [read_number(data, offset) for offset in range(0, len(data), 8)]
