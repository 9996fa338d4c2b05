"""OBJECT ENCODING, REFCOUNT, IDLETIME, FREQ."""

from __future__ import annotations

import pytest

from keyp.commands.object import NO_FREQUENCY
from tests.commands.conftest import Keyp

ENCODINGS = [
    ("0", b"int"),
    ("-1", b"int"),
    ("9223372036854775807", b"int"),
    ("-9223372036854775808", b"int"),
    ("9223372036854775808", b"embstr"),
    ("-0", b"embstr"),
    ("+1", b"embstr"),
    ("007", b"embstr"),
    ("1.5", b"embstr"),
    ("", b"embstr"),
    ("x" * 44, b"embstr"),
    ("x" * 45, b"raw"),
    ("x" * 70_000, b"raw"),
]


@pytest.mark.parametrize(("value", "encoding"), ENCODINGS)
def test_encoding_of_a_value(keyp: Keyp, value: str, encoding: bytes) -> None:
    keyp.run("SET", "a", value)
    assert keyp.run("OBJECT", "ENCODING", "a") == encoding


EDITS = [
    ("SET a 5|APPEND a 6", b"raw"),
    ("SET a 5|SETRANGE a 0 6", b"raw"),
    ("SETRANGE a 0 6", b"raw"),
    ("APPEND a 6", b"int"),
    ("APPEND a word", b"embstr"),
    ("SET a 5|APPEND a 6|INCR a", b"int"),
    ("SET a 5|APPEND a 6|SET a 5", b"int"),
    ("SET a 5|APPEND a 6|GETSET a word", b"embstr"),
    ("SET a 5|APPEND a 6|RENAME a b|RENAME b a", b"raw"),
    ("SET a 5|APPEND a 6|EXPIRE a 100|PERSIST a", b"raw"),
    ("INCRBYFLOAT a 5", b"embstr"),
    ("INCRBYFLOAT a 5|EXPIRE a 100|RENAME a b|COPY b a", b"embstr"),
    ("INCRBYFLOAT a 5|INCR a", b"int"),
    ("INCRBYFLOAT a 5|SET a 5", b"int"),
    ("INCRBYFLOAT a 5|APPEND a 5", b"raw"),
    ("INCRBYFLOAT a 1e50", b"raw"),
    ("SET a 5|SETBIT a 0 0", b"raw"),
    ("SET a 5|SETBIT a 0 0|INCRBY a 0", b"int"),
    ("SET a 5|BITFIELD a SET u8 0 53", b"raw"),
    ("SET a 5|BITFIELD a OVERFLOW FAIL SET u8 0 300", b"raw"),
    ("SET a 5|BITFIELD a GET u8 0 OVERFLOW FAIL", b"int"),
    ("BITFIELD a SET u8 0 53", b"raw"),
    ("SET a 5|BITOP AND a a", b"raw"),
]


@pytest.mark.parametrize(("lines", "encoding"), EDITS)
def test_encoding_after_edits(keyp: Keyp, lines: str, encoding: bytes) -> None:
    for line in lines.split("|"):
        keyp.run(*line.split())
    assert keyp.run("OBJECT", "ENCODING", "a") == encoding


REFERENCES = [
    ("0", 2147483647),
    ("9999", 2147483647),
    ("10000", 1),
    ("-1", 1),
    ("007", 1),
    ("word", 1),
]


@pytest.mark.parametrize(("value", "count"), REFERENCES)
def test_reference_count(keyp: Keyp, value: str, count: int) -> None:
    keyp.run("SET", "a", value)
    assert keyp.run("OBJECT", "REFCOUNT", "a") == count


def test_an_edited_number_is_nobody_elses(keyp: Keyp) -> None:
    keyp.run("SET", "a", "5")
    keyp.run("APPEND", "a", "6")
    assert keyp.run("OBJECT", "REFCOUNT", "a") == 1


def test_uses_are_not_tracked(keyp: Keyp) -> None:
    keyp.run("SET", "a", "5")
    assert keyp.run("OBJECT", "IDLETIME", "a") == 0
    assert keyp.answer("OBJECT FREQ a") == NO_FREQUENCY


@pytest.mark.parametrize("subcommand", ["ENCODING", "REFCOUNT", "IDLETIME", "FREQ"])
def test_a_key_that_is_not_there_is_null(keyp: Keyp, subcommand: str) -> None:
    assert keyp.run("OBJECT", subcommand, "a") is None
    keyp.run("SET", "a", "1", "PX", "1000")
    keyp.now_us += 2_000_000
    assert keyp.run("object", subcommand.lower(), "a") is None


ERRORS = [
    ("OBJECT", "ERR wrong number of arguments for 'object' command"),
    ("OBJECT ENCODING", "ERR wrong number of arguments for 'object|encoding' command"),
    ("OBJECT FREQ a b", "ERR wrong number of arguments for 'object|freq' command"),
    ("OBJECT what a", "ERR unknown subcommand 'what'. Try OBJECT HELP."),
]


@pytest.mark.parametrize(("line", "text"), ERRORS)
def test_errors(keyp: Keyp, line: str, text: str) -> None:
    assert keyp.answer(line) == text


@pytest.mark.parametrize("fill", ["RPUSH k a", "SADD k 1", "SADD k a", "HSET k a 1", "ZADD k 1 a"])
def test_every_kind_has_an_encoding_and_one_reference(keyp: Keyp, fill: str) -> None:
    keyp.answer(fill)
    assert keyp.run("OBJECT", "ENCODING", "k") in (b"listpack", b"intset")
    assert keyp.run("OBJECT", "REFCOUNT", "k") == 1
    assert keyp.run("OBJECT", "IDLETIME", "k") == 0
    assert keyp.answer("OBJECT FREQ k") == NO_FREQUENCY
