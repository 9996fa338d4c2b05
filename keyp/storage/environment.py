"""The LMDB environment of one data directory: open it, know its sub-databases, sync it, close it.

Rules. One process has a directory open at a time (an exclusive lock on `keyp.lock` says so), and one object in that
process; never across a fork. Handles of sub-databases are opened here or inside the writer's transaction, and become
visible to readers only after the commit that created them: LMDB allows no other order.

What is in the sub-databases is the business of `keyspace.py` and its neighbours; this file knows only their names.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from typing import Any, Final

import lmdb

from keyp.errors import DISK_FULL, OUT_OF_SPACE
from keyp.storage import layout
from keyp.storage.room import RESERVE_BYTES, Reserve

Database = Any  # a handle, `lmdb._Database`: private by name, public by use

ALWAYS: Final = "always"
EVERYSEC: Final = "everysec"
NO: Final = "no"

# Address space, not disk: a map this large is never outgrown, and growth is no event.
MAP_BYTES: Final = 1 << 40

DATA_FILE: Final = "data.mdb"

# More spaces than databases may exist: flushed ones wait here until the sweeper has cleared them.
SPARE_SPACES: Final = 64


class StoreError(Exception):
    """The data directory cannot be used; the text says why, for the person who starts the server."""


class Space:
    """The handles of one space's three sub-databases; valid as long as the environment is open."""

    def __init__(self, number: int, keys: Database, elements: Database, expiry: Database) -> None:
        self.number = number
        self.keys = keys
        self.elements = elements
        self.expiry = expiry


class DatabaseList:
    """Which space each database uses, as of one transaction id. Never changed, only replaced."""

    def __init__(self, transaction_id: int, raw: bytes | None, spaces: list[Space | None]) -> None:
        self.transaction_id = transaction_id
        self.raw = raw
        self.spaces = spaces


class Environment:
    """An open data directory.

    `spaces` maps space numbers to handles that any transaction may use; `databases` is how many Redis databases the
    server offers. Raises `StoreError` where the directory cannot be opened, is in use, or holds something else.
    """

    def __init__(self, path: str, databases: int = 16, fsync: str = ALWAYS, max_bytes: int = 0) -> None:
        self.path = os.path.abspath(path)
        self.databases = databases
        self.fsync = fsync
        self.max_bytes = max_bytes  # 0: as much as the disk has
        self.max_spaces = databases + SPARE_SPACES
        self._lock_fd = _lock_directory(self.path)
        try:
            self._open()
            self.reserve = Reserve(self.path)
        except lmdb.Error as error:
            self._unlock()
            raise StoreError(f"cannot open the store in {self.path}: {_lmdb_reason(error)}") from error
        except BaseException:
            self._unlock()
            raise

    def _open(self) -> None:
        self.spaces: dict[int, Space] = {}
        self.database_list: DatabaseList | None = None  # as last seen; `transaction.py` looks after it
        synced = self.fsync == ALWAYS
        self.lmdb = lmdb.open(
            self.path,
            map_size=MAP_BYTES,
            max_dbs=3 * self.max_spaces + 2,
            mode=0o600,
            sync=synced,
            metasync=synced,
            max_spare_txns=8,
            lib_version=0,
        )
        try:
            with self.lmdb.begin(write=True) as txn:
                self._check_format(txn)
                self.meta: Database = self.lmdb.open_db(b"meta", txn=txn)
                self.garbage: Database = self.lmdb.open_db(b"garbage", txn=txn)
                listed = layout.unpack_numbers(txn.get(b"databases", b"", self.meta))
                for number in filter(None, listed[: self.databases]):
                    self.spaces[number] = self.open_space(txn, number)
        except BaseException:
            self.lmdb.close()
            raise

    def _names(self, txn: lmdb.Transaction[bytes]) -> list[bytes]:
        with txn.cursor() as cursor:
            return list(cursor.iternext(keys=True, values=False))

    def _check_format(self, txn: lmdb.Transaction[bytes]) -> None:
        """Refuses what is not ours before a byte of it is changed; marks a new environment as ours."""
        names = self._names(txn)
        if not names:
            meta = self.lmdb.open_db(b"meta", txn=txn)
            txn.put(b"format", layout.number(layout.FORMAT), db=meta)
            return
        if b"meta" not in names or b"garbage" not in names:
            raise StoreError(f"{self.path} holds an LMDB file of another program; it was not touched")
        found = txn.get(b"format", db=self.lmdb.open_db(b"meta", txn=txn))
        if found is None or len(found) != 8:
            raise StoreError(f"{self.path} holds an LMDB file of another program; it was not touched")
        version = layout.read_number(found)
        if version != layout.FORMAT:
            raise StoreError(
                f"{self.path} is in format {version}; this Keyp reads format {layout.FORMAT}; it was not touched"
            )

    def open_space(self, txn: lmdb.Transaction[bytes], number: int) -> Space:
        """The handles of space `number`, created where it is new. Not for other transactions before `txn` commits."""
        suffix = b":%d" % number
        return Space(
            number,
            self.lmdb.open_db(b"keys" + suffix, txn=txn),
            self.lmdb.open_db(b"elements" + suffix, txn=txn),
            self.lmdb.open_db(b"expiry" + suffix, txn=txn),
        )

    def reopen(self, fsync: str) -> None:
        """Closes the environment and opens it anew, synced as `fsync` says. No transaction may be open.

        Raises `StoreError` where it cannot be opened again; it is closed then.
        """
        if fsync == ALWAYS and self.fsync != ALWAYS:
            self.sync()
        self.fsync = fsync
        self.lmdb.close()
        try:
            self._open()
        except lmdb.Error as error:
            raise StoreError(f"cannot open the store in {self.path} again: {_lmdb_reason(error)}") from error

    def rewrite(self) -> None:
        """Writes all data to a new file, syncs it and puts it in the old one's place. No transaction may be open.

        After a sync has failed, nobody knows which pages are on the disk, and the kernel will not write them again by
        itself; a new file holds them all. `reopen` must follow at once. Raises OSError or `lmdb.Error`; the old file
        is still in its place then.
        """
        copy_to(self, os.path.join(self.path, DATA_FILE))

    def growth_refusal(self) -> str:
        """The error for writes that add data; empty while there is room for them.

        There is room below the limit, and only as long as enough is left to delete with: the reserve on the disk, or
        as many free pages in the file.
        """
        if self.max_bytes and self._live_bytes() >= self.max_bytes:
            return OUT_OF_SPACE
        if self.reserve.held or self._file_bytes() - self._live_bytes() >= RESERVE_BYTES:
            return ""
        return DISK_FULL

    def _file_bytes(self) -> int:
        return (self.lmdb.info()["last_pgno"] + 1) * self.lmdb.stat()["psize"]

    def _live_bytes(self) -> int:
        """What the pages in use add up to. A look at the header of each sub-database, whatever it holds."""
        with self.lmdb.begin() as txn:
            stats = [txn.stat(self.meta), txn.stat(self.garbage)]
            for space in list(self.spaces.values()):
                stats += [txn.stat(space.keys), txn.stat(space.elements), txn.stat(space.expiry)]
        pages = sum([stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"] for stat in stats])
        return pages * stats[0]["psize"]

    def sync(self) -> None:
        """Brings every commit so far to the disk; returns when it is there. Raises `lmdb.Error` where that fails."""
        self.lmdb.sync(True)

    def close(self) -> None:
        """Syncs, closes and unlocks. No transaction may be open."""
        try:
            self.lmdb.sync(True)
        finally:
            self.lmdb.close()
            self._unlock()

    def _unlock(self) -> None:
        os.close(self._lock_fd)


def copy_to(environment: Environment, target: str) -> None:
    """Writes a compact copy of one consistent moment to the file `target`, synced and named only when it is whole.

    Writers go on meanwhile. Raises OSError or `lmdb.Error`; `target` is then what it was.
    """
    partial = f"{target}.{os.getpid()}.partial"
    try:
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            environment.lmdb.copyfd(fd, compact=True)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(partial, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(partial)
        raise
    sync_directory(os.path.dirname(target))


def sync_directory(path: str) -> None:
    """Brings a directory's list of names to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _lock_directory(path: str) -> int:
    """Makes the directory if need be and takes its exclusive lock; returns the descriptor that holds it."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        fd = os.open(os.path.join(path, "keyp.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"cannot use the data directory {path}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise StoreError(f"cannot lock the data directory {path}: {error.strerror}") from error
        raise StoreError(f"the data directory {path} is in use by another Keyp") from error
    return fd


def _lmdb_reason(error: lmdb.Error) -> str:
    reason = getattr(error, "reason", None)
    return str(reason) if reason else str(error)
