"""The reserve: taken, given, taken again only where there is plenty."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from keyp.storage.lmdb.disk_reserve import RESERVE_BYTES, RESERVE_FILE, DiskReserve
from tests.full_disk import fill_disk


def failing(code: int) -> object:
    def fail(fd: int, start: int, size: int) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_the_reserve_is_taken_given_and_taken_again(tmp_path: Path) -> None:
    reserve = DiskReserve(str(tmp_path))
    file = tmp_path / RESERVE_FILE
    assert reserve.held
    assert file.stat().st_size == RESERVE_BYTES
    assert file.stat().st_blocks * 512 >= RESERVE_BYTES
    assert not reserve.may_be_filled()
    assert reserve.release()
    assert not reserve.release()
    assert file.stat().st_size == 0
    assert reserve.may_be_filled()
    reserve.fill()
    assert reserve.held
    assert file.stat().st_size == RESERVE_BYTES
    assert DiskReserve(str(tmp_path)).held


def test_a_disk_that_is_all_but_full_gives_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "posix_fallocate", failing(errno.ENOSPC))
    reserve = DiskReserve(str(tmp_path))
    assert not reserve.held
    assert reserve.disk_is_full()
    reserve.fill()
    assert not reserve.held
    assert os.listdir(tmp_path) == [RESERVE_FILE]
    assert (tmp_path / RESERVE_FILE).stat().st_size == 0
    fill_disk(monkeypatch, 2 * RESERVE_BYTES - 1)
    assert not reserve.may_be_filled()
    fill_disk(monkeypatch, 2 * RESERVE_BYTES)
    assert reserve.may_be_filled()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EOPNOTSUPP, errno.EISDIR])
def test_where_none_can_be_made_there_is_none_to_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", failing(code))
    reserve = DiskReserve(str(tmp_path))
    assert reserve.held
    assert not reserve.disk_is_full()
    fill_disk(monkeypatch)
    assert reserve.disk_is_full()
    assert reserve.release()
    assert not reserve.held
