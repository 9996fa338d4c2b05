"""Keys with names of any length, with values in pieces, past their deadlines, and at random."""

from __future__ import annotations

import pytest

from tests.commands.conftest import Keyp

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
    for line, expected in (
        ("EXISTS a b", 0),
        ("TYPE a", "none"),
        ("RANDOMKEY", b"e"),
        ("DEL a", 0),
        ("RENAME b x", "ERR no such key"),
        ("RENAMENX e c", 1),
        ("COPY d x", 0),
        ("COPY c d", 1),
        ("PTTL d", -1),
    ):
        assert (line, keyp.answer(line)) == (line, expected)


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
