"""The LMDB environment of one data directory: open it, know its sub-databases, sync it, close it.

Rules. One process serves a directory at a time (an exclusive lock on `keyp.lock` says so), and one object in that
process; never across a fork. Other processes may read, through `reader.py`. Handles of sub-databases are opened here or
inside the writer's transaction, and become visible to readers only after the commit that created them: LMDB allows no
other order.

What is in the sub-databases is known to `keyp.storage.keys` and `keyp.storage.types`; this file knows only their names.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Final, TypeAlias

import lmdb

from keyp.errors import DISK_FULL, OUT_OF_SPACE
from keyp.storage.lmdb import layout, locks, shutdown_marker, verification
from keyp.storage.lmdb.disk_reserve import RESERVE_BYTES, RESERVE_FILE, DiskReserve, allocate
from keyp.storage.lmdb.errors import Damaged, StoreError
from keyp.storage.lmdb.hot_copy import CopyFailed, HotCopy, sync_directory
from keyp.storage.lmdb.meta_pages import is_sound_record
from keyp.storage.lmdb.preallocation import Preallocation

Database = Any  # a handle, `lmdb._Database`: private by name, public by use
Engine: TypeAlias = lmdb.Environment
Transaction: TypeAlias = "lmdb.Transaction[bytes]"

ALWAYS: Final = "always"
EVERYSEC: Final = "everysec"
NO: Final = "no"

# Address space, not disk: large enough that the map never has to grow.
MAP_BYTES: Final = 1 << 40

NO_ADDRESS_SPACE: Final = (
    "the system does not let this process have 1 TiB of address space, of which only what holds data takes up memory; "
    "`ulimit -v unlimited`, or LimitAS=infinity under systemd, lifts a limit"
)

DATA_FILE: Final = "data.mdb"
LMDB_LOCK_FILE: Final = "lock.mdb"
LMDB_LOCK_BYTES: Final = 8192  # as LMDB makes it for 126 readers

# What is made beside a data file when it is opened.
MADE_BESIDE: Final = (locks.LOCK_FILE, shutdown_marker.CRASH_FILE, RESERVE_FILE, LMDB_LOCK_FILE)

# The numbers, or lists of them, that `meta` holds, each with a checksum; only the format has none.
OWN_NUMBERS: Final = (b"version", b"collections", b"databases")

# More spaces than databases may exist: flushed ones wait here until the sweeper has cleared them.
SPARE_SPACES: Final = 64


class Space:
    """The handles of one space's three sub-databases; valid as long as the environment is open."""

    def __init__(self, number: int, keys: Database, elements: Database, expiry: Database) -> None:
        self.number = number
        self.keys = keys
        self.elements = elements
        self.expiry = expiry


class DatabaseList:
    """Which space each database uses, as of one transaction id. Never changed, only replaced.

    `has_long` collects what is known of sub-databases as of that id: whether any data in them are longer than a page.
    """

    def __init__(self, transaction_id: int, raw: bytes | None, spaces: list[Space | None]) -> None:
        self.transaction_id = transaction_id
        self.raw = raw
        self.spaces = spaces
        self.has_long: dict[Any, bool] = {}


class Store:
    """An LMDB environment of ours that is open, and the handles in it: what a transaction needs to know.

    `spaces` maps space numbers to handles that any transaction may use; `databases` is how many Redis databases there
    are.
    """

    path: str
    databases: int
    lmdb: Engine
    meta: Database
    garbage: Database
    spaces: dict[int, Space]
    database_list: DatabaseList | None  # as last seen; `transaction.py` looks after it

    def records(self, txn: Transaction) -> dict[bytes, bytes]:
        """The names of all sub-databases, and what LMDB has written of each."""
        with txn.cursor() as cursor:
            return dict(cursor.iternext())

    def refuse_foreign(self, txn: Transaction, records: dict[bytes, bytes]) -> None:
        """Raises `StoreError` where sub-databases with these records are not a store in the format known here.

        Raises `Damaged` where something is written of one that cannot be; LMDB would believe it.
        """
        last_page = self.lmdb.info()["last_pgno"]
        damaged = [name for name, record in records.items() if not is_sound_record(record, last_page)]
        found = None
        if b"meta" in records and b"garbage" in records:
            if b"meta" in damaged:
                raise Damaged("what is written of the sub-database 'meta' cannot be")
            found = txn.get(b"format", db=self.lmdb.open_db(b"meta", txn=txn))
        if found is None or len(found) != 8:
            raise StoreError(f"an LMDB file of another program; it was not touched: {self.path}")
        version = layout.read_number(found)
        if version != layout.FORMAT:
            raise StoreError(
                f"the store is in format {version}, this Keyp reads {layout.FORMAT}; it was not touched: {self.path}"
            )
        for name in damaged:
            raise Damaged(f"what is written of the sub-database {name.decode(errors='replace')!r} cannot be")

    def own(self, txn: Transaction, name: bytes) -> bytes:
        """What `put_own` wrote under a name. Raises `Damaged`."""
        raw: bytes | None = txn.get(name, None, self.meta)
        if raw is None or not layout.is_intact(name, raw):
            raise Damaged(f"the entry {name.decode()!r} of meta is not what was written")
        return raw[: -layout.CHECKSUM]

    def put_own(self, txn: Transaction, name: bytes, data: bytes) -> None:
        """Writes one of the store's own numbers, or a list of them, where no command runs."""
        txn.put(name, layout.with_checksum(name, data), db=self.meta)

    def live_bytes(self) -> int:
        """What the pages in use add up to. A look at the header of each sub-database, whatever it holds."""
        with self.lmdb.begin() as txn:
            return self.live_bytes_in(txn)

    def live_bytes_in(self, txn: Transaction) -> int:
        """The same, as a transaction shows it."""
        stats = [txn.stat(self.meta), txn.stat(self.garbage)]
        for space in list(self.spaces.values()):
            stats += [txn.stat(space.keys), txn.stat(space.elements), txn.stat(space.expiry)]
        pages = sum([stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"] for stat in stats])
        return pages * stats[0]["psize"]


class Environment(Store):
    """A data directory that is open to be served.

    Raises `StoreError` where the directory cannot be opened, is in use, or holds something else. `notices` are warnings
    for the log. With `note_crashes` a fatal signal is recorded for the next opening.

    `version`, `collections` and `database_spaces` are what `meta` says as of the last commit: there is no other writer,
    so a transaction need not read them. `changes` is how many changes of the data have been committed since the
    directory was opened.
    """

    version: int
    collections: int
    database_spaces: bytes

    def __init__(
        self, path: str, databases: int = 16, fsync: str = ALWAYS, max_bytes: int = 0, note_crashes: bool = False
    ) -> None:
        self.path = os.path.abspath(path)
        self.databases = databases
        self.fsync = fsync
        self.max_bytes = max_bytes  # 0: as much as the disk has
        self.max_spaces = databases + SPARE_SPACES
        self.changes = 0
        self.notices: list[str] = []
        self._data_file = os.path.join(self.path, DATA_FILE)
        self._crash_marker: shutdown_marker.CrashMarker | None = None
        self._preallocation: Preallocation | None = None
        self._identity = (0, 0)  # the device and the inode of the data file that is open
        self._alone_fd = -1  # keeps readers from outside away while the data file is exchanged
        made = [name for name in MADE_BESIDE if not os.path.exists(os.path.join(self.path, name))]
        self._lock_fd = locks.take_directory(self.path)
        try:
            self._start(note_crashes)
        except BaseException as error:
            self._leave(made)
            if isinstance(error, (lmdb.Error, OSError, Damaged)):
                raise StoreError(f"cannot open the store: {lmdb_reason(error)}: {self.path}") from error
            raise

    def _start(self, note_crashes: bool) -> None:
        """Opens what is there if it may be opened, or makes a new store."""
        is_new = not os.path.lexists(self._data_file)
        if not is_new:
            self._look_first()
        elif shutdown_marker.had_data_file(self._data_file):
            beside = f"without {locks.LOCK_FILE} a new store is made"
            raise StoreError(f"the data file is gone; a backup may have it, {beside}: {self.path}")
        if note_crashes:
            self._crash_marker = shutdown_marker.CrashMarker(self.path)
        self.reserve = DiskReserve(self.path)
        self._make_room_for_locks()
        if is_new:
            self._create()
        self._open()
        if not self.notices or self._rewrite_meta_pages():
            shutdown_marker.mark_running(self._lock_fd, self.fsync)

    def _look_first(self) -> None:
        """Verifies the data file where there is a reason to. Raises `StoreError`, OSError."""
        try:
            reason = verification.reason_to_verify(self._data_file)
        except verification.Unusable as error:
            raise StoreError(f"cannot use the data file, {error}: {self._data_file}") from error
        if not reason:
            return
        problems = verification.problems(self._data_file)
        if problems:
            raise StoreError(
                f"the store is damaged; keyp check tells more, a backup may help: {self.path} ({reason}; {problems[0]})"
            )
        verification.lengthen(self._data_file)
        self.notices.append(f"the store's structure was verified and is sound; the reason was that {reason}")

    def _rewrite_meta_pages(self) -> bool:
        """Writes both meta pages anew, by two commits, after a verification. Whether that succeeded."""
        try:
            for _ in range(2):
                self.try_to_write()
        except lmdb.Error:
            self.lmdb.close()
            self._open()
            return False
        return True

    def _make_room_for_locks(self) -> None:
        """LMDB maps its lock file and writes to it; where a full disk has no page for that, a signal would follow."""
        fd = os.open(os.path.join(self.path, LMDB_LOCK_FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            allocate(fd, LMDB_LOCK_BYTES)
        except OSError:
            self.reserve.release()
            allocate(fd, LMDB_LOCK_BYTES)
        finally:
            os.close(fd)

    def _create(self) -> None:
        """Makes an empty store. It gets its name when it is whole, so that an empty data file is always damage."""
        partial = self._data_file + ".new"
        with suppress(FileNotFoundError):
            os.unlink(partial)
        try:
            synced = self.fsync != NO
            self.lmdb = lmdb.open(
                partial, subdir=False, lock=False, mode=0o600, max_dbs=2, sync=synced, metasync=synced, lib_version=0
            )
            with self.lmdb, self.lmdb.begin(write=True) as txn:
                self.meta = self.lmdb.open_db(b"meta", txn=txn)
                self.lmdb.open_db(b"garbage", txn=txn)
                txn.put(b"format", layout.number(layout.FORMAT), db=self.meta)
                for name in OWN_NUMBERS:
                    self.put_own(txn, name, layout.number(0))
            os.rename(partial, self._data_file)
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)
            raise

    def _open(self) -> None:
        self.spaces = {}
        self.database_list = None
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
            self.forget_dead_readers()
            with self.lmdb.begin(write=True) as txn:
                records = self.records(txn)
                self.refuse_foreign(txn, records)
                self.meta = self.lmdb.open_db(b"meta", txn=txn)
                self.garbage = self.lmdb.open_db(b"garbage", txn=txn)
                numbers = {name: self.own(txn, name) for name in OWN_NUMBERS}
                self.version = layout.read_number(numbers[b"version"])
                self.collections = layout.read_number(numbers[b"collections"])
                self.database_spaces = numbers[b"databases"].ljust(self.databases * layout.NUMBER, b"\0")
                listed = layout.unpack_numbers(numbers[b"databases"])
                for number in filter(None, listed[: self.databases]):
                    if not {b"%s:%d" % (part, number) for part in (b"keys", b"elements", b"expiry")} <= set(records):
                        raise Damaged(f"space {number} serves a database and is not there")
                    self.spaces[number] = self.open_space(txn, number)
            self._sync_name()
            self._identity = self._found()
            self._page_bytes = int(self.lmdb.stat()["psize"])
            self._preallocation = Preallocation(self._data_file, self._file_bytes())
        except BaseException:
            self.lmdb.close()
            raise

    def _found(self) -> tuple[int, int]:
        """The device and the inode that the data file's name stands for now. Raises OSError."""
        about = os.stat(self._data_file)
        return about.st_dev, about.st_ino

    def displaced(self) -> str:
        """Why the data file that is open is not to be found under its name any more; empty where it is."""
        try:
            found = self._found()
        except (FileNotFoundError, NotADirectoryError):
            return f"the data file is gone: {self._data_file}"
        except OSError:
            return ""  # which does not say that it is not there
        return "" if found == self._identity else f"another file has taken the data file's place: {self._data_file}"

    def _sync_name(self) -> None:
        """A file whose name is not on the disk is lost in a power cut, with all that was synced to it."""
        try:
            sync_directory(self.path)
        except OSError as error:
            raise StoreError(f"cannot sync the data directory: {error.strerror}: {self.path}") from error

    def open_space(self, txn: Transaction, number: int) -> Space:
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

        Raises `StoreError` where it cannot be opened again; it is closed then, but not where the file is gone.
        """
        if self._lock_fd < 0:
            raise StoreError(f"the store is closed: {self.path}")
        gone = self.displaced()  # LMDB would make a new one, or take up another's
        if gone:
            raise StoreError(gone)
        if fsync == ALWAYS and self.fsync != ALWAYS:
            self.sync()
        self.fsync = fsync
        self._close_file()
        try:
            self._open()
        except (lmdb.Error, OSError, Damaged) as error:
            raise StoreError(f"cannot open the store again: {lmdb_reason(error)}: {self.path}") from error
        finally:
            self._let_readers_come()
        shutdown_marker.mark_running(self._lock_fd, fsync)

    def rewrite(self) -> None:
        """Writes all data to a new file, syncs it and puts it in the old one's place. No transaction may be open.

        After a sync has failed it is unknown which pages are on the disk, and the kernel will not write them again by
        itself; a new file holds them all. `reopen` must follow at once. Raises `CopyFailed`, also while a backup is
        being made; the old file is still in its place then.
        """
        gone = self.displaced()
        if gone:
            raise CopyFailed(gone)
        copy = HotCopy(self._data_file)
        try:
            copy.write(self.lmdb, self.live_bytes())
            self._keep_readers_away()
            try:
                copy.publish()
            finally:  # it may have its name although the disk does not know it
                with suppress(OSError):
                    self._identity = self._found()
        finally:
            copy.close()

    def _keep_readers_away(self) -> None:
        if self._alone_fd < 0:
            try:
                self._alone_fd = locks.hold_data_file(self.path, alone=True)
            except StoreError as error:
                raise CopyFailed(str(error)) from error

    def _let_readers_come(self) -> None:
        if self._alone_fd >= 0:
            os.close(self._alone_fd)
            self._alone_fd = -1

    def growth_refusal(self) -> str:
        """The error for writes that add data; empty while there is room for them.

        There is room below the limit, and only while enough is left for deletions: the reserve on the disk, or as many
        free pages in the file.
        """
        if self.max_bytes and self.live_bytes() >= self.max_bytes:
            return OUT_OF_SPACE
        if self.reserve.held or self._file_bytes() - self.live_bytes() >= RESERVE_BYTES:
            return ""
        return DISK_FULL

    def make_room(self) -> str:
        """Readies the end of the data file for what the next commit may add; `growth_refusal`.

        No transaction may write meanwhile.
        """
        if not self.reserve.held:
            return self.growth_refusal()
        if self._preallocation is not None:
            self._preallocation.keep_ahead(self._file_bytes())
        return self.growth_refusal() if self.max_bytes else ""

    def expect(self, new_bytes: int) -> None:
        """Readies the end of the data file for so many bytes that the transaction under way is going to add."""
        if self._preallocation is not None and self.reserve.held:
            self._preallocation.expect(new_bytes)

    def _file_bytes(self) -> int:
        """Up to the end of the last page that is, or has been, in use."""
        return (int(self.lmdb.info()["last_pgno"]) + 1) * self._page_bytes

    def forget_dead_readers(self) -> int:
        """Frees the pages held by snapshots of processes that have died; how many snapshots.

        LMDB never reuses a page that a snapshot may still show, and looks for dead processes only when asked to. Costs
        a check of each reading process.
        """
        return int(self.lmdb.reader_check())

    def sync(self) -> None:
        """Brings every commit so far to the disk; returns when it is there. Raises `lmdb.Error` where that fails."""
        self.lmdb.sync(True)

    def is_full(self) -> bool:
        """Whether writes that add data are refused because the disk has no room for them."""
        return self.growth_refusal() == DISK_FULL

    def is_readable(self) -> bool:
        """Whether transactions can begin: not after a commit that failed half-way, before it is opened anew."""
        try:
            self.lmdb.begin().abort()
        except lmdb.Error:
            return False
        return True

    def try_to_write(self) -> None:
        """Commits and syncs something that changes nothing. Raises `lmdb.Error` where the disk does not take it."""
        with self.lmdb.begin(write=True) as txn:
            self.put_own(txn, b"version", self.own(txn, b"version"))
        self.sync()

    def _close_file(self) -> None:
        self.lmdb.close()
        if self._preallocation is not None:
            self._preallocation.close()
            self._preallocation = None

    def close(self) -> None:
        """Syncs, closes and unlocks. No transaction may be open. Raises `StoreError` where the sync fails."""
        try:
            self.lmdb.sync(True)
            self._close_file()
            shutdown_marker.mark_closed(self._lock_fd, self._data_file)
        except (lmdb.Error, OSError) as error:
            raise StoreError(f"cannot sync the store: {lmdb_reason(error)}: {self.path}") from error
        finally:
            self._leave([])

    def _leave(self, made: list[str]) -> None:
        """Closes what is open, and removes those of the files beside the data file that are named in `made`."""
        if hasattr(self, "lmdb"):
            self._close_file()
        if self._crash_marker is not None:
            self._crash_marker.remove()
        for name in made:
            with suppress(OSError):
                os.unlink(os.path.join(self.path, name))
        os.close(self._lock_fd)
        self._lock_fd = -1  # another file may get the number


def lmdb_reason(error: Exception) -> str:
    """What went wrong, in the words of the system or of LMDB where they have some."""
    if isinstance(error, lmdb.MemoryError):
        return NO_ADDRESS_SPACE
    text = error.strerror if isinstance(error, OSError) else getattr(error, "reason", None)
    return str(text or error)
