"""The LMDB environment of one data directory: open it, recover it, keep room for it, close it.

Rules. One process serves a directory at a time (an exclusive lock on `keyp.lock` says so), and one object in that
process; never across a fork. Other processes may read, through `reader.py`. Handles of sub-databases are opened here or
inside the writer's transaction, and become visible to readers only after the commit that created them: LMDB allows no
other order.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import lmdb

from keyp.errors import DISK_FULL, OUT_OF_SPACE
from keyp.storage.journal.redo import PUT
from keyp.storage.journal.ring import Ring
from keyp.storage.lmdb import checkpoint, layout, locks, ownership, shutdown_marker, start
from keyp.storage.lmdb.disk_reserve import RESERVE_BYTES, RESERVE_FILE, DiskReserve
from keyp.storage.lmdb.errors import Damaged, StoreError
from keyp.storage.lmdb.hot_copy import sync_directory
from keyp.storage.lmdb.journal import RING_FILE, SMALL_RING_BYTES, Journal
from keyp.storage.lmdb.preallocation import Preallocation
from keyp.storage.lmdb.replay import replay
from keyp.storage.lmdb.start import LMDB_LOCK_FILE
from keyp.storage.lmdb.store import (
    DATA_FILE,
    GARBAGE,
    MAP_BYTES,
    META,
    NO_SPACE,
    OWN_NUMBERS,
    PARTS,
    Database,
    Space,
    Store,
    Transaction,
    lmdb_reason,
    number_of,
    space_and_part,
)
from keyp.storage.lmdb.write_back import LEFT_OUT, WriteBack

ALWAYS: Final = "always"
EVERYSEC: Final = "everysec"
NO: Final = "no"

# What is made beside a data file when it is opened.
MADE_BESIDE: Final = (locks.LOCK_FILE, shutdown_marker.CRASH_FILE, RESERVE_FILE, LMDB_LOCK_FILE, RING_FILE)

# More spaces than databases may exist: flushed ones wait here until the sweeper has cleared them.
SPARE_SPACES: Final = 64


def _no_clock() -> int:
    return 0


class Environment(Store):
    """A data directory that is open to be served.

    Raises `StoreError` where the directory cannot be opened, is in use, or holds something else. `notices` are warnings
    for the log. With `note_crashes` a fatal signal is recorded for the next opening. `journal_bytes` is the size of the
    journal's ring, which is about what a start may have to replay and a checkpoint to write.

    `version`, `collections` and `database_spaces` are what `meta` says as of the last commit: there is no other writer,
    so a transaction need not read them. `changes` is how many changes of the data have been committed since the
    directory was opened, and `shown_changes` how many of them a snapshot shows. `fsync` is how commits are made
    durable, from the next one on. With `writes_back` LMDB's transaction stays open over commits that are not synced
    (`write_back.py`). `numbers` are those of sub-databases in the journal's records; `replayed` is how many records the
    last opening has replayed, and `replay_ns` how long that took by the clock `nanoseconds`.
    """

    version: int
    collections: int
    database_spaces: list[int]
    journal: Journal
    write_back: WriteBack
    reserve: DiskReserve

    def __init__(
        self,
        path: str,
        databases: int = 16,
        fsync: str = ALWAYS,
        max_bytes: int = 0,
        note_crashes: bool = False,
        journal_bytes: int = SMALL_RING_BYTES,
        nanoseconds: Callable[[], int] = _no_clock,
        writes_back: bool = False,
    ) -> None:
        self.path = os.path.abspath(path)
        self.databases = databases
        self.fsync = fsync
        self.max_bytes = max_bytes  # 0: as much as the disk has
        self.max_spaces = databases + SPARE_SPACES
        self.changes = 0
        self.shown_changes = 0
        self.writes_back = writes_back
        self.replayed = 0
        self.replay_ns = 0
        self.notices: list[str] = []
        self._nanoseconds = nanoseconds
        self.numbers: dict[Database, int] = {}
        self._journal_bytes = journal_bytes
        self._data_file = os.path.join(self.path, DATA_FILE)
        self._is_open = False
        self._crash_marker: shutdown_marker.CrashMarker | None = None
        self._preallocation: Preallocation | None = None
        self._identity = (0, 0)  # the device and the inode of the data file that is open
        made = [name for name in MADE_BESIDE if not os.path.lexists(os.path.join(self.path, name))]
        self._lock_fd = locks.take_directory(self.path, serves=note_crashes)
        try:
            self._start(note_crashes)
        except BaseException as error:
            self._leave(made)
            if isinstance(error, (lmdb.Error, OSError, Damaged)):
                raise StoreError(f"cannot open the store: {lmdb_reason(error)}: {self.path}") from error
            raise

    def _start(self, note_crashes: bool) -> None:
        """Opens what is there if it may be opened, or makes a new store."""
        ownership.check_files(self.path, (DATA_FILE, *MADE_BESIDE), serves=note_crashes)
        ring = None
        is_new = not os.path.lexists(self._data_file)
        if is_new:
            start.refuse_lost_data_file(self._data_file)
        else:
            ring = start.find_ring(self.path)
        alone_fd = -1 if ring is None else start.hold_if_alone(self.path)
        try:
            self._start_on(ring, is_new, alone_fd >= 0, note_crashes)
        finally:
            if alone_fd >= 0:
                os.close(alone_fd)

    def _start_on(self, ring: Ring | None, is_new: bool, is_alone: bool, note_crashes: bool) -> None:
        if ring is not None and is_alone:
            start.go_back(self.path, ring)
        if not is_new:
            notice = start.verify_if_needed(self._data_file, is_journaled=ring is not None)
            if notice:
                self.notices.append(notice)
        if note_crashes:
            self._crash_marker = shutdown_marker.CrashMarker(self.path)
        self.reserve = DiskReserve(self.path)
        if is_new:
            start.create(self._data_file)
        self._open(ring)
        self._replay()
        self.journal.begin_run()
        shutdown_marker.mark_running(self._lock_fd)

    def _open(self, ring: Ring | None) -> None:
        """Opens the data file where its meta pages say, with its journal, or a new one."""
        self.spaces = {}
        self.numbers = {}
        self.database_list = None
        start.make_room_for_locks(self.path, self.reserve)
        self.lmdb = lmdb.open(
            self.path,
            map_size=MAP_BYTES,
            max_dbs=3 * self.max_spaces + 2,
            mode=0o600,
            sync=False,
            metasync=False,
            max_spare_txns=8,
            lib_version=0,
        )
        try:
            self.forget_dead_readers()
            with self.lmdb.begin(write=True) as txn:
                self.refuse_foreign(txn, self.records(txn))
                self.meta = self.handle(txn, META)
                self.garbage = self.handle(txn, GARBAGE)
            self._sync_names()
            self._identity = self._found()
            self._page_bytes = int(self.lmdb.stat()["psize"])
            self._preallocation = Preallocation(self._data_file, self._file_bytes())
            self.journal = Journal(self.lmdb, self._data_file, ring, self._journal_bytes)
            self.write_back = WriteBack(self, self.journal, self.handle)
        except BaseException:
            self.lmdb.close()
            raise
        self._is_open = True

    def _replay(self) -> None:
        """Makes the commits that the journal has behind the last checkpoint once more. Raises OSError, `Damaged`."""
        journal = self.journal
        self.replayed = 0
        started_ns = self._nanoseconds()
        if not journal.is_anchored:
            journal.anchor(self._left_out_at())
        self.replayed = replay(self.lmdb, journal, self.handle)
        self.replay_ns = self._nanoseconds() - started_ns
        self._read_numbers()
        if self.format != layout.FORMAT:
            self._carry_over()

    def _left_out_at(self) -> bytes:
        """Where the journal ended at the last commit that it does not have all of; empty where there was none."""
        with self.lmdb.begin() as txn:
            return b"" if txn.get(LEFT_OUT, None, self.meta) is None else self.own(txn, LEFT_OUT)

    def _read_numbers(self) -> None:
        """Takes up what `meta` says, and opens the spaces that it names. Raises `Damaged`."""
        with self.lmdb.begin(write=True) as txn:
            records = self.records(txn)
            numbers = {name: self.own(txn, name) for name in OWN_NUMBERS}
            self.version = layout.read_number(numbers[b"version"])
            self.collections = layout.read_number(numbers[b"collections"])
            listed = layout.unpack_numbers(numbers[b"databases"])
            self.database_spaces = listed + [NO_SPACE] * (self.databases - len(listed))
            for number in filter(None, listed[: self.databases]):
                if not {b"%s:%d" % (part, number) for part in PARTS} <= set(records):
                    raise Damaged(f"space {number} serves a database and is not there")
                self.spaces[number] = self.open_space(txn, number)

    def _carry_over(self) -> None:
        """Makes a store of format 1 one of this format: it has a journal now, which an older Keyp would not know of."""
        self._commit_own(b"format", layout.number(layout.FORMAT))
        self.format = layout.FORMAT

    def _commit_own(self, name: bytes, entry: bytes) -> None:
        """Commits an entry of `meta`; it is on the disk on return. Raises OSError, lmdb.Error."""
        txn = self.write_back.begin()
        try:
            txn.put(name, entry, db=self.meta)
            changes = [(PUT, META, name, entry)]
            self.write_back.commit(txn, changes, is_journaled=True, is_synced=True, stays_open=False)
        except BaseException:
            self.write_back.undo(txn)
            raise

    def handle(self, txn: Transaction, number: int) -> Database:
        """The handle of the sub-database that has this number in the journal, which is made if it is not there.

        Not for other transactions before `txn` commits.
        """
        if number == META:
            name = b"meta"
        elif number == GARBAGE:
            name = b"garbage"
        else:
            space, part = space_and_part(number)
            name = b"%s:%d" % (PARTS[part], space)
        handle = self.lmdb.open_db(name, txn=txn)
        self.numbers[handle] = number
        return handle

    def open_space(self, txn: Transaction, number: int) -> Space:
        """The handles of space `number`, created where it is new. Not for other transactions before `txn` commits."""
        keys, elements, expiry = [self.handle(txn, number_of(number, part)) for part in range(len(PARTS))]
        return Space(number, keys, elements, expiry)

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

    def _sync_names(self) -> None:
        """A file whose name is not on the disk is lost in a power cut, with all that was synced to it."""
        try:
            sync_directory(self.path)
        except OSError as error:
            raise StoreError(f"cannot sync the data directory: {error.strerror}: {self.path}") from error

    def reopen(self) -> None:
        """Closes the environment and opens it anew. No transaction may be open; the next commit is `try_to_write`.

        After a sync of the data file has failed it is unknown which of its pages are on the disk, and the kernel will
        not write them again by itself. So it is opened at the last checkpoint, and the journal replayed, as in a start;
        likewise where LMDB could not commit something that the journal has.
        Raises `StoreError` where it cannot be opened again, or cannot be written to then. It is closed if it shows less
        than was committed.
        """
        if self._lock_fd < 0:
            raise StoreError(f"the store is closed: {self.path}")
        gone = self.displaced()  # LMDB would make a new one, or take up another's
        if gone:
            raise StoreError(gone)
        try:
            if self.journal.data_failed or self.write_back.is_pending:
                alone_fd = locks.hold_data_file(self.path, alone=True)
                try:
                    self._open_at_checkpoint()
                finally:
                    os.close(alone_fd)
            else:
                self._open_where_it_is()
        except (lmdb.Error, OSError, Damaged) as error:
            raise StoreError(f"cannot open the store again: {lmdb_reason(error)}: {self.path}") from error

    def _open_where_it_is(self) -> None:
        failed = self.journal
        if failed.ring_failed and self._is_open and self.is_readable():
            failed.replace_ring()
        self._close_file()
        try:
            self._open(None if failed.ring_failed else start.find_ring(self.path))
        except BaseException:
            failed.data_failed = failed.ring_failed  # its data were to be synced, and that not tried twice
            raise
        self.journal.skip_records()
        self._read_numbers()

    def _open_at_checkpoint(self) -> None:
        self.journal.data_failed = True  # until another is open: what is let go here only a replay brings back
        self._close_file()
        ring = start.find_ring(self.path)
        if ring is not None:
            start.go_back(self.path, ring)
        self._open(ring)
        try:
            self._replay()
        except BaseException:
            self.journal.data_failed = True  # what is not replayed yet is still to be
            self._close_file()
            raise
        try:
            self.journal.begin_run()
        except BaseException:
            self.journal.data_failed = True
            raise

    def growth_refusal(self, transaction: Transaction | None = None) -> str:
        """The error for writes that add data, as a transaction shows it; empty while there is room for them.

        There is room below the limit, and only while enough is left for deletions: the reserve on the disk, or as many
        free pages in the file.
        """
        live_bytes = self.live_bytes() if transaction is None else self.live_bytes_in(transaction)
        if self.max_bytes and live_bytes >= self.max_bytes:
            return OUT_OF_SPACE
        if self.reserve.held or self._file_bytes() - live_bytes >= RESERVE_BYTES:
            return ""
        return DISK_FULL

    def make_room(self) -> str:
        """Readies the end of the data file for what LMDB's next commit may add, between groups; `growth_refusal`."""
        transaction = self.write_back.transaction
        if self.reserve.held:
            if self._preallocation is not None and transaction is None:
                self._preallocation.keep_ahead(self._file_bytes())
            if not self.max_bytes:
                return ""
        return self.growth_refusal(transaction)

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

    def flush(self) -> None:
        """Has LMDB commit what is in its open transaction, so that a snapshot shows all. Raises OSError, lmdb.Error."""
        self.write_back.flush()
        self.shown_changes = self.changes

    def sync(self) -> None:
        """Brings every commit so far to the disk; returns when it is there. Raises OSError where that fails."""
        self.journal.sync()

    def is_full(self) -> bool:
        """Whether writes that add data are refused because the disk has no room for them."""
        return self.growth_refusal() == DISK_FULL

    @property
    def shows_what_was_answered(self) -> bool:
        """Whether a snapshot shows all that was answered and nothing that was refused; else it is to be opened anew."""
        return not (self.write_back.is_lost or self.journal.shows_refused)

    def is_readable(self) -> bool:
        """Whether snapshots can be had that are right: not after a failure half-way, before it is opened anew."""
        if not self.shows_what_was_answered:
            return False
        try:
            self.lmdb.begin().abort()
        except lmdb.Error:
            return False
        return True

    def try_to_write(self) -> None:
        """Commits something that changes nothing, and takes a checkpoint. Raises OSError, lmdb.Error where that fails.

        What a refused commit may have left in the journal has no place behind it.
        """
        self.journal.begin_run()
        self._commit_own(b"version", layout.with_checksum(b"version", layout.number(self.version)))
        self.journal.checkpoint()

    def _close_file(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self.write_back.let_go()
        self.journal.close()
        self.lmdb.close()
        if self._preallocation is not None:
            self._preallocation.close()
            self._preallocation = None

    def close(self) -> None:
        """Takes a checkpoint, closes and unlocks. No transaction may be open. Raises `StoreError` where that fails."""
        try:
            if not self._is_open:
                raise StoreError(f"the store could not be opened again: {self.path}")
            self.flush()
            self.journal.checkpoint()
            self._close_file()
            self._mark_whole()
            shutdown_marker.mark_closed(self._lock_fd, self._data_file)
        except (lmdb.Error, OSError, Damaged) as error:
            raise StoreError(f"cannot sync the store: {lmdb_reason(error)}: {self.path}") from error
        finally:
            self._leave([])

    def _mark_whole(self) -> None:
        fd = os.open(self._data_file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            checkpoint.mark_whole(fd)
            os.fsync(fd)
        finally:
            os.close(fd)

    def _leave(self, made: list[str]) -> None:
        """Closes what is open, and removes those of the files beside the data file that are named in `made`."""
        self._close_file()
        if self._crash_marker is not None:
            self._crash_marker.remove()
        for name in made:
            with suppress(OSError):
                os.unlink(os.path.join(self.path, name))
        os.close(self._lock_fd)
        self._lock_fd = -1  # another file may get the number
