"""Commands on bits: rows that a real server answered the same way, and the same answers found bit by bit."""

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

SYNTAX = "ERR syntax error"
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
BAD_OFFSET = "ERR bit offset is not an integer or out of range"
BAD_BIT = "ERR bit is not an integer or out of range"
ONE_OR_ZERO = "ERR The bit argument must be 1 or 0."
LAST_BIT = 8 * 512 * 1024 * 1024 - 1

ONE_BIT = [
    ("SETBIT k 7 1", 0),
    ("SETBIT k 7 1; SETBIT k 7 0", 1),
    ("SETBIT k 7 1; GET k", b"\x01"),
    ("SETBIT k 0 1; GET k", b"\x80"),
    ("SETBIT k 17 0; GET k", b"\0\0\0"),
    ("SET k a; SETBIT k 6 1; GET k", b"c"),
    ("SET k a; SETBIT k 23 1; GET k", b"a\0\x01"),
    ("GETBIT k 0", 0),
    ("SET k a; GETBIT k 0", 0),
    ("SET k a; GETBIT k 1", 1),
    ("SET k a; GETBIT k 8", 0),
    (f"SET k a; GETBIT k {LAST_BIT}", 0),
    ("SET k 12; SETBIT k 7 0; OBJECT ENCODING k", b"raw"),
    ("SETBIT k 0 0; OBJECT ENCODING k", b"raw"),
    (f"GETBIT k {LAST_BIT + 1}", BAD_OFFSET),
    (f"SETBIT k {LAST_BIT + 1} 1", BAD_OFFSET),
    ("SETBIT k -1 1", BAD_OFFSET),
    ("SETBIT k #1 1", BAD_OFFSET),
    ("SETBIT k x x", BAD_OFFSET),
    ("SETBIT k 1 2", BAD_BIT),
    ("SETBIT k 1 -1", BAD_BIT),
    ("SETBIT k 1 x", BAD_BIT),
    ("SETBIT k 1 x; EXISTS k", 0),
    ("SETBIT k 1", "ERR wrong number of arguments for 'setbit' command"),
]

MANY_BITS = [
    ("BITCOUNT k", 0),
    ("SET k foobar; BITCOUNT k", 26),
    ("SET k foobar; BITCOUNT k 1 1", 6),
    ("SET k foobar; BITCOUNT k 1 1 BYTE", 6),
    ("SET k foobar; BITCOUNT k 5 30 BIT", 17),
    ("SET k foobar; BITCOUNT k -1 -3", 0),
    ("SET k foobar; BITCOUNT k -99 -98", 4),
    ("SET k foobar; BITCOUNT k -98 -99", 0),
    ("SET k foobar; BITCOUNT k 6 9", 0),
    ("BITCOUNT k x 0", NOT_AN_INTEGER),
    ("BITCOUNT k 0 x XX", NOT_AN_INTEGER),
    ("BITCOUNT k 0 0 XX", SYNTAX),
    ("BITCOUNT k 0", SYNTAX),
    ("BITCOUNT k 0 0 BIT BIT", SYNTAX),
    ("BITPOS k 0", 0),
    ("BITPOS k 1", -1),
    ("SET k ''; BITPOS k 0", -1),
    ("SET k ab; BITPOS k 1", 1),
    ("SET k ab; BITPOS k 1 1", 9),
    ("SET k ab; BITPOS k 1 2", -1),
    ("SET k ab; BITPOS k 1 3 -1 BIT", 7),
    ("SET k ab; BITPOS k 1 3 6 BIT", -1),
    ("SET k ab; BITPOS k 0 1 2 BIT", -1),
    ("SET k ab; BITPOS k 0 1 3 bit", 3),
    ("BITPOS k 2", ONE_OR_ZERO),
    ("BITPOS k x", NOT_AN_INTEGER),
    ("BITPOS k 0 x", NOT_AN_INTEGER),
    ("BITPOS k 0 0 x", NOT_AN_INTEGER),
    ("BITPOS k 0 0 x XX", SYNTAX),
    ("BITPOS k 0 0 0 BIT x", SYNTAX),
    ("BITFIELD k SET u16 0 65535; BITPOS k 0", 16),
    ("BITFIELD k SET u16 0 65535; BITPOS k 0 1", 16),
    ("BITFIELD k SET u16 0 65535; BITPOS k 0 0 -1", -1),
    ("BITFIELD k SET u16 0 65535; BITPOS k 0 2", -1),
]

COMBINED = [
    ("MSET a abc b 12345; BITOP AND d a b; GET d", b"!\x22\x23\0\0"),
    ("MSET a abc b 12345; BITOP or d a b; GET d", b"qrs45"),
    ("MSET a abc b 12345; BITOP XOR d a b; GET d", b"PPP45"),
    ("MSET a abc b 12345; BITOP XOR d a b", 5),
    ("SET a abc; BITOP NOT d a; GET d", b"\x9e\x9d\x9c"),
    ("SET a abc; BITOP AND d a nosuch; GET d", b"\0\0\0"),
    ("SET a abc; BITOP OR a a nosuch; GET a", b"abc"),
    ("SET a 12; BITOP OR d a; OBJECT ENCODING d", b"raw"),
    ("SET d x EX 9; SET a y; BITOP OR d a; TTL d", -1),
    ("SET d x; BITOP OR d nosuch", 0),
    ("SET d x; BITOP OR d nosuch; EXISTS d", 0),
    ("BITOP NAND d a", SYNTAX),
    ("BITOP NOT d a b", "ERR BITOP NOT must be called with a single source key."),
]


@pytest.mark.parametrize(("script", "expected"), ONE_BIT + MANY_BITS + COMBINED)
def test_reply(keyp: Any, script: str, expected: Any) -> None:
    assert keyp.script(script) == expected


@pytest.mark.parametrize(
    "command",
    ["SETBIT l 0 1", "GETBIT l 0", "BITCOUNT l", "BITCOUNT l 0 -1", "BITPOS l 0", "BITOP NOT d l", "BITOP OR d k l"],
)
def test_wrong_type(keyp: Any, command: str) -> None:
    keyp.plant_list(b"l")
    keyp.script("SET d old; SET k v")
    assert keyp.answer(command) == WRONG_TYPE
    assert keyp.script("GET d") == b"old"


def test_arguments_come_before_the_type(keyp: Any) -> None:
    keyp.plant_list(b"l")
    assert keyp.answer("SETBIT l 0 2") == BAD_BIT
    assert keyp.answer("GETBIT l x") == BAD_OFFSET
    assert keyp.answer("BITCOUNT l x 1") == NOT_AN_INTEGER
    assert keyp.answer("BITPOS l 2") == ONE_OR_ZERO


def test_the_target_may_be_of_any_kind(keyp: Any) -> None:
    keyp.plant_list(b"l")
    assert keyp.script("SET a x; BITOP OR l a") == 1
    assert keyp.script("GET l") == b"x"
    keyp.plant_list(b"m")
    assert keyp.script("BITOP OR m nosuch") == 0
    assert keyp.script("EXISTS m") == 0


def test_the_longest_string_is_the_limit(keyp: Any) -> None:
    keyp.shared.max_string_bytes = 10
    assert keyp.script("SETBIT k 80 1") == BAD_OFFSET
    assert keyp.script("SETBIT k 79 1") == 0
    assert keyp.script("STRLEN k") == 10


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
