"""Deadlines by a clock that stands still: to the millisecond, and past it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.commands.conftest import Keyp

SCRIPTS = {
    "counted from now": [
        ("SET a 1", "OK"),
        ("EXPIRE a 10", 1),
        ("PTTL a", 10_000),
        ("PEXPIRE a 2500", 1),
        ("PTTL a", 2500),
    ],
    "seconds are rounded, halves up": [
        ("SET a 1", "OK"),
        ("PEXPIRE a 1499", 1),
        ("TTL a", 1),
        ("PEXPIRE a 1500", 1),
        ("TTL a", 2),
        ("PEXPIRE a 499", 1),
        ("TTL a", 0),
    ],
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_script(keyp: Keyp, script: list[tuple[str, Any]]) -> None:
    for line, expected in script:
        assert (line, keyp.answer(line)) == (line, expected)


def test_a_deadline_of_now_removes_and_one_later_does_not(keyp: Keyp) -> None:
    now_ms = keyp.now_us // 1000
    keyp.run("SET", "a", "1")
    assert keyp.run("PEXPIREAT", "a", str(now_ms + 1)) == 1
    assert keyp.run("PTTL", "a") == 1
    assert keyp.run("PEXPIREAT", "a", str(now_ms)) == 1
    assert keyp.run("EXISTS", "a") == 0


def test_a_key_lives_up_to_its_deadline_and_the_whole_millisecond(keyp: Keyp) -> None:
    keyp.run("SET", "a", "1")
    keyp.run("PEXPIRE", "a", "100")
    keyp.now_us += 100_999
    assert keyp.run("PTTL", "a") == 0
    assert keyp.run("TTL", "a") == 0
    keyp.now_us += 1
    assert keyp.run("PTTL", "a") == -2
    assert keyp.run("PERSIST", "a") == 0
    assert keyp.run("EXPIRE", "a", "10") == 0


def test_names_too_long_for_the_store_have_deadlines_too(keyp: Keyp) -> None:
    name = b"n" * 600
    keyp.run("SET", name, "1")
    assert keyp.run("EXPIRE", name, "10") == 1
    assert keyp.run("TTL", name) == 10
    keyp.now_us += 11_000_000
    assert keyp.run("TTL", name) == -2


def test_size_counts_the_dead_until_they_are_removed(keyp: Keyp) -> None:
    keyp.run("SET", "a", "1", "PX", "1000")
    keyp.now_us += 2_000_000
    assert keyp.run("DBSIZE") == 1
    assert keyp.run("DEL", "a") == 0
    assert keyp.run("DBSIZE") == 0
