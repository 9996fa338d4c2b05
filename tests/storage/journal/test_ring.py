"""The ring file by itself: what was appended is read again, in order and whole, and nothing else ever is."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyp.storage.journal.ring import FIRST, PAGE, SMALLEST, NotWhole, Position, Ring, make_ring, ring_size
from tests.failing_disk import RING_FILE, failing_syncs
from tests.scratch import scratch_directory

HEAD = 20  # bytes of a record before its payload
PAGES = SMALLEST // PAGE - 2  # for records, in the smallest ring


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / RING_FILE)
    make_ring(path, SMALLEST, 7, b"first")
    return path


@pytest.fixture
def ring(path: str) -> Iterator[Ring]:
    ring = Ring(path)
    yield ring
    ring.close()


def payload(number: int, pages: int = 1) -> bytes:
    """A payload whose record takes so many pages to the last byte."""
    return (b"%d " % number * PAGE)[: pages * PAGE - HEAD]


def fill(ring: Ring, count: int, first: int = 0) -> list[bytes]:
    payloads = [payload(number) for number in range(first, first + count)]
    for data in payloads:
        ring.append(data)
    return payloads


def found(path: str) -> list[bytes]:
    """The records that a start finds."""
    ring = Ring(path)
    try:
        return list(ring.records())
    finally:
        ring.close()


def checkpoint(ring: Ring, data: bytes = b"") -> None:
    ring.write_checkpoint(ring.position, data)


def overwrite(path: str, place: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(data)


# What is there.


def test_a_new_ring(ring: Ring, path: str) -> None:
    assert os.listdir(os.path.dirname(path)) == [RING_FILE]
    assert os.stat(path).st_size == ring.size == SMALLEST
    assert os.stat(path).st_blocks * 512 >= SMALLEST
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert ring.checkpoint.payload == b"first"
    assert (ring.position.place, ring.position.sequence) == (FIRST, 7)
    assert (ring.used, ring.capacity) == (0, SMALLEST - FIRST)
    assert list(ring.records()) == []


@pytest.mark.parametrize(
    ("asked", "size"), [(0, SMALLEST), (SMALLEST, SMALLEST), (SMALLEST + 1, SMALLEST), (1 << 20, 1 << 20)]
)
def test_its_size(tmp_path: Path, asked: int, size: int) -> None:
    path = str(tmp_path / RING_FILE)
    make_ring(path, asked, 1, b"")
    assert os.stat(path).st_size == ring_size(asked) == size
    Ring(path).close()


@pytest.mark.parametrize("length", [1, 100, PAGE - HEAD, PAGE - HEAD + 1, 2 * PAGE - HEAD, 3 * PAGE])
def test_records_take_whole_pages(ring: Ring, path: str, length: int) -> None:
    data = Random(length).randbytes(length)
    ring.append(data)
    ring.append(b"next")
    pages = -(-(HEAD + length) // PAGE)
    assert ring.used == (pages + 1) * PAGE
    assert found(path) == [data, b"next"]


def test_a_start_goes_on_behind_the_last_record(ring: Ring, path: str) -> None:
    payloads = fill(ring, 3)
    again = Ring(path)
    assert list(again.records()) == payloads
    assert vars_of(again.position) == vars_of(ring.position)
    payloads += fill(again, 2, first=3)
    again.close()
    assert found(path) == payloads


def vars_of(position: Position) -> tuple[int, int, int]:
    return position.place, position.sequence, position.chain


def test_what_it_costs(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record is one write of its own bytes; a checkpoint one of a page, and a sync."""
    real, writes = os.pwrite, []

    def pwrite(fd: int, data: bytes, place: int) -> int:
        writes.append((place, len(data)))
        return real(fd, data, place)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with failing_syncs(RING_FILE, 0) as syncs:
        ring.append(b"x" * 100)
        ring.append(b"x" * 5000)
        assert writes == [(FIRST, HEAD + 100), (FIRST + PAGE, HEAD + 5000)]
        assert syncs.counts == {}
        ring.sync()
        assert syncs.counts == {RING_FILE: 1}
        checkpoint(ring)
        checkpoint(ring)
        assert writes[2:] == [(0, PAGE), (PAGE, PAGE)]  # the older slot in turn
        assert syncs.counts == {RING_FILE: 3}


# Round and round.


def test_it_is_full_but_for_a_page(ring: Ring, path: str) -> None:
    """Before the end and before the tail; what a checkpoint lets go of is room again."""
    assert ring.place_for(PAGES * PAGE - HEAD) >= 0
    payloads = fill(ring, PAGES)
    assert ring.used == ring.capacity
    assert ring.place_for(1) < 0
    assert found(path) == payloads
    checkpoint(ring)
    assert (ring.used, ring.position.place) == (0, SMALLEST)
    assert ring.place_for((PAGES - 1) * PAGE - HEAD) >= 0
    payloads = fill(ring, PAGES - 1)
    assert ring.place_for(1) < 0
    assert found(path) == payloads


def test_a_record_that_does_not_fit_before_the_end_goes_to_the_beginning(ring: Ring, path: str) -> None:
    fill(ring, PAGES - 2)
    checkpoint(ring)
    payloads = [payload(0), payload(1, pages=3), payload(2)]
    ring.append(payloads[0])
    ring.append(payloads[1])  # a page is left
    assert ring.position.place == FIRST + 3 * PAGE
    assert ring.used == (2 + 3) * PAGE
    ring.append(payloads[2])
    assert found(path) == payloads


@pytest.mark.parametrize("at", range(PAGES + 1))
def test_a_quarter_always_fits_after_a_checkpoint(ring: Ring, path: str, at: int) -> None:
    """Wherever it stands: that is how much the journal of an environment takes for one record."""
    fill(ring, at)
    checkpoint(ring)
    data = b"x" * (ring.capacity // 4)
    assert ring.place_for(len(data)) >= 0
    ring.append(data)
    assert found(path) == [data]


def test_stale_records_of_an_earlier_round_are_not_read(ring: Ring, path: str) -> None:
    """They are whole, and where the next one would be."""
    for number in range(5):
        fill(ring, PAGES - 1, first=100 * number)
        checkpoint(ring)
    payloads = fill(ring, 3)
    assert found(path) == payloads
    checkpoint(ring)
    assert found(path) == []


# A record that does not count.


@pytest.mark.parametrize("before", [0, 1, PAGES - 1])
@pytest.mark.parametrize("pages", [1, 3])
def test_a_record_that_is_taken_back(ring: Ring, path: str, before: int, pages: int) -> None:
    """Also the first one behind the end of the file, and one that is taken back twice."""
    fill(ring, before)
    if before == PAGES - 1:
        checkpoint(ring)
        kept = []
    else:
        kept = found(path)
    for number in range(2):
        ring.append(payload(number, pages))
        ring.take_back()
        assert found(path) == kept
    ring.append(b"another")
    assert found(path) == [*kept, b"another"]
    again = Ring(path)
    list(again.records())
    again.append(b"more")
    again.close()
    assert found(path) == [*kept, b"another", b"more"]


@pytest.mark.parametrize("written", [0, 5, HEAD + 50])
def test_a_record_that_could_not_be_written(
    ring: Ring, path: str, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    payloads = fill(ring, 2)
    real = os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda fd, data, place: real(fd, data[:written], place))
        with pytest.raises(OSError, match="Input/output"):
            ring.append(payload(5))
    ring.take_back()
    assert found(path) == payloads
    ring.append(b"next")
    assert found(path) == [*payloads, b"next"]


# Files that are not whole.


def test_a_torn_record_is_the_end(ring: Ring, path: str) -> None:
    """Whatever has become of one of its pages; what is behind it does not count, though it is whole."""
    payloads = [payload(0), payload(1, pages=3), payload(2)]
    for data in payloads:
        ring.append(data)
    place, random = FIRST + PAGE, Random(3)
    for page in range(3):
        for torn in (bytes(PAGE), random.randbytes(PAGE), payload(9)[:PAGE].ljust(PAGE, b"-")):
            whole = Path(path).read_bytes()
            overwrite(path, place + page * PAGE, torn)
            assert found(path) == payloads[:1]
            overwrite(path, 0, whole)
    assert found(path) == payloads


def test_any_bit_of_a_record(ring: Ring, path: str) -> None:
    ring.append(b"before")
    ring.append(b"of which a bit changes")
    ring.append(b"behind")
    whole = Path(path).read_bytes()
    for offset in range(HEAD + 22):
        for bit in range(8):
            overwrite(path, FIRST + PAGE + offset, bytes([whole[FIRST + PAGE + offset] ^ 1 << bit]))
            assert found(path) == [b"before"]
        overwrite(path, FIRST + PAGE, whole[FIRST + PAGE : FIRST + 2 * PAGE])


def test_the_newer_slot_counts_if_it_is_whole(ring: Ring, path: str) -> None:
    payloads = fill(ring, 3)
    checkpoint(ring, b"second")
    payloads += fill(ring, 2, first=3)
    checkpoint(ring, b"third")
    assert found(path) == []
    newer = PAGE * (ring.checkpoint.counter & 1)
    overwrite(path, newer + 50, b"torn")
    older = Ring(path)
    assert older.checkpoint.payload == b"second"
    assert list(older.records()) == payloads[3:]
    checkpoint(older, b"once more")  # in the place of the one that was torn
    older.close()
    again = Ring(path)
    assert again.checkpoint.payload == b"once more"
    again.close()


def test_neither_slot_is_whole(ring: Ring, path: str) -> None:
    checkpoint(ring)
    for slot in (0, 1):
        overwrite(path, slot * PAGE + 40, b"torn")
    with pytest.raises(NotWhole):
        Ring(path)


def test_any_bit_of_a_slot(path: str) -> None:
    """There is one only, in a new ring."""
    whole = Path(path).read_bytes()
    for offset in range(PAGE, PAGE + 48 + 9):
        for bit in range(8):
            overwrite(path, offset, bytes([whole[offset] ^ 1 << bit]))
            with pytest.raises(NotWhole):
                Ring(path)
        overwrite(path, offset, whole[offset : offset + 1])
    Ring(path).close()


@pytest.mark.parametrize("size", [0, 100, PAGE, FIRST, SMALLEST - PAGE, SMALLEST - 1, SMALLEST + PAGE])
def test_a_file_of_another_size_is_not_whole(path: str, size: int) -> None:
    os.truncate(path, size)
    with pytest.raises(NotWhole):
        Ring(path)


@pytest.mark.parametrize("content", [b"", bytes(SMALLEST), b"\xff" * SMALLEST, b"KEYPRING" * (SMALLEST // 8)])
def test_a_file_that_is_no_ring(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RING_FILE).write_bytes(content)
    with pytest.raises(NotWhole):
        Ring(str(tmp_path / RING_FILE))


def test_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Ring(str(tmp_path / RING_FILE))


def test_what_a_failed_sync_leaves_of_a_checkpoint(ring: Ring, path: str) -> None:
    """The one before is the newest, its records are there, and the room is not given away."""
    payloads = fill(ring, 5)
    used = ring.used
    with failing_syncs(RING_FILE, 1), pytest.raises(OSError, match="Input/output"):
        checkpoint(ring, b"second")
    assert (ring.checkpoint.payload, ring.used) == (b"first", used)
    assert found(path) == payloads
    checkpoint(ring, b"second")
    assert found(path) == []


@pytest.mark.parametrize("spared", [0, 3])
def test_no_room_for_a_ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spared: int) -> None:
    """Nothing is left of it; one that is there stays."""
    path = str(tmp_path / RING_FILE)
    make_ring(path, SMALLEST, 1, b"old")
    real, left = os.write, [spared]

    def write(fd: int, data: bytes) -> int:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= 1
        return real(fd, data[:100_000])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        make_ring(path, 1 << 20, 1, b"new")
    assert os.listdir(tmp_path) == [RING_FILE]
    ring = Ring(path)
    assert ring.checkpoint.payload == b"old"
    ring.close()


# Chains.


def lose_second_record(path: str) -> list[bytes]:
    """A power cut: of three records the second has not reached the disk."""
    ring = Ring(path)
    payloads = fill(ring, 3)
    ring.close()
    overwrite(path, FIRST + PAGE, bytes(PAGE))
    return payloads


@pytest.mark.parametrize("begins", [False, True])
def test_what_stands_behind_a_lost_record_never_counts(path: str, begins: bool) -> None:
    """A start writes into its place what was there before, to the last bit; only the chain tells them apart."""
    first, second, third = lose_second_record(path)
    ring = Ring(path)
    assert list(ring.records()) == [first]
    if begins:
        ring.begin_chain()
        checkpoint(ring)
    ring.append(second)
    ring.close()
    assert found(path) == ([second] if begins else [first, second, third])


def test_each_chain_is_another(path: str) -> None:
    """Also of starts that have found the same."""
    chains = set()
    for _ in range(5):
        ring = Ring(path)
        assert list(ring.records()) == []
        ring.begin_chain()
        checkpoint(ring)
        chains.add(ring.position.chain)
        ring.close()
    assert len(chains) == 5


# A model: a list of what was appended since the last checkpoint.

ACTIONS = st.lists(
    st.one_of(
        st.integers(1, 3 * PAGE).map(lambda length: ("append", length)),
        st.integers(1, 5 * PAGE).map(lambda length: ("take back", length)),
        st.tuples(st.just("checkpoint"), st.integers(0, 5)),
        st.sampled_from([("reopen", 0), ("begin", 0), ("fail", 0)]),
    ),
    max_size=60,
)


@given(actions=ACTIONS)
def test_a_ring_is_a_list(actions: list[tuple[str, int]]) -> None:
    with scratch_directory() as directory:
        follow(actions, os.path.join(directory, RING_FILE))


def follow(actions: list[tuple[str, int]], path: str) -> None:
    """Does to a new ring and to a list what the actions say, and compares them after each."""
    make_ring(path, SMALLEST, 1, b"")
    ring, number = Ring(path), 0
    expected: list[bytes] = []
    positions = [ring.position]
    for action, argument in actions:
        number += 1
        if action in ("append", "take back"):
            if ring.place_for(argument) < 0:
                continue
            data = (b"%d " % number * argument)[:argument]
            ring.append(data)
            if action == "append":
                expected.append(data)
                positions.append(ring.position)
            else:
                ring.take_back()
        elif action == "checkpoint":  # at a position in the past, as one that was slow notes it
            at = min(argument, len(expected))
            ring.write_checkpoint(positions[at], b"%d" % number)
            expected, positions = expected[at:], positions[at:]
        elif action == "fail":
            with failing_syncs(RING_FILE, 1), pytest.raises(OSError, match="Input/output"):
                checkpoint(ring, b"wrong")
        else:
            ring.close()
            ring = Ring(path)
            assert list(ring.records()) == expected
            if action == "begin":
                ring.begin_chain()
                checkpoint(ring)
                expected, positions = [], [ring.position]
        assert found(path) == expected
        assert ring.used >= sum(-(-(HEAD + len(data)) // PAGE) * PAGE for data in expected)
    ring.close()
