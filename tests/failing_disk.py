"""A disk that fails: under LMDB's commits, and where files are synced.

It is put in the place of LMDB and of the system's calls, for those are what compiled modules ask as well.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lmdb
import pytest

from keyp.storage.lmdb.journal import RING_FILE
from keyp.storage.lmdb.store import DATA_FILE
from tests.fakes import Lab

__all__ = ["DATA_FILE", "RING_FILE", "FailingSyncs", "error_with", "failing", "failing_syncs"]


def error_with(code: int) -> lmdb.Error:
    error = lmdb.Error("mdb_txn_commit")
    error.__dict__["code"] = code  # as the library does where it raises one; its stubs say that others may not
    return error


class FailingTransaction:
    """A write transaction of LMDB that asks `disk` before it commits."""

    def __init__(self, real: Any, disk: FailingDisk) -> None:
        self.real = real
        self.disk: Any = disk

    def commit(self) -> None:
        try:
            self.disk.fail_if_due()
        except lmdb.Error:
            self.real.abort()
            raise
        self.real.commit()

    def __enter__(self) -> FailingTransaction:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.real.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class FailingDisk:
    """An LMDB environment whose commits fail with `error`: `times` of them, after `spared` that do not."""

    def __init__(self, real: Any, error: lmdb.Error, times: int, spared: int = 0) -> None:
        self.real = real
        self._error = error
        self._left = times
        self._spared = spared

    def fail_if_due(self) -> None:
        if self._spared > 0:
            self._spared -= 1
        elif self._left > 0:
            self._left -= 1
            raise self._error

    def heal(self) -> None:
        """Nothing fails any more, not in a transaction that is open either."""
        self._left = 0

    def begin(self, *args: Any, **options: Any) -> Any:
        real = self.real.begin(*args, **options)
        return FailingTransaction(real, self) if options.get("write") else real

    def open_db(self, name: bytes, txn: Any = None, **options: Any) -> Any:
        return self.real.open_db(name, txn=getattr(txn, "real", txn), **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@contextmanager
def failing(lab: Lab, error: lmdb.Error, times: int = 1 << 30, spared: int = 0) -> Iterator[None]:
    """Commits fail as in `FailingDisk` until the store is opened anew or the block is left."""
    disk: Any = FailingDisk(lab.environment.lmdb, error, times, spared)
    lab.environment.lmdb = disk
    try:
        yield
    finally:
        disk.heal()
        present: Any = lab.environment.lmdb
        if present is disk:
            lab.environment.lmdb = disk.real


class FailingSyncs:
    """Syncs of the files with this name fail: `times` of them, after `spared`. `counts` are those of each file.

    What is put into `meanwhile` is called once, while the next sync of such a file is under way.
    """

    def __init__(self, name: str, code: int, times: int, spared: int, real: Callable[[int], None]) -> None:
        self.counts: dict[str, int] = {}
        self.meanwhile: Callable[[], object] | None = None
        self._name = name
        self._code = code
        self._left = times
        self._spared = spared
        self._real = real

    def __call__(self, fd: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
        self.counts[name] = self.counts.get(name, 0) + 1
        if name == self._name:
            meanwhile, self.meanwhile = self.meanwhile, None
            if meanwhile is not None:
                meanwhile()
            if self._spared > 0:
                self._spared -= 1
            elif self._left > 0:
                self._left -= 1
                raise OSError(self._code, os.strerror(self._code))
        self._real(fd)


@contextmanager
def failing_syncs(name: str, times: int = 1 << 30, spared: int = 0, code: int = errno.EIO) -> Iterator[FailingSyncs]:
    """Syncs fail as in `FailingSyncs`, in all stores of this process, until the block is left."""
    syncs = FailingSyncs(name, code, times, spared, os.fdatasync)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keyp.storage.journal.ring.fdatasync", syncs)
        patch.setattr("keyp.storage.journal.paced_sync.fdatasync", syncs)
        yield syncs
