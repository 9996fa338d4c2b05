"""Commands on strings: exact deadlines, and values and names of all lengths."""

from __future__ import annotations

from typing import Any

import pytest

NOW_MS = 1_700_000_000_000

DEADLINES = [
    ("SET k v EX 10", NOW_MS + 10_000),
    ("SET k v PX 10", NOW_MS + 10),
    ("SET k v EX 10 EX 20", NOW_MS + 20_000),
    ("SETEX k 10 v", NOW_MS + 10_000),
    ("PSETEX k 10 v", NOW_MS + 10),
    ("SET k v EX 10; SET k w KEEPTTL", NOW_MS + 10_000),
    ("SET k v; GETEX k EX 10", NOW_MS + 10_000),
    ("SET k v EX 10; GETEX k PX 10", NOW_MS + 10),
    (f"SET k v; GETEX k PXAT {NOW_MS}", -2),
    (f"SET k v; GETEX k PXAT {NOW_MS + 1}", NOW_MS + 1),
]


@pytest.mark.parametrize(("script", "deadline_ms"), DEADLINES)
def test_deadline(keyp: Any, script: str, deadline_ms: int) -> None:
    keyp.script(script)
    assert keyp.answer("PEXPIRETIME k") == deadline_ms


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


def test_only_what_grows_is_measured(keyp: Any) -> None:
    keyp.shared.max_string_bytes = 10
    assert keyp.script("APPEND new 12345678901") == 11


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
