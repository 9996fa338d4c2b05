"""Checkpoints of a data file: LMDB opens exactly there again; and the mark of a file that is whole by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import lmdb
import pytest

from keyp.storage.lmdb import checkpoint
from keyp.storage.lmdb.checkpoint import NO_MARK, OPEN, DataCheckpoint
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.meta_pages import DataFile, MetaPage

PAGE = 4096
MARK = slice(2048, 2068)


class File:
    """A data file that LMDB writes to; `fd` is a descriptor of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = lmdb.open(str(path), subdir=False, sync=False, map_size=1 << 24, lib_version=0)
        self.fd = os.open(path, os.O_RDWR)

    def put(self, data: bytes, count: int = 50) -> int:
        """A commit; its number."""
        with self.engine.begin(write=True) as txn:
            for number in range(count):
                txn.put(b"k%d" % number, data)
            return int(txn.id())

    def take_newest(self) -> DataCheckpoint:
        return checkpoint.take(self.fd, self.engine.info()["last_txnid"])

    def reopen(self) -> dict[bytes, bytes]:
        """Closes and opens it; what it has then."""
        self.engine.close()
        self.engine = lmdb.open(str(self.path), subdir=False, sync=False, map_size=1 << 24, lib_version=0)
        with self.engine.begin() as txn, txn.cursor() as cursor:
            return dict(cursor.iternext())

    def close(self) -> None:
        self.engine.close()
        os.close(self.fd)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    file = File(tmp_path / "data")
    file.put(b"first")
    yield file
    file.close()


def expected(data: bytes) -> dict[bytes, bytes]:
    return {b"k%d" % number: data for number in range(50)}


def taken_and_pinned(file: File, data: bytes) -> tuple[DataCheckpoint, lmdb.Transaction[bytes]]:
    transaction = file.put(data)
    return checkpoint.take(file.fd, transaction), file.engine.begin()


@pytest.mark.parametrize("later", range(4))
def test_back_to_where_it_was_taken(file: File, later: int) -> None:
    """After any number of commits: of which one, or two, or none, have written over its meta page."""
    file.put(b"another number", later % 2)
    taken, pin = taken_and_pinned(file, b"kept")
    for number in range(later):
        file.put(b"later %d" % number)
    pin.abort()
    again = checkpoint.unpack(taken.pack())
    assert again.transaction == taken.transaction
    assert again.matches(file.fd)
    assert again.is_current(file.fd) == (later == 0)
    again.restore(file.fd)
    assert again.is_current(file.fd)
    assert file.reopen() == expected(b"kept")
    with DataFile(str(file.path)) as data_file:
        assert sorted(page.transaction for page in data_file.meta_pages) == [taken.transaction - 1, taken.transaction]
    assert file.put(b"next") == taken.transaction + 1


@pytest.mark.parametrize("content", [bytes(MetaPage.SIZE), Random(1).randbytes(MetaPage.SIZE), b"\xff" * MetaPage.SIZE])
@pytest.mark.parametrize("places", [(0,), (1,), (0, 1)])
def test_whatever_has_become_of_the_meta_pages(file: File, content: bytes, places: tuple[int, ...]) -> None:
    taken, pin = taken_and_pinned(file, b"kept")
    pin.abort()
    for place in places:
        os.pwrite(file.fd, content, place * PAGE)
    for _ in range(2):
        assert taken.matches(file.fd)
        taken.restore(file.fd)
        assert file.reopen() == expected(b"kept")


def test_a_file_whose_last_pages_were_never_written(file: File) -> None:
    taken, pin = taken_and_pinned(file, b"kept")
    pin.abort()
    with DataFile(str(file.path)) as data_file:
        end = data_file.newest.file_bytes
    os.truncate(file.path, end - PAGE)
    taken.restore(file.fd)
    assert os.stat(file.path).st_size == end


def test_another_data_file_does_not_match(file: File, tmp_path: Path) -> None:
    """Not one with the same commits but for a byte, nor an empty one, nor one that is shorter."""
    other = File(tmp_path / "other")
    other.put(b"First")
    taken = file.take_newest()
    assert taken.transaction == other.take_newest().transaction
    assert taken.matches(file.fd)
    assert not taken.matches(other.fd)
    other.close()
    for size in (2 * PAGE, PAGE, 100, 0):
        os.truncate(file.path, size)
        assert not taken.matches(file.fd)


def test_another_state_of_the_same_file_does_not_match(file: File) -> None:
    """An older copy, or a newer one whose pages have been used again since."""
    old = file.path.read_bytes()
    for number in range(6):
        file.put(b"later %d" % number)
    taken = file.take_newest()
    new = file.path.read_bytes()
    for data, matches in ((old, False), (new, True)):
        copy = file.path.with_name("copy")
        copy.write_bytes(data)
        fd = os.open(copy, os.O_RDONLY)
        assert taken.matches(fd) == matches
        os.close(fd)


@pytest.mark.parametrize("other", [-1, 1, 2])
def test_a_transaction_that_is_not_the_files_last_is_none(file: File, other: int) -> None:
    transaction = file.put(b"last")
    if other == -1:
        file.put(b"and one", 3)
        file.put(b"more", 3)
    with pytest.raises(Damaged, match="is not in the file"):
        checkpoint.take(file.fd, transaction + other)


# The mark.


def test_a_mark_is_true_until_the_next_commit(file: File) -> None:
    """Without another write: LMDB does not touch it."""
    assert checkpoint.read_mark(file.fd) == NO_MARK
    assert not checkpoint.needs_journal(file.fd)
    checkpoint.mark_whole(file.fd)
    marked = checkpoint.read_mark(file.fd)
    assert marked == file.take_newest().transaction
    assert not checkpoint.needs_journal(file.fd)
    raw = file.path.read_bytes()[MARK]
    for number in range(3):
        file.put(b"later %d" % number)
        assert checkpoint.needs_journal(file.fd)
        assert file.path.read_bytes()[MARK] == raw
    checkpoint.mark_whole(file.fd)
    assert not checkpoint.needs_journal(file.fd)


def test_what_goes_back_is_not_whole_by_itself(file: File) -> None:
    """Its journal has more; also where nothing has been committed since it was marked."""
    checkpoint.mark_whole(file.fd)
    file.take_newest().restore(file.fd)
    assert checkpoint.read_mark(file.fd) == OPEN
    assert checkpoint.needs_journal(file.fd)


def test_any_bit_of_a_mark(file: File) -> None:
    """It is none then, and not another one."""
    checkpoint.mark_whole(file.fd)
    raw = file.path.read_bytes()[MARK]
    for offset in range(len(raw)):
        for bit in range(8):
            os.pwrite(file.fd, bytes([raw[offset] ^ 1 << bit]), MARK.start + offset)
            assert checkpoint.read_mark(file.fd) == NO_MARK
        os.pwrite(file.fd, raw[offset : offset + 1], MARK.start + offset)
    assert checkpoint.read_mark(file.fd) > 0
