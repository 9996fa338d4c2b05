"""Commands on strings: rows of a script and the reply of its last command, which a real server gave too."""

from __future__ import annotations

from typing import Any

import pytest

SYNTAX = "ERR syntax error"
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
NOW_MS = 1_700_000_000_000


def invalid_time(command: str) -> str:
    return f"ERR invalid expire time in '{command}' command"


def wrong_arity(command: str) -> str:
    return f"ERR wrong number of arguments for '{command}' command"


WHOLE = [
    ("GET k", None),
    ("SET k v", "OK"),
    ("SET k v; GET k", b"v"),
    ("SET '' ''; GET ''", b""),
    ("SET k v; SET k w; GET k", b"w"),
    ("SET k v NX", "OK"),
    ("SET k v; SET k w NX", None),
    ("SET k v; SET k w NX; GET k", b"v"),
    ("SET k v XX", None),
    ("SET k v XX; GET k", None),
    ("SET k v; SET k w xx; GET k", b"w"),
    ("SET k v GET", None),
    ("SET k v; SET k w GET", b"v"),
    ("SET k v; SET k w GET get; GET k", b"w"),
    ("SET k v NX GET", None),
    ("SET k v NX GET; GET k", b"v"),
    ("SET k v; SET k w NX GET", b"v"),
    ("SET k v; SET k w NX GET; GET k", b"v"),
    ("SET k v XX GET", None),
    ("SET k v; SET k w XX GET", b"v"),
    ("SETNX k v", 1),
    ("SET k v; SETNX k w", 0),
    ("SET k v; SETNX k w; GET k", b"v"),
    ("GETSET k v", None),
    ("SET k v; GETSET k w", b"v"),
    ("SET k v; GETSET k w; GET k", b"w"),
    ("GETDEL k", None),
    ("SET k v; GETDEL k", b"v"),
    ("SET k v; GETDEL k; GET k", None),
    ("MSET a 1 b 2; MGET a b c a", [b"1", b"2", None, b"1"]),
    ("MSET a 1 a 2; GET a", b"2"),
    ("MSETNX a 1 b 2", 1),
    ("MSETNX a 1 a 2; GET a", b"2"),
    ("SET b x; MSETNX a 1 b 2", 0),
    ("SET b x; MSETNX a 1 b 2; GET a", None),
]

PARTS = [
    ("APPEND k abc", 3),
    ("SET k abc; APPEND k def", 6),
    ("SET k abc; APPEND k def; GET k", b"abcdef"),
    ("APPEND k ''; GET k", b""),
    ("SET k abc; APPEND k ''", 3),
    ("STRLEN k", 0),
    ("SET k abc; STRLEN k", 3),
    ("GETRANGE k 0 -1", b""),
    ("SET k hello; GETRANGE k 0 -1", b"hello"),
    ("SET k hello; GETRANGE k 1 3", b"ell"),
    ("SET k hello; GETRANGE k -3 -2", b"ll"),
    ("SET k hello; GETRANGE k 3 1", b""),
    ("SET k hello; GETRANGE k -1 -3", b""),
    ("SET k hello; GETRANGE k 3 99", b"lo"),
    ("SET k hello; GETRANGE k 5 9", b""),
    ("SET k hello; GETRANGE k -99 1", b"he"),
    ("SET k hello; GETRANGE k -99 -98", b"h"),
    ("SET k hello; GETRANGE k 0 -99", b"h"),
    ("SET k hello; GETRANGE k 0 9223372036854775807", b"hello"),
    ("SET k hello; GETRANGE k -9223372036854775808 9223372036854775807", b"hello"),
    ("SET k hello; GETRANGE k a 1", NOT_AN_INTEGER),
    ("SET k hello; GETRANGE k 0 1.0", NOT_AN_INTEGER),
    ("SET k hello; SUBSTR k 1 3", b"ell"),
    ("SETRANGE k 0 ''", 0),
    ("SETRANGE k 5 ''; GET k", None),
    ("SETRANGE k 2 x; GET k", b"\0\0x"),
    ("SET k hello; SETRANGE k 1 ipp", 5),
    ("SET k hello; SETRANGE k 1 ipp; GET k", b"hippo"),
    ("SET k hello; SETRANGE k 4 yy; GET k", b"hellyy"),
    ("SET k hello; SETRANGE k 6 y; GET k", b"hello\0y"),
    ("SET k hello; SETRANGE k 99 ''", 5),
    ("SET k hello; SETRANGE k 536870912 ''", 5),
    ("SETRANGE k -1 x", "ERR offset is out of range"),
    ("SETRANGE k -1 ''", "ERR offset is out of range"),
    ("SETRANGE k x x", NOT_AN_INTEGER),
    ("SETRANGE k 536870912 x", TOO_LONG),
    ("SETRANGE k 9223372036854775807 x", TOO_LONG),
]

SYNTAX_ERRORS = [
    ("SET k", wrong_arity("set")),
    ("SET k v NX XX", SYNTAX),
    ("SET k v XX NX", SYNTAX),
    ("SET k v EX", SYNTAX),
    ("SET k v EX 10 PX 10", SYNTAX),
    ("SET k v EX 10 EXAT 10", SYNTAX),
    ("SET k v KEEPTTL EX 10", SYNTAX),
    ("SET k v EX 10 KEEPTTL", SYNTAX),
    ("SET k v PERSIST", SYNTAX),
    ("SET k v IFEQ w", SYNTAX),
    ("SET k v ''", SYNTAX),
    ("SET k v EX ten", NOT_AN_INTEGER),
    ("SET k v EX 1.5", NOT_AN_INTEGER),
    ("SET k v PX ''", NOT_AN_INTEGER),
    ("SET k v EX 0", invalid_time("set")),
    ("SET k v PX -1", invalid_time("set")),
    ("SET k v EXAT 0", invalid_time("set")),
    ("SET k v PXAT -5", invalid_time("set")),
    ("SET k v EX 9223372036854775", invalid_time("set")),
    ("SET k v EX 9223372036854776", invalid_time("set")),
    ("SET k v PX 9223372036854775807", invalid_time("set")),
    ("SET k v EXAT 9223372036854776", invalid_time("set")),
    ("SET k v EXAT 9223372036854775", "OK"),
    ("SET k v PXAT 9223372036854775807", "OK"),
    ("SETEX k 0 v", invalid_time("setex")),
    ("SETEX k x v", NOT_AN_INTEGER),
    ("PSETEX k -1 v", invalid_time("psetex")),
    ("PSETEX k 9223372036854775807 v", invalid_time("psetex")),
    ("GETEX k EX", SYNTAX),
    ("GETEX k NX", SYNTAX),
    ("GETEX k KEEPTTL", SYNTAX),
    ("GETEX k PERSIST EX 10", SYNTAX),
    ("GETEX k EX 10 PERSIST", SYNTAX),
    ("GETEX k EX ten", None),
    ("SET k v; GETEX k EX ten", NOT_AN_INTEGER),
    ("SET k v; GETEX k EX 0", invalid_time("getex")),
    ("SET k v; GETEX k PXAT -1", invalid_time("getex")),
    ("MSET a", wrong_arity("mset")),
    ("MSET a 1 b", wrong_arity("mset")),
    ("MSETNX a 1 b", wrong_arity("msetnx")),
    ("MGET", wrong_arity("mget")),
]


@pytest.mark.parametrize(("script", "expected"), [*WHOLE, *PARTS, *SYNTAX_ERRORS])
def test_reply(keyp: Any, script: str, expected: Any) -> None:
    assert keyp.script(script) == expected


DEADLINES = [
    ("SET k v", -1),
    ("SET k v EX 10", NOW_MS + 10_000),
    ("SET k v PX 10", NOW_MS + 10),
    ("SET k v EXAT 1800000000", 1_800_000_000_000),
    ("SET k v pxat 1800000000123", 1_800_000_000_123),
    ("SET k v EX 10 EX 20", NOW_MS + 20_000),
    ("SET k v NX GET EX 10", NOW_MS + 10_000),
    ("SETEX k 10 v", NOW_MS + 10_000),
    ("PSETEX k 10 v", NOW_MS + 10),
    ("SET k v EX 10; SET k w", -1),
    ("SET k v EX 10; SET k w KEEPTTL", NOW_MS + 10_000),
    ("SET k v; SET k w KEEPTTL", -1),
    ("SET k v EX 10; SET k w EX 20", NOW_MS + 20_000),
    ("SET k v EX 10; SET k w NX", NOW_MS + 10_000),
    ("SET k v EX 10; SET k w GET", -1),
    ("SET k v EX 10; GETSET k w", -1),
    ("SET k v EX 10; SETNX k w", NOW_MS + 10_000),
    ("SET k v EX 10; MSET k w", -1),
    ("SET k v EX 10; APPEND k w", NOW_MS + 10_000),
    ("SET k v EX 10; SETRANGE k 3 w", NOW_MS + 10_000),
    ("SET k 1 EX 10; INCR k", NOW_MS + 10_000),
    ("SET k 1 EX 10; INCRBYFLOAT k 1.5", NOW_MS + 10_000),
    ("SET k v EX 10; GET k", NOW_MS + 10_000),
    ("SET k v EX 10; GETEX k", NOW_MS + 10_000),
    ("SET k v EX 10; GETEX k PERSIST", -1),
    ("SET k v; GETEX k PERSIST", -1),
    ("SET k v; GETEX k EX 10", NOW_MS + 10_000),
    ("SET k v EX 10; GETEX k PX 10", NOW_MS + 10),
    ("SET k v; GETEX k EXAT 1800000000", 1_800_000_000_000),
    ("SET k v; GETEX k PXAT 1800000000123", 1_800_000_000_123),
    # Deadlines in the past.
    ("SET k v EXAT 1", -2),
    ("SET k v; SET k w PXAT 1", -2),
    ("SET k v; GETEX k EXAT 1", -2),
    (f"SET k v; GETEX k PXAT {NOW_MS}", -2),
    # A refused command leaves the deadline as it was.
    ("SET k v EX 10; SET k w EX 0", NOW_MS + 10_000),
    ("SET k v EX 10; GETEX k EX 0", NOW_MS + 10_000),
    ("SET k v EX 10; INCR k", NOW_MS + 10_000),
    ("GETEX k EX 10", -2),
]


@pytest.mark.parametrize(("script", "deadline_ms"), DEADLINES)
def test_deadline(keyp: Any, script: str, deadline_ms: int) -> None:
    keyp.script(script)
    assert keyp.answer("PEXPIRETIME k") == deadline_ms


def test_value_is_given_once_more_by_a_getex_that_removes_it(keyp: Any) -> None:
    keyp.script("SET k v")
    assert keyp.answer("GETEX k EXAT 1") == b"v"
    assert keyp.answer("DBSIZE") == 0


def test_a_key_lives_through_the_millisecond_of_its_deadline(keyp: Any) -> None:
    keyp.script("SET k v PX 10")
    keyp.advance(10)
    assert keyp.answer("GET k") == b"v"
    keyp.advance(1)
    assert keyp.answer("GET k") is None


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("SET k w NX", "OK"),
        ("SET k w XX", None),
        ("SET k w GET", None),
        ("SET k w KEEPTTL; PEXPIRETIME k", -1),
        ("SETNX k w", 1),
        ("MSETNX k w", 1),
        ("GETSET k w", None),
        ("GETDEL k", None),
        ("GETEX k PERSIST", None),
        ("APPEND k w", 1),
        ("SETRANGE k 1 w", 2),
        ("STRLEN k", 0),
        ("GETRANGE k 0 -1", b""),
        ("MGET k", [None]),
        ("INCR k", 1),
    ],
)
def test_an_expired_key_is_no_key(keyp: Any, script: str, expected: Any) -> None:
    keyp.script("SET k 41 PX 10")
    keyp.advance(11)
    assert keyp.script(script) == expected


@pytest.mark.parametrize(
    "command",
    [
        "GET l", "GETEX l", "GETEX l EX 10", "GETEX l EX 0", "GETDEL l", "GETSET l v", "SET l v GET", "SET l v NX GET",
        "APPEND l v", "STRLEN l", "GETRANGE l 0 -1", "SUBSTR l 0 -1", "SETRANGE l 0 v", "SETRANGE l 0 ''",
        "INCR l", "DECRBY l 5", "INCRBYFLOAT l 1", "INCRBYFLOAT l x",
    ],
)  # fmt: skip
def test_wrong_type(keyp: Any, command: str) -> None:
    keyp.plant_list(b"l")
    assert keyp.answer(command) == WRONG_TYPE
    assert keyp.answer("TYPE l") == "list"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("SET l v", "OK"),
        ("SET l v NX", None),
        ("SET l v XX", "OK"),
        ("SETEX l 10 v", "OK"),
        ("SETNX l v", 0),
        ("MSET l v", "OK"),
        ("MSETNX l v", 0),
        ("MGET l", [None]),
        ("SETRANGE l -1 v", "ERR offset is out of range"),
        ("GETRANGE l a b", NOT_AN_INTEGER),
        ("SET l v EX 0 GET", invalid_time("set")),
    ],
)
def test_a_key_of_another_kind_is_no_obstacle(keyp: Any, command: str, expected: Any) -> None:
    keyp.plant_list(b"l")
    assert keyp.answer(command) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("APPEND k 123456", 10),
        ("APPEND k 1234567", TOO_LONG),
        ("APPEND new 12345678901", 11),  # only what grows is measured
        ("SETRANGE k 9 x", 10),
        ("SETRANGE k 10 x", TOO_LONG),
        ("SETRANGE new 10 x", TOO_LONG),
        ("SETRANGE k 11 ''", 4),
    ],
)
def test_longest_string(keyp: Any, command: str, expected: Any) -> None:
    keyp.shared.max_string_bytes = 10
    keyp.script("SET k 1234")
    assert keyp.answer(command) == expected
    if expected == TOO_LONG:
        assert keyp.script("MGET k new") == [b"1234", None]


def test_bytes_of_all_values_survive(keyp: Any) -> None:
    everything = bytes(range(256))
    keyp.run("SET", everything, everything)
    assert keyp.run("GET", everything) == everything


@pytest.mark.parametrize("length", [0, 65_519, 65_520, 65_521, 131_040, 131_041, 300_000])
def test_long_values(keyp: Any, length: int) -> None:
    value = (b"0123456789" * (length // 10 + 1))[:length]
    keyp.run("SET", "k", value)
    assert keyp.run("GET", "k") == value
    assert keyp.run("STRLEN", "k") == length
    assert keyp.run("APPEND", "k", "tail") == length + 4
    assert keyp.run("GETRANGE", "k", -6, -1) == (value + b"tail")[-6:]
    assert keyp.run("SETRANGE", "k", length // 2, "patch") == max(length + 4, length // 2 + 5)
    edited = bytearray(value + b"tail")
    edited[length // 2 : length // 2 + 5] = b"patch"
    assert keyp.run("GETDEL", "k") == bytes(edited)
    keyp.sweep()
    assert keyp.answer("DBSIZE") == 0


def test_names_of_all_lengths(keyp: Any) -> None:
    names = [b"n" * length for length in (0, 1, 447, 448, 479, 480, 481, 511, 512, 100_000)]
    for number, name in enumerate(names):
        assert keyp.run("SET", name, number, "PX", 1000 + number) == "OK"
    assert keyp.run("MGET", *names) == [b"%d" % number for number in range(len(names))]
    for name in names:
        assert keyp.run("GETEX", name, "PERSIST") is not None
    assert keyp.run("DBSIZE") == len(names)


def test_databases_are_apart(keyp: Any) -> None:
    keyp.script("SET k zero")
    keyp.select(1)
    assert keyp.answer("GET k") is None
    keyp.script("SET k one")
    keyp.select(0)
    assert keyp.answer("GET k") == b"zero"
