"""The payload of FUNCTION DUMP and FUNCTION RESTORE: the texts of libraries as in a dump file of Redis (RDB).

For each library an opcode and its text as a string of that format, then the format's version in two bytes and a CRC-64
in eight, both little-endian. Strings are written as they are; those that Redis has compressed are read as well.
"""

from __future__ import annotations

from typing import Final

from keyp.algorithms.crc64 import crc64
from keyp.algorithms.lzf import decompress
from keyp.errors import CommandError

RDB_VERSION: Final = 11  # that of Redis 7.2
OPCODE: Final = 0xF5
FOOTER: Final = 10

BAD_PAYLOAD: Final = "ERR DUMP payload version or checksum are wrong"
NOT_A_FUNCTION: Final = "ERR given type is not a function"
UNREADABLE: Final = "ERR failed loading functions"  # what is whole, and no library


def dump(texts: list[bytes]) -> bytes:
    """The payload of these texts."""
    body = b"".join([bytes([OPCODE]) + _length(len(text)) + text for text in texts]) + RDB_VERSION.to_bytes(2, "little")
    return body + crc64(body).to_bytes(8, "little")


def _length(length: int) -> bytes:
    if length < 1 << 6:
        return bytes([length])
    if length < 1 << 14:
        return bytes([0x40 | length >> 8, length & 0xFF])
    if length < 1 << 32:
        return b"\x80" + length.to_bytes(4, "big")
    return b"\x81" + length.to_bytes(8, "big")


def read_dump(payload: bytes) -> list[bytes]:
    """The texts in a payload. Raises `CommandError`."""
    body = payload[:-FOOTER]
    version = int.from_bytes(payload[-FOOTER:-8], "little")
    if len(payload) < FOOTER or version > RDB_VERSION or not _has_checksum(payload):
        raise CommandError(BAD_PAYLOAD)
    texts: list[bytes] = []
    at = 0
    while at < len(body):
        if body[at] != OPCODE:
            raise CommandError(NOT_A_FUNCTION)
        try:
            text, at = _read_string(body, at + 1)
        except (IndexError, ValueError):
            raise CommandError(UNREADABLE) from None
        texts.append(text)
    return texts


def _has_checksum(payload: bytes) -> bool:
    return crc64(payload[:-8]) == int.from_bytes(payload[-8:], "little")


def _read_string(body: bytes, at: int) -> tuple[bytes, int]:
    first = body[at]
    if first == 0xC3:  # compressed
        packed, at = _read_length(body, at + 1)
        length, at = _read_length(body, at)
        return decompress(_cut(body, at, packed), length), at + packed
    if first >= 0xC0:
        raise ValueError("a number in the place of a text")
    length, at = _read_length(body, at)
    return _cut(body, at, length), at + length


def _read_length(body: bytes, at: int) -> tuple[int, int]:
    first = body[at]
    if first < 0x40:
        return first, at + 1
    if first < 0x80:
        return (first & 0x3F) << 8 | body[at + 1], at + 2
    size = 4 if first == 0x80 else 8
    return int.from_bytes(_cut(body, at + 1, size), "big"), at + 1 + size


def _cut(body: bytes, at: int, length: int) -> bytes:
    if at + length > len(body):
        raise ValueError("it is cut off")
    return body[at : at + length]
