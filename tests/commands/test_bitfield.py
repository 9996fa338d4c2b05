"""BITFIELD over pieces of the store, and the same changes made bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyp.commands.bitfield import BLOCK_BYTES, Field, Window
from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.pieces import PIECE_BYTES
from keyp.storage.lmdb.transaction import WriteTransaction
from keyp.storage.types import strings
from tests.scratch import scratch_directory


def test_long_strings(keyp: Any) -> None:
    length = 2 * PIECE_BYTES
    keyp.run("SET", "k", b"\xaa" * length)
    seam = PIECE_BYTES * 8
    assert keyp.run("BITFIELD", "k", "SET", "i64", seam - 21, -2, "SET", "u9", 0, 1, "GET", "i64", seam - 21)[2] == -2
    assert keyp.run("BITFIELD", "k", "INCRBY", "u8", seam * 2 + 80, 3) == [3]
    assert keyp.run("STRLEN", "k") == length + 11
    expected = int.from_bytes((b"\xaa" * length).ljust(length + 11, b"\0"), "big")
    for offset, bits, value in ((seam - 21, 64, -2), (0, 9, 1), (seam * 2 + 80, 8, 3)):
        shift = (length + 11) * 8 - offset - bits
        mask = ((1 << bits) - 1) << shift
        expected = (expected & ~mask) | (value << shift & mask)
    assert keyp.run("GET", "k") == expected.to_bytes(length + 11, "big")


AREA_BITS = 3 * BLOCK_BYTES * 8
places = st.one_of(
    st.integers(0, AREA_BITS - 64),
    st.sampled_from([1, 2]).flatmap(lambda block: st.integers(-70, 5).map(lambda by: block * BLOCK_BYTES * 8 + by)),
)
fields = st.builds(
    lambda signed, bits, offset: Field(signed, min(bits, 64 if signed else 63), offset),
    st.booleans(),
    st.integers(1, 64),
    places,
)


class Bits:
    """A string as one long number."""

    def __init__(self, data: bytes) -> None:
        self.number = int.from_bytes(data.ljust(AREA_BITS // 8, b"\0"), "big")

    def get(self, field: Field) -> int:
        pattern = self.number >> (AREA_BITS - field.offset - field.bits) & ((1 << field.bits) - 1)
        return pattern - (1 << field.bits) if field.signed and pattern >> (field.bits - 1) else pattern

    def put(self, field: Field, value: int) -> None:
        shift = AREA_BITS - field.offset - field.bits
        mask = ((1 << field.bits) - 1) << shift
        self.number = (self.number & ~mask) | (value << shift & mask)


@pytest.fixture(scope="module")
def environment() -> Iterator[Environment]:
    with scratch_directory() as directory:
        environment = Environment(directory, fsync=NO)
        yield environment
        environment.close()


@given(
    data=st.integers(0, AREA_BITS // 8).flatmap(lambda size: st.sampled_from([bytes(size), b"\xa5" * size])),
    puts=st.lists(st.tuples(fields, st.integers(-(1 << 63), (1 << 63) - 1)), max_size=8),
)
def test_a_window_is_one_long_number(environment: Environment, data: bytes, puts: list[tuple[Field, int]]) -> None:
    transaction = WriteTransaction(environment, 1)
    try:
        transaction.version += 1
        transaction.in_write = True
        keys = WritableKeyspace(transaction, 0)
        strings.put(keys, b"k", data)
        window, model = Window(keys, keys.find(b"k")), Bits(data)
        length = len(data)
        for field, value in puts:
            fitting = field.number(value)
            assert window.get(field) == model.get(field)
            window.put(field, fitting)
            model.put(field, fitting)
            assert window.get(field) == fitting
            length = max(length, (field.offset + field.bits + 7) // 8)
        window.save(keys, b"k", length)
        stored = strings.get(keys, b"k")
        assert stored is not None
        assert len(stored) == length
        assert Bits(stored).number == model.number
    finally:
        transaction.abort()


@given(st.booleans(), st.integers(1, 63), st.integers(-(1 << 62), 1 << 62), st.sampled_from([b"WRAP", b"SAT", b"FAIL"]))
def test_what_fits_and_what_does_not(signed: bool, bits: int, value: int, overflow: bytes) -> None:
    field = Field(signed, bits, 0)
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    fitted = field.fitted(value, overflow, is_set=False)
    if low <= value <= high:
        assert fitted == value
    elif overflow == b"WRAP":
        assert fitted is not None
        assert low <= fitted <= high
        assert (fitted - value) % (1 << bits) == 0
    else:
        assert fitted == ((high if value > high else low) if overflow == b"SAT" else None)
