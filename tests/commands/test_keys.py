"""DEL, UNLINK, EXISTS, TOUCH, TYPE, RENAME, RENAMENX, COPY, MOVE, RANDOMKEY."""

from __future__ import annotations

from typing import Any

import pytest

from keyp.resp.values import ReplyError
from tests.commands.conftest import Keyp

NO_SUCH_KEY = "ERR no such key"
SAME = "ERR source and destination objects are the same"
NO_DATABASE = "ERR DB index is out of range"
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
NOT_AN_INT = "ERR value is out of range, value must between -2147483648 and 2147483647"
SYNTAX = "ERR syntax error"

SCRIPTS = {
    "DEL counts what was there": [("SET a 1", "OK"), ("SET b 2", "OK"), ("DEL a b a c", 2), ("EXISTS a b", 0)],
    "DELETE is DEL": [("SET a 1", "OK"), ("DELETE a", 1)],
    "UNLINK": [("SET a 1", "OK"), ("UNLINK a a b", 1), ("GET a", None)],
    "EXISTS and TOUCH count a key each time": [
        ("SET a 1", "OK"),
        ("EXISTS a a b", 2),
        ("TOUCH a a b", 2),
        ("EXISTS b", 0),
    ],
    "TYPE": [("SET a 1", "OK"), ("TYPE a", "string"), ("TYPE b", "none")],
    "RENAME": [
        ("SET a 1 PX 5000", "OK"),
        ("SET b 2", "OK"),
        ("RENAME a b", "OK"),
        ("GET b", b"1"),
        ("PTTL b", 5000),
        ("EXISTS a", 0),
        ("DBSIZE", 1),
    ],
    "RENAME forgets the deadline of what it replaces": [
        ("SET a 1", "OK"),
        ("SET b 2 EX 100", "OK"),
        ("RENAME a b", "OK"),
        ("TTL b", -1),
    ],
    "RENAME to itself": [("RENAME a a", NO_SUCH_KEY), ("SET a 1", "OK"), ("RENAME a a", "OK"), ("GET a", b"1")],
    "RENAMENX": [
        ("RENAMENX a b", NO_SUCH_KEY),
        ("SET a 1", "OK"),
        ("RENAMENX a a", 0),
        ("SET b 2", "OK"),
        ("RENAMENX a b", 0),
        ("GET b", b"2"),
        ("RENAMENX a c", 1),
        ("GET c", b"1"),
        ("EXISTS a", 0),
    ],
    "COPY": [
        ("COPY a b", 0),
        ("SET a 1 PX 5000", "OK"),
        ("COPY a b", 1),
        ("GET b", b"1"),
        ("PTTL b", 5000),
        ("GET a", b"1"),
        ("SET a 2", "OK"),
        ("COPY a b", 0),
        ("COPY a b replace", 1),
        ("GET b", b"2"),
        ("TTL b", -1),
    ],
    "COPY to another database": [
        ("SET a 1", "OK"),
        ("COPY a a db 3", 1),
        ("COPY a a DB 3", 0),
        ("COPY a a DB 3 REPLACE", 1),
        ("COPY a c DB 1 DB 2", 1),
        ("SELECT 1", None),
        ("EXISTS c", 0),
        ("SELECT 2", None),
        ("GET c", b"1"),
        ("SELECT 3", None),
        ("GET a", b"1"),
        ("COPY a a DB 3", SAME),
    ],
    "COPY refuses": [
        ("SET a 1", "OK"),
        ("COPY a a", SAME),
        ("COPY b b", SAME),
        ("COPY a b DB 16", NO_DATABASE),
        ("COPY a b DB -1", NO_DATABASE),
        ("COPY a b DB x", NOT_AN_INTEGER),
        ("COPY a b DB 2147483648", NOT_AN_INT),
        ("COPY a b DB", SYNTAX),
        ("COPY a b REPLACE WHAT", SYNTAX),
        ("DBSIZE", 1),
    ],
    "MOVE": [
        ("SET a 1 PX 5000", "OK"),
        ("MOVE b 1", 0),
        ("MOVE a 1", 1),
        ("EXISTS a", 0),
        ("SET a 2", "OK"),
        ("MOVE a 1", 0),
        ("GET a", b"2"),
        ("SELECT 1", None),
        ("GET a", b"1"),
        ("PTTL a", 5000),
    ],
    "MOVE refuses": [
        ("SET a 1", "OK"),
        ("MOVE a 0", SAME),
        ("MOVE b 0", SAME),
        ("MOVE a 16", NO_DATABASE),
        ("MOVE a -1", NO_DATABASE),
        ("MOVE a x", NOT_AN_INTEGER),
        ("MOVE a 2147483648", NOT_AN_INT),
        ("GET a", b"1"),
    ],
    "RANDOMKEY of nothing and of one": [("RANDOMKEY", None), ("SET a 1", "OK"), ("RANDOMKEY", b"a")],
}


def play(keyp: Keyp, script: list[tuple[str, Any]]) -> None:
    """Runs the lines of a script; SELECT is the test's, for it belongs to a client. Each must give its reply."""
    for line, expected in script:
        if line.startswith("SELECT"):
            keyp.select(int(line[7:]))
        else:
            assert (line, keyp.answer(line)) == (line, expected)


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_script(keyp: Keyp, script: list[tuple[str, Any]]) -> None:
    play(keyp, script)


LONG_NAMES = [b"", b"n" * 479, b"n" * 480, b"n" * 5000, b"\0" * 448]


@pytest.mark.parametrize("name", LONG_NAMES, ids=len)
def test_names_of_any_length(keyp: Keyp, name: bytes) -> None:
    assert keyp.run("SET", name, "1", "PX", "5000") == "OK"
    assert keyp.run("RENAME", name, "short") == "OK"
    assert keyp.run("EXISTS", name) == 0
    assert keyp.run("COPY", "short", name) == 1
    assert (keyp.run("GET", name), keyp.run("PTTL", name)) == (b"1", 5000)
    assert keyp.run("MOVE", name, "1") == 1
    keyp.select(1)
    assert keyp.run("RANDOMKEY") == name
    assert keyp.run("DEL", name) == 1


def test_a_value_in_pieces_is_copied_and_moved_and_renamed(keyp: Keyp) -> None:
    value = bytes(range(256)) * 1000
    keyp.run("SET", "a", value)
    assert keyp.run("COPY", "a", "b") == 1
    assert keyp.run("APPEND", "a", "tail") == len(value) + 4
    assert keyp.run("GET", "b") == value
    assert keyp.run("MOVE", "a", "1") == 1
    assert keyp.run("RENAME", "b", "c") == "OK"
    assert keyp.run("GET", "c") == value
    keyp.select(1)
    assert keyp.run("GET", "a") == value + b"tail"


def test_keys_past_their_deadline_are_not_there(keyp: Keyp) -> None:
    for name in ("a", "b", "c", "d"):
        keyp.run("SET", name, "1", "PX", "1000")
    keyp.run("SET", "e", "1")
    keyp.now_us += 1_001_000
    play(
        keyp,
        [
            ("EXISTS a b", 0),
            ("TYPE a", "none"),
            ("RANDOMKEY", b"e"),
            ("DEL a", 0),
            ("RENAME b x", NO_SUCH_KEY),
            ("RENAMENX e c", 1),
            ("COPY d x", 0),
            ("COPY c d", 1),
            ("PTTL d", -1),
        ],
    )


def test_kinds_other_than_strings(keyp: Keyp) -> None:
    keyp.plant_list(b"a")
    play(
        keyp,
        [
            ("TYPE a", "list"),
            ("RENAME a b", "OK"),
            ("TYPE b", "list"),
            ("EXISTS b", 1),
            ("RANDOMKEY", b"b"),
            ("UNLINK b", 1),
            ("EXISTS b", 0),
        ],
    )


def test_random_key_reaches_every_key(keyp: Keyp) -> None:
    names = {b"", b"a", b"aa", b"ab", b"b" * 600}
    for name in names:
        keyp.run("SET", name, "1")
    assert {keyp.run("RANDOMKEY") for _ in range(200)} == names


@pytest.mark.parametrize("living", [b"", b"dead:600:not", b"living"])
def test_random_key_of_many_never_gives_a_dead_one(keyp: Keyp, living: bytes) -> None:
    for index in range(1200):
        keyp.run("SET", f"dead:{index}", "1", "PX", "1000")
    keyp.run("SET", living, "1")
    keyp.now_us += 2_000_000
    assert {keyp.run("RANDOMKEY") for _ in range(20)} == {living}
    keyp.run("DEL", living)
    assert keyp.run("RANDOMKEY") is None


def test_commands_that_fail_write_nothing(keyp: Keyp) -> None:
    keyp.answer("SET a 1 PX 5000")
    for line in ("RENAME b a", "COPY a b DB 99", "MOVE a 99", "COPY a b x", "RENAMENX b c"):
        assert isinstance(keyp.run(*line.split()), ReplyError)
    play(keyp, [("DBSIZE", 1), ("GET a", b"1"), ("PTTL a", 5000)])
