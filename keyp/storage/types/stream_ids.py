"""Ids of a stream's entries: 16 bytes, milliseconds and a sequence number, whose order is the order of the ids."""

from __future__ import annotations

from struct import Struct
from typing import Final

HALF: Final = 8  # bytes of milliseconds, and of a sequence number
ZERO: Final = bytes(2 * HALF)  # 0-0, which no entry has
LARGEST: Final = b"\xff" * (2 * HALF)

HALF_MAX: Final = (1 << 64) - 1

HALVES: Final = Struct(">QQ")  # milliseconds and sequence number


def packed(milliseconds: int, sequence: int) -> bytes:
    """The id of two numbers of 64 bits."""
    entry_id: bytes = HALVES.pack(milliseconds, sequence)
    return entry_id


def milliseconds_of(entry_id: bytes) -> int:
    """The first half of an id."""
    return int.from_bytes(entry_id[:HALF], "big")


def sequence_of(entry_id: bytes) -> int:
    """The second half of an id."""
    return int.from_bytes(entry_id[HALF:], "big")


def text(entry_id: bytes) -> bytes:
    """An id as clients see it: `1526919030474-55`."""
    return b"%d-%d" % HALVES.unpack(entry_id)


def following(entry_id: bytes) -> bytes:
    """The next id; there is none behind LARGEST."""
    return (int.from_bytes(entry_id, "big") + 1).to_bytes(2 * HALF, "big")


def preceding(entry_id: bytes) -> bytes:
    """The id before; there is none before ZERO."""
    return (int.from_bytes(entry_id, "big") - 1).to_bytes(2 * HALF, "big")
