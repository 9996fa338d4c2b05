"""Commands on bits over pieces of the store, and the same answers found bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyp.commands.bits import combine, count_bits, find_bit
from keyp.storage.keys.keyspace import Keyspace
from keyp.storage.lmdb.pieces import PIECE_BYTES
from keyp.storage.lmdb.transaction import ReadTransaction
from tests.fakes import Lab


@pytest.mark.parametrize("call", ["SETBIT k 7 1", "BITFIELD k SET u8 0 49", "BITFIELD k OVERFLOW FAIL SET u8 0 999"])
def test_what_leaves_a_string_as_it_was_shows_only_in_the_encoding(keyp: Any, call: str) -> None:
    keyp.script("SET k 12 PX 100")
    version = version_of(keyp, b"k")
    assert keyp.script(f"{call}; OBJECT ENCODING k") == b"raw"
    assert version_of(keyp, b"k") == version
    assert [keyp.answer("GET k"), keyp.answer("PTTL k")] == [b"12", 100]


def version_of(keyp: Any, key: bytes) -> int:
    with ReadTransaction(keyp.environment, keyp.now_ms) as snapshot:
        return Keyspace(snapshot, keyp.selected).version(key)


def test_bits_of_long_strings(keyp: Any) -> None:
    length = 3 * PIECE_BYTES + 5
    keyp.run("SET", "k", b"\x01" * length)
    for place in (0, PIECE_BYTES - 1, PIECE_BYTES, 2 * PIECE_BYTES, length - 1):
        assert keyp.run("GETBIT", "k", place * 8 + 7) == 1
        assert keyp.run("SETBIT", "k", place * 8, 1) == 0
        assert keyp.run("GETRANGE", "k", place, place) == b"\x81"
    assert keyp.run("BITCOUNT", "k") == length + 5
    assert keyp.run("BITCOUNT", "k", PIECE_BYTES - 2, PIECE_BYTES + 1) == 6
    assert keyp.run("BITPOS", "k", 1, PIECE_BYTES * 8 + 1, -1, "BIT") == PIECE_BYTES * 8 + 7
    assert keyp.run("SETBIT", "k", (length + PIECE_BYTES) * 8, 1) == 0
    assert keyp.run("STRLEN", "k") == length + PIECE_BYTES + 1
    assert keyp.run("BITPOS", "k", 1, length) == (length + PIECE_BYTES) * 8
    assert keyp.run("BITOP", "NOT", "n", "k") == length + PIECE_BYTES + 1
    assert keyp.run("BITOP", "XOR", "x", "n", "k") == length + PIECE_BYTES + 1
    assert keyp.run("BITCOUNT", "x") == (length + PIECE_BYTES + 1) * 8
    assert keyp.run("BITPOS", "x", 0) == (length + PIECE_BYTES + 1) * 8
    assert keyp.run("BITPOS", "x", 0, 0, -1) == -1


@pytest.mark.parametrize("command", ["BITCOUNT k", "BITPOS k 1"])
def test_long_looks_keep_nobody_waiting(tmp_path: Path, command: str) -> None:
    """They run on a reader's thread; a short string is looked at at once."""
    lab = Lab(tmp_path)
    client = lab.connect()
    client.call("SETBIT k 8000 1")
    client.call(command)
    assert lab.reader_threads.done == 0
    client.call("SETBIT k 8000000 1")
    client.call(command)
    assert lab.reader_threads.done == 1
    lab.close()


def as_bits(data: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in data)


@st.composite
def ranges(draw: st.DrawFn) -> tuple[bytes, int, int, list[bytes]]:
    """Bytes, the first and last bit of a range within, and the bytes that hold it, in parts."""
    data = draw(st.one_of(st.binary(min_size=1, max_size=20), st.sampled_from([b"\0" * 9, b"\xff" * 9, b"\0\0\x10"])))
    first = draw(st.integers(0, len(data) * 8 - 1))
    last = draw(st.integers(first, len(data) * 8 - 1))
    start, stop = first >> 3, (last >> 3) + 1
    cut = draw(st.integers(start, stop))
    return data, first, last, [part for part in (data[start:cut], data[cut:stop]) if part]


@given(ranges())
def test_counting(case: tuple[bytes, int, int, list[bytes]]) -> None:
    data, first, last, parts = case
    assert count_bits(iter(parts), first, last) == as_bits(data)[first : last + 1].count("1")


@given(ranges(), st.sampled_from([0, 1]))
def test_finding(case: tuple[bytes, int, int, list[bytes]], bit: int) -> None:
    data, first, last, parts = case
    assert find_bit(iter(parts), first, last, bit) == as_bits(data).find(str(bit), first, last + 1)


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=4))
def test_combining(parts: list[bytes]) -> None:
    length = max(map(len, parts))
    columns = list(zip(*[part.ljust(length, b"\0") for part in parts], strict=True))
    together, either, odd = bytearray(), bytearray(), bytearray()
    for column in columns:
        one, two, three = 255, 0, 0
        for byte in column:
            one, two, three = one & byte, two | byte, three ^ byte
        together.append(one)
        either.append(two)
        odd.append(three)
    assert combine(b"AND", [*parts], length) == bytes(together)
    assert combine(b"OR", [*parts], length) == bytes(either)
    assert combine(b"XOR", [*parts], length) == bytes(odd)
    assert combine(b"NOT", [*parts[:1]], len(parts[0])) == bytes(byte ^ 255 for byte in parts[0])
