"""A store on a system that has only what POSIX says: what Linux has more of is asked for before it is used."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from keyp.storage.lmdb.disk_reserve import RESERVE_BYTES, RESERVE_FILE, DiskReserve
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.start import LMDB_LOCK_BYTES, LMDB_LOCK_FILE
from keyp.storage.lmdb.store import put_own
from keyp.storage.lmdb.transaction import ReadTransaction

LACKING = ("posix_fallocate", "posix_fadvise", "fdatasync", "eventfd", "sched_setaffinity", "sched_getaffinity")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LACKING:
        monkeypatch.delattr(os, name, raising=False)


def test_a_store_is_made_written_and_opened_again(tmp_path: Path) -> None:
    for version in (0, 7):
        environment = Environment(str(tmp_path), note_crashes=True)
        assert environment.version == version
        with environment.lmdb.begin(write=True) as txn:
            put_own(txn, environment.meta, b"version", (7).to_bytes(8, "big"))
        ReadTransaction(environment, 0).close()
        assert (tmp_path / LMDB_LOCK_FILE).stat().st_blocks * 512 >= LMDB_LOCK_BYTES
        environment.close()


def test_the_reserve_takes_its_room_all_the_same(tmp_path: Path) -> None:
    reserve = DiskReserve(str(tmp_path))
    about = (tmp_path / RESERVE_FILE).stat()
    assert reserve.held
    assert about.st_size == RESERVE_BYTES
    assert about.st_blocks * 512 >= RESERVE_BYTES
    assert reserve.release()
    reserve.fill()
    assert reserve.held


def test_a_disk_without_room_gives_no_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite, left = os.pwrite, [3 << 20]

    def write_what_fits(fd: int, data: bytes, offset: int) -> int:
        if len(data) > left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= len(data)
        return pwrite(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", write_what_fits)
    assert not DiskReserve(str(tmp_path)).held
    assert (tmp_path / RESERVE_FILE).stat().st_size == 0
