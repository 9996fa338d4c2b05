"""The end of the data file: written by the page, ahead of LMDB, and never where something stands."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from keyp.storage.lmdb.preallocation import AHEAD_BYTES, AHEAD_MAX_BYTES, PAGE_BYTES, Preallocation
from keyp.storage.lmdb.store import DATA_FILE
from keyp.storage.types import strings
from tests.storage.conftest import Store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"x" * (10 * PAGE_BYTES))
    return path


def test_the_end_stays_ahead_of_what_is_used(file: Path) -> None:
    preallocation = Preallocation(str(file), 10 * PAGE_BYTES)
    preallocation.keep_ahead(10 * PAGE_BYTES)
    size = file.stat().st_size
    assert size == 10 * PAGE_BYTES + AHEAD_BYTES
    preallocation.keep_ahead(10 * PAGE_BYTES + AHEAD_BYTES // 4)
    assert file.stat().st_size == size, "half of it is enough"
    used = 10 * PAGE_BYTES + AHEAD_BYTES // 2
    preallocation.keep_ahead(used)
    assert file.stat().st_size == used + AHEAD_BYTES + AHEAD_BYTES // 4
    preallocation.close()
    assert file.read_bytes() == b"x" * (10 * PAGE_BYTES) + bytes(file.stat().st_size - 10 * PAGE_BYTES)


def test_as_much_more_as_the_last_commit_used_but_not_without_end(file: Path) -> None:
    preallocation = Preallocation(str(file), 10 * PAGE_BYTES)
    used = 10 * PAGE_BYTES + 2 * AHEAD_BYTES
    preallocation.keep_ahead(used)
    assert file.stat().st_size == used + 3 * AHEAD_BYTES
    used += 10 * AHEAD_MAX_BYTES
    preallocation.keep_ahead(used)
    assert file.stat().st_size == used + AHEAD_MAX_BYTES
    preallocation.close()


def test_room_for_all_that_a_transaction_is_going_to_add(file: Path) -> None:
    """Where the one before it has grown the file: it may have found free pages."""
    preallocation = Preallocation(str(file), 10 * PAGE_BYTES)
    preallocation.keep_ahead(10 * PAGE_BYTES)
    preallocation.expect(5 * AHEAD_MAX_BYTES)
    assert file.stat().st_size == 10 * PAGE_BYTES + AHEAD_BYTES
    used = 10 * PAGE_BYTES + 2 * AHEAD_BYTES
    preallocation.keep_ahead(used)
    preallocation.expect(5 * AHEAD_MAX_BYTES)
    assert file.stat().st_size == used + 5 * AHEAD_MAX_BYTES + AHEAD_BYTES
    preallocation.keep_ahead(used)
    preallocation.expect(9 * AHEAD_MAX_BYTES)
    assert file.stat().st_size == used + 5 * AHEAD_MAX_BYTES + AHEAD_BYTES
    preallocation.close()


def test_what_lmdb_has_appended_itself_is_left_alone(file: Path) -> None:
    preallocation = Preallocation(str(file), 10 * PAGE_BYTES)
    with file.open("ab") as other:
        other.write(b"y" * (100 * PAGE_BYTES))
    preallocation.keep_ahead(10 * PAGE_BYTES)
    assert file.read_bytes()[: 110 * PAGE_BYTES] == b"x" * (10 * PAGE_BYTES) + b"y" * (100 * PAGE_BYTES)
    preallocation.close()


def test_each_page_is_a_write_of_its_own(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    pwrite = os.pwrite

    def counted(fd: int, data: bytes, at: int) -> int:
        sizes.append(len(data))
        return pwrite(fd, data, at)

    monkeypatch.setattr(os, "pwrite", counted)
    preallocation = Preallocation(str(file), 10 * PAGE_BYTES)
    preallocation.keep_ahead(10 * PAGE_BYTES)
    preallocation.close()
    assert sizes == [PAGE_BYTES] * (AHEAD_BYTES // PAGE_BYTES)


def test_a_disk_without_room_is_nothing_to_speak_of(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes, at: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    preallocation = Preallocation(str(file), 10 * PAGE_BYTES)
    monkeypatch.setattr(os, "pwrite", full)
    preallocation.keep_ahead(10 * PAGE_BYTES)
    preallocation.close()
    assert file.stat().st_size == 10 * PAGE_BYTES


def put(store: Store, number: int) -> None:
    store.write(lambda keys: strings.put(keys, b"key:%d" % number, bytes(60_000)))


def test_a_store_writes_its_values_where_the_file_already_is(store: Store) -> None:
    data_file = store.path / DATA_FILE
    for number in range(100):
        put(store, number)
        used = (store.environment.lmdb.info()["last_pgno"] + 1) * PAGE_BYTES
        assert data_file.stat().st_size > used
    store.reopen()
    store.write(lambda keys: strings.put(keys, b"key", b"value"))


def test_a_full_disk_has_the_end_left_as_it_is(store: Store) -> None:
    store.write(lambda keys: strings.put(keys, b"key", b"value"))
    size = (store.path / DATA_FILE).stat().st_size
    store.environment.reserve.release()
    for number in range(40):
        put(store, number)
    used = (store.environment.lmdb.info()["last_pgno"] + 1) * PAGE_BYTES
    assert (store.path / DATA_FILE).stat().st_size == max(size, used)
