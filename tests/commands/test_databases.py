"""DBSIZE, FLUSHDB, FLUSHALL, SWAPDB."""

from __future__ import annotations

from typing import Any

import pytest

from tests.commands.conftest import Keyp

SYNTAX = "ERR syntax error"
FIRST = "ERR invalid first DB index"
SECOND = "ERR invalid second DB index"
NO_DATABASE = "ERR DB index is out of range"

SCRIPTS = {
    "DBSIZE": [("DBSIZE", 0), ("SET a 1", "OK"), ("SET b 1", "OK"), ("SET a 2", "OK"), ("DBSIZE", 2)],
    "FLUSHDB empties the selected database": [
        ("FLUSHDB", "OK"),
        ("SET a 1", "OK"),
        ("SELECT 1", None),
        ("SET b 1 EX 100", "OK"),
        ("FLUSHDB", "OK"),
        ("DBSIZE", 0),
        ("GET b", None),
        ("SET b 2", "OK"),
        ("TTL b", -1),
        ("SELECT 0", None),
        ("DBSIZE", 1),
    ],
    "FLUSHALL empties them all": [
        ("SET a 1", "OK"),
        ("SELECT 15", None),
        ("SET b 1", "OK"),
        ("SELECT 3", None),
        ("FLUSHALL", "OK"),
        ("SELECT 0", None),
        ("DBSIZE", 0),
        ("SELECT 15", None),
        ("DBSIZE", 0),
    ],
    "the options of FLUSH": [
        ("SET a 1", "OK"),
        ("FLUSHDB soon", SYNTAX),
        ("FLUSHALL soon", SYNTAX),
        ("FLUSHDB SYNC SYNC", SYNTAX),
        ("FLUSHALL SYNC ASYNC", SYNTAX),
        ("DBSIZE", 1),
        ("FLUSHDB async", "OK"),
        ("FLUSHDB SYNC", "OK"),
        ("FLUSHALL sync", "OK"),
        ("FLUSHALL ASYNC", "OK"),
        ("DBSIZE", 0),
    ],
    "SWAPDB": [
        ("SET a 0", "OK"),
        ("SWAPDB 0 1", "OK"),
        ("DBSIZE", 0),
        ("SET a 1 PX 5000", "OK"),
        ("SELECT 1", None),
        ("GET a", b"0"),
        ("SWAPDB 1 0", "OK"),
        ("GET a", b"1"),
        ("PTTL a", 5000),
        ("SWAPDB 1 1", "OK"),
        ("GET a", b"1"),
        ("SWAPDB 7 8", "OK"),
    ],
    "SWAPDB refuses": [
        ("SET a 0", "OK"),
        ("SWAPDB x 1", FIRST),
        ("SWAPDB 1 x", SECOND),
        ("SWAPDB x x", FIRST),
        ("SWAPDB 2147483648 0", FIRST),
        ("SWAPDB 0 2147483648", SECOND),
        ("SWAPDB 16 0", NO_DATABASE),
        ("SWAPDB 0 -1", NO_DATABASE),
        ("SWAPDB 16 16", NO_DATABASE),
        ("GET a", b"0"),
    ],
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_script(keyp: Keyp, script: list[tuple[str, Any]]) -> None:
    for line, expected in script:
        if line.startswith("SELECT"):
            keyp.select(int(line[7:]))
        else:
            assert (line, keyp.answer(line)) == (line, expected)


def test_size_counts_the_dead_until_they_are_removed(keyp: Keyp) -> None:
    keyp.run("SET", "a", "1", "PX", "1000")
    keyp.now_us += 2_000_000
    assert keyp.run("DBSIZE") == 1
    assert keyp.run("DEL", "a") == 0
    assert keyp.run("DBSIZE") == 0
