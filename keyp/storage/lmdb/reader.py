"""A store as one snapshot shows it, for other processes than its server: backup, restore, check. Read-only.

A server may have the store open at the same time; LMDB's lock file tells it which pages are being read. A backup has no
such file, and none is made beside it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from time import sleep
from typing import Final

import lmdb

from keyp.storage.lmdb import layout, locks, start, verification
from keyp.storage.lmdb.environment import MADE_BESIDE, Environment
from keyp.storage.lmdb.errors import Damaged, MustReopen, StoreError
from keyp.storage.lmdb.journal import RING_FILE
from keyp.storage.lmdb.store import DATA_FILE, MAP_BYTES, Space, Store, lmdb_reason
from keyp.storage.lmdb.transaction import ReadTransaction
from keyp.storage.lmdb.write_back import SHOWN_S

LOCK_FILE: Final = "lock.mdb"

DATABASES_MAX: Final = 1024

# More sub-databases than any server makes.
NAMES_MAX: Final = 4096


def give_to_owner(path: str, example: str) -> None:
    """What root makes beside a store must be readable for the server, which may run as another user."""
    if os.geteuid() == 0:
        owner = os.stat(example)
        with suppress(OSError):
            os.chown(path, owner.st_uid, owner.st_gid)


def recover(path: str) -> bool:
    """Has a store that was not closed become what was committed last, as a start would; whether it has a journal.

    Without that it is never read: after a power cut it need not be a store. Raises `StoreError`, OSError.
    """
    ring_file = os.path.join(path, RING_FILE)
    if start.needs_recovery(path):
        made = [file for file in [os.path.join(path, name) for name in MADE_BESIDE] if not os.path.exists(file)]
        try:
            Environment(path, DATABASES_MAX, journal_bytes=os.stat(ring_file).st_size).close()
        except StoreError:
            if not locks.is_taken(path):  # by a server, which has done it
                raise
        for file in filter(os.path.exists, made):
            give_to_owner(file, os.path.join(path, DATA_FILE))
    return os.path.exists(ring_file)


class DatabaseSize:
    """What one Redis database holds; `bytes` are those of its pages."""

    def __init__(self, index: int, keys: int, deadlines: int, elements: int, size: int) -> None:
        self.index = index
        self.keys = keys
        self.deadlines = deadlines
        self.elements = elements
        self.bytes = size


class StoreReader(Store):
    """The store in the directory or the data file `path`, open until `close`; `snapshot` is all that it shows.

    `beside_server` says that a server may start or stop meanwhile; without it, a server is only expected where one has
    been. `is_fresh` says that LMDB has written the file just now: its pages are not judged before LMDB reads them, what
    takes Python 40 ms. Raises `StoreError` where there is no store, or none that is safe to open.
    """

    def __init__(self, path: str, beside_server: bool = False, is_fresh: bool = False) -> None:
        self.path = os.path.abspath(path)
        self.spaces = {}
        self.database_list = None
        self.numbers: list[int] = []  # the space of each database
        self.damage = ""  # why `numbers` could not be read
        self._held_fd = -1
        is_directory = os.path.isdir(self.path)
        self.data_file = os.path.join(self.path, DATA_FILE) if is_directory else self.path
        shared = beside_server or (is_directory and os.path.exists(os.path.join(self.path, LOCK_FILE)))
        if not is_fresh:
            self._look_before_opening(shared)
        lock_file = os.path.join(self.path, LOCK_FILE)
        makes_lock_file = shared and not os.path.exists(lock_file)
        try:
            self.lmdb = lmdb.open(
                self.path,
                map_size=MAP_BYTES,
                max_dbs=NAMES_MAX,
                subdir=is_directory,
                mode=0o600,
                readonly=True,
                create=False,
                lock=shared,
                lib_version=0,
            )
            if makes_lock_file:
                give_to_owner(lock_file, self.data_file)
            self.snapshot = ReadTransaction(self, 0)
        except (lmdb.Error, MustReopen) as error:
            self._let_go()
            raise self._cannot(lmdb_reason(error)) from error
        try:
            self._open_handles()
        except (lmdb.Error, Damaged) as error:
            self.close()
            raise self._cannot(lmdb_reason(error)) from error
        except BaseException:
            self.close()
            raise

    def _cannot(self, reason: str) -> StoreError:
        return StoreError(f"cannot open the store in {self.path}: {reason}")

    def _look_before_opening(self, shared: bool) -> None:
        """Verifies a file that no server has open, since LMDB trusts its contents; a server has verified its own."""
        try:
            served = shared and locks.is_taken(self.path)
            if served:
                sleep(2 * SHOWN_S)  # by then it shows what has been answered by now
            else:
                self._verify()
            if shared:
                self._held_fd = locks.hold_data_file(self.path, alone=False)
                if served and not locks.is_taken(self.path):  # it may have died before it had recovered the store
                    self._let_go()
                    self._look_before_opening(shared)
        except FileNotFoundError:
            raise StoreError(f"there is no store in {self.path}") from None
        except OSError as error:
            raise self._cannot(str(error.strerror)) from error
        except verification.Unusable as error:
            raise self._cannot(str(error)) from error

    def _verify(self) -> None:
        is_journaled = os.path.isdir(self.path) and recover(self.path)
        doubt = verification.reason_to_verify(self.data_file, is_journaled)
        if doubt and verification.problems(self.data_file):
            raise self._cannot(f"{doubt}; keyp check tells more")

    def _open_handles(self) -> None:
        """Opens them inside the snapshot, so that they are those of its moment."""
        txn = self.snapshot.txn
        names = self.records(txn)
        self.refuse_foreign(txn, names)
        self.meta = self.lmdb.open_db(b"meta", txn=txn)
        self.garbage = self.lmdb.open_db(b"garbage", txn=txn)
        for name in names:
            if name.startswith(b"keys:") and name[5:].isdigit():
                self._open_space(int(name[5:]))
        try:
            self.numbers = layout.unpack_numbers(self.own(txn, b"databases"))
        except Damaged as error:
            self.damage = str(error)
        self.databases = len(self.numbers)

    def _open_space(self, number: int) -> None:
        names = [b"%b:%d" % (what, number) for what in (b"keys", b"elements", b"expiry")]
        self.spaces[number] = Space(
            number, *[self.lmdb.open_db(name, txn=self.snapshot.txn, create=False) for name in names]
        )

    def sizes(self) -> list[DatabaseSize]:
        """What each database that is not empty holds, keys past their deadline included."""
        found = []
        for index, number in enumerate(self.numbers):
            space = self.spaces.get(number)
            if space is not None:
                stats = [self.snapshot.txn.stat(database) for database in (space.keys, space.expiry, space.elements)]
                pages = sum([stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"] for stat in stats])
                keys, deadlines, elements = [stat["entries"] for stat in stats]
                if keys or elements:
                    found.append(DatabaseSize(index, keys, deadlines, elements, pages * stats[0]["psize"]))
        return found

    def file_bytes(self) -> int:
        """The size of the data file."""
        return os.stat(self.data_file).st_size

    def close(self) -> None:
        """Closes everything."""
        self.snapshot.close()
        self.lmdb.close()
        self._let_go()

    def _let_go(self) -> None:
        if self._held_fd >= 0:
            os.close(self._held_fd)
            self._held_fd = -1

    def __enter__(self) -> StoreReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
