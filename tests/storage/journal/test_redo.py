"""Redo records: every change comes back as it was, and a replay on what is there already changes nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keyp.storage.journal.redo import DELETE, DELETE_RANGE, DROP, PUT, Change, decode, encode

NAMES = st.binary(min_size=1, max_size=3)
DATABASES = st.integers(0, 2)
CHANGES = st.one_of(
    st.tuples(st.just(PUT), DATABASES, NAMES, st.binary(max_size=20)),
    st.tuples(st.just(DELETE), DATABASES, NAMES, st.just(b"")),
    st.tuples(st.just(DELETE_RANGE), DATABASES, st.binary(max_size=3), NAMES),
    st.tuples(st.just(DROP), DATABASES, st.just(b""), st.just(b"")),
)
COMMITS = st.lists(st.lists(CHANGES, max_size=6), max_size=8)

MUCH = 1 << 30

Databases = list[dict[bytes, bytes]]


@given(st.lists(CHANGES))
def test_there_and_back(changes: list[Change]) -> None:
    record = encode(changes, MUCH)
    assert record is not None
    assert list(decode(record)) == changes
    assert encode(changes, len(record)) == record
    assert not changes or encode(changes, len(record) - 1) is None


def test_lengths_at_their_limits() -> None:
    """LMDB's names have up to 511 bytes, and data may be empty, or hundreds of megabytes."""
    changes = [(PUT, 65535, b"n" * 511, b""), (PUT, 0, b"n", b"x" * (70 << 10)), (DELETE_RANGE, 1, b"", b"n" * 511)]
    assert list(decode(encode(changes, MUCH) or b"")) == changes
    assert encode([], MUCH) == b""
    assert list(decode(b"")) == []


def test_what_a_record_takes() -> None:
    """Nine bytes more than a name and its data."""
    assert len(encode([(PUT, 3, b"name", b"data")], MUCH) or b"") == 9 + 8


def apply(databases: Databases, changes: list[Change]) -> None:
    for kind, number, name, data in changes:
        database = databases[number]
        if kind == PUT:
            database[name] = data
        elif kind == DELETE:
            database.pop(name, None)
        elif kind == DELETE_RANGE:
            for other in [other for other in database if name <= other <= data]:
                del database[other]
        else:
            database.clear()


@given(commits=COMMITS, start=st.integers(0, 8), reached=st.integers(0, 8))
def test_a_replay_on_any_later_state(commits: list[list[Change]], start: int, reached: int) -> None:
    """From a checkpoint on, on the state that any later commit has left: what comes out is the last state."""
    start = min(start, len(commits))
    reached = min(max(start, reached), len(commits))
    last: Databases = [{}, {}, {}]
    for changes in commits:
        apply(last, changes)
    found: Databases = [{}, {}, {}]
    for changes in commits[:reached]:
        apply(found, changes)
    for changes in commits[start:]:
        apply(found, list(decode(encode(changes, MUCH) or b"")))
    assert found == last
