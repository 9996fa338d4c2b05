"""KEYS and SCAN: what is there from start to end is found, and no more is looked at than was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyp.command.scan_cursors import CursorTable
from tests.commands.conftest import Keyp, Word

LONG = b"k" * 600
NAMES = [b"", b"a", b"b", b"aa", b"foo:1", b"foo:2", b"foo[1]", b"k", b"k" * 479, b"k" * 480, LONG, b"\xff\x00", b"\0"]


def fill(keyp: Keyp, names: Iterable[bytes] = NAMES) -> None:
    for name in names:
        keyp.run("SET", name, "1")


def scan_all(keyp: Keyp, *options: str | bytes) -> tuple[list[bytes], int]:
    """The names that a whole scan gives, and its number of calls."""
    names: list[bytes] = []
    calls, cursor = 0, b"0"
    while True:
        cursor, found = keyp.answer("SCAN", cursor, *options)
        names += found
        calls += 1
        if cursor == b"0":
            return names, calls


PATTERNS = [
    (b"*", NAMES),
    (b"", [b""]),
    (b"a", [b"a"]),
    (b"nobody", []),
    (b"a*", [b"a", b"aa"]),
    (b"?", [b"a", b"b", b"k", b"\0"]),
    (b"foo:?", [b"foo:1", b"foo:2"]),
    (b"foo\\[1]", [b"foo[1]"]),
    (b"foo\\[*", [b"foo[1]"]),
    (b"[a-b]", [b"a", b"b"]),
    (b"k*", [b"k", b"k" * 479, b"k" * 480, LONG]),
    (b"k" * 470 + b"*", [b"k" * 479, b"k" * 480, LONG]),
    (b"k" * 500 + b"*", [LONG]),
    (LONG, [LONG]),
    (b"\xff*", [b"\xff\x00"]),
    (b"\0*", [b"\0"]),
]


@pytest.mark.parametrize(("pattern", "names"), PATTERNS, ids=range(len(PATTERNS)))
@pytest.mark.parametrize("count", ["1", "2", "10", "1000000"])
def test_patterns(keyp: Keyp, pattern: bytes, names: Iterable[bytes], count: str) -> None:
    fill(keyp)
    assert sorted(keyp.answer("KEYS", pattern)) == sorted(names)
    assert sorted(scan_all(keyp, "MATCH", pattern, "COUNT", count)[0]) == sorted(names)


@pytest.mark.parametrize("cursor", ["", "00", "-1", "+1", "01", "18446744073709551615", "-18446744073709551615"])
def test_cursors_nobody_gave_out_start_the_scan(keyp: Keyp, cursor: str) -> None:
    fill(keyp, [b"a"])
    assert keyp.run("SCAN", cursor) == [b"0", [b"a"]]


def test_count_is_the_number_of_keys_visited(keyp: Keyp) -> None:
    names = [b"%04d" % index for index in range(100)]
    fill(keyp, names)
    assert scan_all(keyp) == (names, 10)
    assert scan_all(keyp, "COUNT", "7") == (names, 15)
    assert scan_all(keyp, "COUNT", "100") == (names, 1)
    assert scan_all(keyp, "COUNT", "10", "MATCH", "nobody?") == ([], 1)
    assert scan_all(keyp, "COUNT", "10", "MATCH", "?" * 9) == ([], 10)
    assert scan_all(keyp, "COUNT", "10", "TYPE", "list") == ([], 10)


def test_a_prefix_spares_the_keys_beside_it(keyp: Keyp) -> None:
    fill(keyp, [b"a%03d" % index for index in range(100)] + [b"b%03d" % index for index in range(20)])
    names, calls = scan_all(keyp, "MATCH", "b*", "COUNT", "10")
    assert (len(names), calls) == (20, 2)


def test_the_dead_are_visited_and_not_returned(keyp: Keyp) -> None:
    for index in range(30):
        keyp.run("SET", f"{index:02}", "1", *(["PX", "1000"] if index % 3 else []))
    keyp.now_us += 2_000_000
    alive = [b"%02d" % index for index in range(0, 30, 3)]
    assert keyp.run("KEYS", "*") == alive
    assert scan_all(keyp, "COUNT", "10") == (alive, 3)
    assert scan_all(keyp, "COUNT", "1") == (alive, 30)
    assert keyp.run("KEYS", "01") == []


def test_more_names_than_are_taken_at_once(keyp: Keyp) -> None:
    names = [b"%05d" % index for index in range(2500)]
    fill(keyp, names)
    assert keyp.run("KEYS", "*") == names


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), count=st.integers(1, 20), pattern=st.sampled_from([b"*", b"k*", b"k" * 450 + b"*"]))
def test_what_is_there_all_the_time_is_found(keyp: Keyp, seed: int, count: int, pattern: bytes) -> None:
    keyp.run("FLUSHALL")
    random = Random(seed)

    def name() -> bytes:
        return b"k" * random.choice([0, 1, 450, 479, 480, 500]) + random.randbytes(random.randrange(3))

    staying = {name() for _ in range(30)}
    passing = {name() for _ in range(30)} - staying
    fill(keyp, staying)
    found: list[bytes] = []
    cursor = b"0"
    while True:
        for other in passing:
            calls: list[list[Word]] = [["SET", other, "1"], ["DEL", other], ["SET", other, "1", "PX", "1"]]
            keyp.run(*random.choice(calls))
        keyp.now_us += 1000
        cursor, some = keyp.answer("SCAN", cursor, "COUNT", str(count), "MATCH", pattern)
        found += some
        if cursor == b"0":
            break
    wanted = {one for one in staying if one.startswith(pattern[:-1])}
    # The empty name matches a lone star only.
    assert wanted <= set(found)
    assert set(found) <= staying | passing


def test_the_table_of_cursors_is_bounded_in_number_and_bytes() -> None:
    table = CursorTable(kept=100, bytes_kept=10_000)
    for number in range(1000):
        table.save(b"%d" % number)
    assert len(table) == 100
    for number in range(1000):
        table.save(b"%d" % number + bytes(1000))
    assert len(table) == 9
    assert table.bytes <= 10_000
    whole = b"name" * 10_000  # longer than all may be together
    assert table.find(table.save(whole)) == whole
    assert len(table) == 1
    table.save(b"name")
    assert (len(table), table.bytes) == (1, 4)
