"""HSCAN and SSCAN: what is there from start to end is found, and no more is looked at than was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.commands.conftest import Keyp
from tests.commands.test_scan import NAMES, PATTERNS

KINDS = ["hash", "set"]


def add(keyp: Keyp, kind: str, members: Iterable[bytes]) -> None:
    for member in members:
        if kind == "hash":
            keyp.run("HSET", "k", member, b"v" + member[:1])
        else:
            keyp.run("SADD", "k", member)


def discard(keyp: Keyp, kind: str, member: bytes) -> None:
    keyp.run("HDEL" if kind == "hash" else "SREM", "k", member)


def scan(keyp: Keyp, kind: str, cursor: bytes, *options: str | bytes) -> tuple[bytes, list[bytes]]:
    """The next cursor and the members found; a field's value has to be the one it was given."""
    following, found = keyp.answer("HSCAN" if kind == "hash" else "SSCAN", "k", cursor, *options)
    if kind == "set":
        return following, found
    assert all(value == b"v" + field[:1] for field, value in zip(found[::2], found[1::2], strict=True))
    return following, found[::2]


def scan_all(keyp: Keyp, kind: str, *options: str | bytes) -> tuple[list[bytes], int]:
    """The members that a whole scan gives, and its number of calls."""
    members: list[bytes] = []
    calls, cursor = 0, b"0"
    while True:
        cursor, found = scan(keyp, kind, cursor, *options)
        members += found
        calls += 1
        if cursor == b"0":
            return members, calls


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("pattern", "members"), PATTERNS, ids=range(len(PATTERNS)))
@pytest.mark.parametrize("count", ["1", "2", "10", "1000000"])
def test_patterns(keyp: Keyp, kind: str, pattern: bytes, members: Iterable[bytes], count: str) -> None:
    add(keyp, kind, NAMES)
    assert sorted(scan_all(keyp, kind, "MATCH", pattern, "COUNT", count)[0]) == sorted(members)


@pytest.mark.parametrize("kind", KINDS)
def test_count_is_the_number_of_members_visited(keyp: Keyp, kind: str) -> None:
    members = [b"%04d" % index for index in range(600)]
    add(keyp, kind, members)
    assert scan_all(keyp, kind) == (members, 60)
    assert scan_all(keyp, kind, "COUNT", "7") == (members, 86)
    assert scan_all(keyp, kind, "COUNT", "600") == (members, 1)
    assert scan_all(keyp, kind, "COUNT", "100", "MATCH", "nobody?") == ([], 1)
    assert scan_all(keyp, kind, "COUNT", "100", "MATCH", "?" * 9) == ([], 6)
    assert scan_all(keyp, kind, "COUNT", "10", "MATCH", "01*") == (members[100:200], 10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_compact_collection_comes_as_a_whole(keyp: Keyp, kind: str) -> None:
    members = [b"%04d" % index for index in range(100)]
    add(keyp, kind, members)
    for cursor in (b"0", b"1", b"12345"):
        assert scan(keyp, kind, cursor, "COUNT", "1") == (b"0", members)
    assert scan(keyp, kind, b"0", "COUNT", "1", "MATCH", "009?") == (b"0", members[90:])
    add(keyp, kind, [b"x" * 65])
    assert scan_all(keyp, kind, "COUNT", "1")[1] == 101


@pytest.mark.parametrize("kind", KINDS)
def test_cursors_nobody_gave_out_start_the_scan(keyp: Keyp, kind: str) -> None:
    add(keyp, kind, [b"a", b"x" * 65])
    for cursor in (b"7", b"18446744073709551615"):
        assert scan(keyp, kind, cursor, "COUNT", "1")[1] == [b"a"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_empty_member_is_a_position_too(keyp: Keyp, kind: str) -> None:
    members = [b"", b"\0", b"a", b"x" * 65]
    add(keyp, kind, members)
    assert scan_all(keyp, kind, "COUNT", "1") == (members, 4)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), count=st.integers(1, 20), pattern=st.sampled_from([b"*", b"k*", b"k" * 450 + b"*"]))
def test_what_is_there_all_the_time_is_found(keyp: Keyp, kind: str, seed: int, count: int, pattern: bytes) -> None:
    keyp.run("FLUSHALL")
    random = Random(seed)

    def name() -> bytes:
        return b"k" * random.choice([0, 1, 450, 479, 480, 500]) + random.randbytes(random.randrange(3))

    staying = {name() for _ in range(30)} | {b"k" * 500}
    passing = {name() for _ in range(30)} - staying
    add(keyp, kind, staying)
    found: list[bytes] = []
    cursor = b"0"
    while True:
        for other in passing:
            if random.random() < 0.5:
                add(keyp, kind, [other])
            else:
                discard(keyp, kind, other)
        cursor, some = scan(keyp, kind, cursor, "COUNT", str(count), "MATCH", pattern)
        found += some
        if cursor == b"0":
            break
    wanted = {one for one in staying if one.startswith(pattern[:-1])}
    assert wanted <= set(found)
    assert set(found) <= staying | passing
    assert len(found) == len(set(found))
