"""The CRC-64 at the end of what DUMP and FUNCTION DUMP give: Jones' polynomial, reflected, beginning with 0."""

from __future__ import annotations

from typing import Final

POLYNOMIAL: Final = 0x95AC9329AC4BC9B5  # 0xAD93D23594C935A9, its bits in reverse


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
    return byte


TABLE: Final = [_entry(byte) for byte in range(256)]


def crc64(data: bytes) -> int:
    """The checksum of `data`."""
    crc = 0
    table = TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc
