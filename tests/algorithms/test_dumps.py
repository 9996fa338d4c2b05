"""CRC-64 and LZF, as Redis's dumps have them. The values are a real server's."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyp.algorithms.crc64 import crc64
from keyp.algorithms.lzf import decompress


def test_crc64() -> None:
    assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA
    assert crc64(b"") == 0


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        (b"", b""),
        (b"\x02abc", b"abc"),
        (b"\x00a\x20\x00", b"aaaa"),
        (b"\x00a\xe0\x05\x00", b"a" * 15),
        (b"\x03abcd\x40\x03", b"abcdabcd"),
    ],
)
def test_lzf(packed: bytes, plain: bytes) -> None:
    assert decompress(packed, len(plain)) == plain


@given(packed=st.binary(max_size=40), length=st.integers(0, 60))
def test_any_bytes_are_read_or_refused(packed: bytes, length: int) -> None:
    with suppress(ValueError):
        assert len(decompress(packed, length)) == length
