"""EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT; TTL, PTTL, EXPIRETIME, PEXPIRETIME; PERSIST."""

from __future__ import annotations

from typing import Any

import pytest

from tests.commands.conftest import Keyp

NX_ALONE = "ERR NX and XX, GT or LT options at the same time are not compatible"
GT_OR_LT = "ERR GT and LT options at the same time are not compatible"
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
BIGGEST = 2**63 - 1


SCRIPTS = {
    "no such key": [
        ("EXPIRE a 10", 0),
        ("PEXPIREAT a 10", 0),
        ("PERSIST a", 0),
        ("TTL a", -2),
        ("PTTL a", -2),
        ("EXPIRETIME a", -2),
        ("PEXPIRETIME a", -2),
    ],
    "no deadline": [
        ("SET a 1", "OK"),
        ("PERSIST a", 0),
        ("TTL a", -1),
        ("PTTL a", -1),
        ("EXPIRETIME a", -1),
        ("PEXPIRETIME a", -1),
    ],
    "set, replace and take away": [
        ("SET a 1", "OK"),
        ("EXPIRE a 10", 1),
        ("PTTL a", 10_000),
        ("PEXPIRE a 2500", 1),
        ("PTTL a", 2500),
        ("EXPIREAT a 4102444800", 1),
        ("PEXPIRETIME a", 4_102_444_800_000),
        ("PEXPIREAT a 4102444800123", 1),
        ("PEXPIRETIME a", 4_102_444_800_123),
        ("PERSIST a", 1),
        ("PERSIST a", 0),
        ("PTTL a", -1),
        ("GET a", b"1"),
    ],
    "seconds are rounded, halves up": [
        ("SET a 1", "OK"),
        ("PEXPIRE a 1499", 1),
        ("TTL a", 1),
        ("PEXPIRE a 1500", 1),
        ("TTL a", 2),
        ("PEXPIRE a 499", 1),
        ("TTL a", 0),
        ("PEXPIREAT a 4102444800499", 1),
        ("EXPIRETIME a", 4_102_444_800),
        ("PEXPIREAT a 4102444800500", 1),
        ("EXPIRETIME a", 4_102_444_801),
    ],
    "NX": [("SET a 1", "OK"), ("EXPIRE a 10 nx", 1), ("EXPIRE a 20 NX", 0), ("TTL a", 10), ("EXPIRE a 5 NX NX", 0)],
    "XX": [("SET a 1", "OK"), ("EXPIRE a 10 XX", 0), ("EXPIRE a 10", 1), ("EXPIRE a 20 XX", 1), ("TTL a", 20)],
    "GT": [
        ("SET a 1", "OK"),
        ("EXPIRE a 10 GT", 0),
        ("EXPIRE a 10", 1),
        ("EXPIRE a 10 GT", 0),
        ("EXPIRE a 9 GT", 0),
        ("EXPIRE a 11 GT", 1),
        ("EXPIRE a 12 GT XX", 1),
        ("TTL a", 12),
    ],
    "LT": [
        ("SET a 1", "OK"),
        ("EXPIRE a 10 LT XX", 0),
        ("EXPIRE a 10 LT", 1),
        ("EXPIRE a 10 LT", 0),
        ("EXPIRE a 11 LT", 0),
        ("EXPIRE a 9 LT XX", 1),
        ("TTL a", 9),
    ],
    "a condition that fails keeps a key from a deadline in the past": [
        ("SET a 1", "OK"),
        ("EXPIRE a -1 XX", 0),
        ("EXPIRE a 0 GT", 0),
        ("EXISTS a", 1),
        ("EXPIRE a -1 LT", 1),
        ("EXISTS a", 0),
    ],
    "errors come in order": [
        ("SET a 1", "OK"),
        ("EXPIRE a x WHAT", "ERR Unsupported option WHAT"),
        ("EXPIRE a 1 NX GT LT what", "ERR Unsupported option what"),
        ("EXPIRE a x NX XX", NX_ALONE),
        ("EXPIRE a 1 NX GT", NX_ALONE),
        ("EXPIRE a 1 LT NX", NX_ALONE),
        ("EXPIRE a 1 GT LT", GT_OR_LT),
        ("EXPIRE a 1 GT LT XX", GT_OR_LT),
        ("EXPIRE a x", NOT_AN_INTEGER),
        ("EXPIRE b x", NOT_AN_INTEGER),
        ("PEXPIREAT b 9223372036854775808", NOT_AN_INTEGER),
        ("TTL a", -1),
    ],
    "the largest deadline": [
        ("SET a 1", "OK"),
        (f"PEXPIREAT a {BIGGEST}", 1),
        ("PEXPIRETIME a", BIGGEST),
        ("GET a", b"1"),
        ("EXPIREAT a 9223372036854775", 1),
        ("PEXPIRETIME a", 9_223_372_036_854_775_000),
    ],
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_script(keyp: Keyp, script: list[tuple[str, Any]]) -> None:
    for line, expected in script:
        assert (line, keyp.answer(line)) == (line, expected)


OVERFLOWS = [
    ("expire", BIGGEST),
    ("expire", -BIGGEST),
    ("expire", BIGGEST // 1000),
    ("pexpire", BIGGEST),
    ("expireat", BIGGEST // 1000 + 1),
    ("EXPIREAT", BIGGEST),
]


@pytest.mark.parametrize(("command", "time"), OVERFLOWS)
def test_times_that_make_no_deadline(keyp: Keyp, command: str, time: int) -> None:
    keyp.run("SET", "a", "1")
    for key in ("a", "b"):
        assert keyp.answer(f"{command} {key} {time}") == f"ERR invalid expire time in '{command.lower()}' command"
    assert keyp.run("TTL", "a") == -1


PAST = ["EXPIRE a 0", "EXPIRE a -1", "PEXPIRE a 0", "EXPIREAT a 0", "EXPIREAT a 1", "PEXPIREAT a -9223372036854775808"]


@pytest.mark.parametrize("line", PAST)
def test_a_deadline_in_the_past_removes_the_key(keyp: Keyp, line: str) -> None:
    keyp.run("SET", "a", "1")
    assert keyp.run(*line.split()) == 1
    assert keyp.run("EXISTS", "a") == 0
    assert keyp.run("DBSIZE") == 0


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
