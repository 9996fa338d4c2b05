"""BITFIELD: rows that a real server answered the same way, and the same changes made bit by bit."""

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

SYNTAX = "ERR syntax error"
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
BAD_OFFSET = "ERR bit offset is not an integer or out of range"
BAD_TYPE = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
BAD_OVERFLOW = "ERR Invalid OVERFLOW type specified"
READ_ONLY = "ERR BITFIELD_RO only supports the GET subcommand"
LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("BITFIELD k", []),
        ("BITFIELD k GET u8 0; EXISTS k", 0),
        ("BITFIELD k OVERFLOW SAT; EXISTS k", 0),
        ("SET k a; BITFIELD k GET u8 0 GET i4 4 GET u3 #0 GET u8 4 GET i64 900", [97, 1, 3, 16, 0]),
        ("SET k a; BITFIELD k set u8 0 98 get u8 0", [97, 98]),
        ("BITFIELD k SET i8 #1 -1; GET k", b"\0\xff"),
        ("BITFIELD k SET u5 3 31; GET k", b"\x1f"),
        ("BITFIELD k SET i64 1 -1; GET k", b"\x7f" + b"\xff" * 7 + b"\x80"),
        ("BITFIELD k INCRBY u2 6 1 INCRBY u2 6 3 INCRBY u2 6 -1", [1, 0, 3]),
        ("BITFIELD k INCRBY i8 0 127 INCRBY i8 0 1 INCRBY i8 0 -1", [127, -128, 127]),
        ("BITFIELD k SET u8 0 257 GET u8 0", [0, 1]),
        ("BITFIELD k OVERFLOW SAT SET u8 0 257 GET u8 0 SET u8 0 -1 GET u8 0", [0, 255, 255, 255]),
        ("BITFIELD k OVERFLOW SAT INCRBY u8 0 5 INCRBY u8 0 -9 INCRBY u8 0 999", [5, 0, 255]),
        ("BITFIELD k OVERFLOW SAT INCRBY i8 0 200 INCRBY i8 0 -999", [127, -128]),
        (f"BITFIELD k OVERFLOW SAT SET i8 0 {LOWEST} GET i8 0", [0, 127]),
        (f"BITFIELD k OVERFLOW SAT SET i8 0 {LOWEST + 128} GET i8 0", [0, -128]),
        (f"BITFIELD k SET i64 0 {HIGHEST} INCRBY i64 0 1", [0, LOWEST]),
        (f"BITFIELD k SET i64 0 {HIGHEST} OVERFLOW SAT INCRBY i64 0 1", [0, HIGHEST]),
        ("BITFIELD k OVERFLOW FAIL INCRBY u2 0 4 INCRBY u2 0 3 SET u2 0 4 GET u2 0", [None, 3, None, 3]),
        ("BITFIELD k OVERFLOW fail SET u8 8 256; GET k", b"\0\0"),
        ("BITFIELD k OVERFLOW FAIL SET u2 0 4 OVERFLOW WRAP SET u2 0 5 GET u2 0", [None, 0, 1]),
        ("SET k 12; BITFIELD k SET u8 0 50; OBJECT ENCODING k", b"raw"),
        ("SET k a EX 9; BITFIELD k SET u8 0 66; TTL k", 9),
        ("BITFIELD k SET u8 #2305843009213693952 7 GET u8 0", [0, 7]),
        ("BITFIELD k GET u0 0", BAD_TYPE),
        ("BITFIELD k GET u64 0", BAD_TYPE),
        ("BITFIELD k GET i65 x", BAD_TYPE),
        ("BITFIELD k GET '' 0", BAD_TYPE),
        ("BITFIELD k GET x8 0", BAD_TYPE),
        ("BITFIELD k GET u8 -1", BAD_OFFSET),
        ("BITFIELD k GET u8 #x", BAD_OFFSET),
        ("BITFIELD k GET u8 #-1", BAD_OFFSET),
        ("BITFIELD k GET u8 4294967296", BAD_OFFSET),
        ("BITFIELD k GET u8 #536870912", BAD_OFFSET),
        ("BITFIELD k GET u8 #536870911", [0]),
        ("BITFIELD k SET u8 0 x", NOT_AN_INTEGER),
        ("BITFIELD k SET u8 x x", BAD_OFFSET),
        ("BITFIELD k GET u8", SYNTAX),
        ("BITFIELD k NOSUCH", SYNTAX),
        ("BITFIELD k OVERFLOW", SYNTAX),
        ("BITFIELD k OVERFLOW x", BAD_OVERFLOW),
        ("BITFIELD k SET u8 0 1 SET u8 0; EXISTS k", 0),
        ("SET k a; BITFIELD_RO k GET u8 0 GET u1 1", [97, 1]),
        ("BITFIELD_RO k", []),
        ("BITFIELD_RO k OVERFLOW SAT GET u8 0", [0]),
        ("BITFIELD_RO k SET u8 0 1", READ_ONLY),
        ("BITFIELD_RO k INCRBY u8 0 1", READ_ONLY),
        ("BITFIELD_RO k SET u8 0 x", NOT_AN_INTEGER),
    ],
)
def test_reply(keyp: Any, script: str, expected: Any) -> None:
    assert keyp.script(script) == expected


def test_a_type_ends_at_a_zero_byte(keyp: Any) -> None:
    assert keyp.answer("BITFIELD k GET", b"u8\0x", 0) == [0]


@pytest.mark.parametrize("command", ["BITFIELD l", "BITFIELD l GET u8 0", "BITFIELD l SET u8 0 1", "BITFIELD_RO l"])
def test_wrong_type(keyp: Any, command: str) -> None:
    keyp.plant_list(b"l")
    assert keyp.answer(command).startswith("WRONGTYPE")


def test_a_field_may_end_behind_the_longest_string(keyp: Any) -> None:
    keyp.shared.max_string_bytes = 10
    assert keyp.script("BITFIELD k SET i64 79 -1") == [0]
    assert keyp.script("STRLEN k") == 18


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
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    environment = Environment(str(tmp_path_factory.mktemp("store")), fsync=NO)
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
