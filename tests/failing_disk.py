"""A disk that fails under LMDB: put in LMDB's place, for that is what compiled modules ask as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lmdb

from tests.fakes import Lab


def error_with(code: int) -> lmdb.Error:
    error = lmdb.Error("mdb_txn_commit")
    error.__dict__["code"] = code  # as the library does where it raises one; its stubs say that others may not
    return error


class FailingTransaction:
    """A write transaction of LMDB that asks `disk` before it commits."""

    def __init__(self, real: Any, disk: FailingDisk) -> None:
        self.real = real
        self._disk = disk

    def commit(self) -> None:
        self._disk.fail_if_due()
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
    """An LMDB environment whose commits and syncs fail with `error`: `times` of them, after `spared` that do not."""

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

    def begin(self, *args: Any, **options: Any) -> Any:
        real = self.real.begin(*args, **options)
        return FailingTransaction(real, self) if options.get("write") else real

    def open_db(self, name: bytes, txn: Any = None, **options: Any) -> Any:
        return self.real.open_db(name, txn=getattr(txn, "real", txn), **options)

    def sync(self, force: bool) -> None:
        self.fail_if_due()
        self.real.sync(force)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@contextmanager
def failing(lab: Lab, error: lmdb.Error, times: int = 1 << 30, spared: int = 0) -> Iterator[None]:
    """Commits and syncs fail as in `FailingDisk` until the store is opened anew or the block is left."""
    disk: Any = FailingDisk(lab.environment.lmdb, error, times, spared)
    lab.environment.lmdb = disk
    try:
        yield
    finally:
        present: Any = lab.environment.lmdb
        if present is disk:
            lab.environment.lmdb = disk.real
