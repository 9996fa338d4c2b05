"""The journal of an open environment: what makes a commit durable, and what a start finds its way back with.

LMDB itself is never synced at a commit. Each group's changes go to the ring first (`keyp.storage.journal`), one record
that is synced as the mode says, and LMDB commits then or later (`write_back.py`). From time to time a checkpoint brings
the data file to the disk, and the ring's records before it are not needed any more.

The order of a checkpoint, of which each step has been left out once and failed in simulated power cuts:

1. between two commits of LMDB's: a snapshot of the last transaction T is opened (the pin; LMDB writes over no page
   that it shows), T's meta page is read, and the ring's position is noted, behind the records of what T shows;
2. the data file is synced;
3. the meta page and the position are written to the ring's older slot, and the ring is synced;
4. only then the old pin is let go, and the ring's records before the position.

A sync that has failed is not tried again and believed. What was in its pages may be gone, so `data_failed` or
`ring_failed` stays until the environment has been opened anew. `shows_refused` says that LMDB has a commit that could
not be made durable; it is undone by that.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from threading import Lock
from typing import Final

from keyp.storage.journal import redo
from keyp.storage.journal.paced_sync import sync_in_pieces
from keyp.storage.journal.redo import Change
from keyp.storage.journal.ring import Position, Ring, make_ring, ring_size
from keyp.storage.lmdb import checkpoint, layout
from keyp.storage.lmdb.hot_copy import sync_directory
from keyp.storage.lmdb.store import Engine, Transaction

RING_FILE: Final = "journal"

# Of a server. Checkpoints come by the same volume, and between two of them no page that the first one needs is used
# again. So this is what goes round of the data file, too, and 8 MB of it stay in the processor's cache.
RING_BYTES: Final = 8 << 20
SMALL_RING_BYTES: Final = 1 << 20  # where little is written

# A record that would take more than this part of the ring is made durable by a checkpoint instead.
LARGE_PART: Final = 4

# Commits wait for the checkpoint that is under way when they have dirtied so many times the size of the ring meanwhile.
# No page is used again before it is done, so the file would grow by as much as a slow disk is behind.
DIRTY_MAX: Final = 1.5


class Journal:
    """The ring, the pin and the checkpoints of an environment that is open at a transaction which is on the disk.

    `append` and `commit` are for the writer's thread; `sync` and `checkpoint` are for any. `dirty_bytes` is about what
    the next checkpoint has to write, and `is_due` says that it should come: by that volume, or by what a start would
    have to replay; `is_behind` says that commits may soon have to wait for it. `bytes`, `records` and `checkpoints` are
    what there has been. Without a ring a new one is made, of about `ring_bytes`. Raises OSError, lmdb.Error.
    """

    def __init__(self, engine: Engine, data_file: str, ring: Ring | None, ring_bytes: int) -> None:
        self._engine = engine
        self._ring_bytes = ring_bytes
        self.data_failed = False
        self.ring_failed = False
        self.shows_refused = False
        self.dirty_bytes = 0
        self.is_due = False
        self.is_behind = False
        self.bytes = 0
        self.records = 0
        self.checkpoints = 0
        self._left_out = 0  # commits that are not in the ring, …
        self._kept = 0  # … and how many of them a checkpoint has
        self._between_commits = Lock()
        self._one_checkpoint = Lock()
        self._data_fd = os.open(data_file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._pin = engine.begin()
            path = os.path.join(os.path.dirname(data_file), RING_FILE)
            self.ring = ring or self._make_ring(path, self._pin.id(), 1)
            self._committed = self.ring.position  # behind the records of what LMDB has committed
        except BaseException:
            os.close(self._data_fd)
            raise

    def _make_ring(self, path: str, transaction: int, sequence: int) -> Ring:
        """A new ring file, whose first checkpoint is the last commit."""
        data = checkpoint.take(self._data_fd, transaction)
        self._sync_data()
        make_ring(path, self._ring_bytes, sequence, data.pack())
        sync_directory(os.path.dirname(path))
        return Ring(path)

    @property
    def is_anchored(self) -> bool:
        """Whether the newest checkpoint is of what LMDB has been opened at, so that its pages are kept."""
        return checkpoint.unpack(self.ring.checkpoint.payload).transaction == self._pin.id()

    @property
    def end(self) -> bytes:
        """What tells this end of the journal from every other that it has had."""
        position = self.ring.position
        return layout.number(position.sequence) + layout.number(position.chain)

    @property
    def has_failed(self) -> bool:
        """Whether nothing more can be made durable before the environment has been opened anew."""
        return self.data_failed or self.ring_failed

    def refuse_after_failure(self) -> None:
        """Raises OSError where it `has_failed`."""
        if self.has_failed:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def append(self, changes: list[Change], is_synced: bool) -> int:
        """Writes the record of what is about to be committed; on the disk on return if `is_synced`.

        Returns how much of the ring it takes, 0 where it is too long: then `checkpoint_large` makes it durable. A
        checkpoint comes first where there is no room, or LMDB has something that neither the ring nor a checkpoint has:
        what is journaled now may need it. Raises OSError; then nothing is to be committed.
        """
        ring = self.ring
        record = redo.encode(changes, ring.capacity // LARGE_PART)
        if record is None:
            return 0
        if self._left_out != self._kept:
            self.checkpoint()
        size = 0
        while not size:
            try:
                size = ring.append(record)
                if is_synced and size:
                    ring.sync()
            except OSError:
                self.ring_failed = True
                self.take_back()
                raise
            if not size:
                self.checkpoint()
        self.bytes += len(record)
        self.records += 1
        return size

    def take_back(self) -> None:
        """The last record is not to count: what it says is not committed."""
        try:
            self.ring.take_back()
        except OSError:
            self.ring_failed = True

    def commit(self, txn: Transaction, dirty_bytes: int, is_left_out: bool) -> None:
        """Has LMDB commit a transaction, which writes about `dirty_bytes`: all that the ring has, and it may be more.

        `is_left_out` says that the ring does not have all of it. It waits for the checkpoint that is under way where
        that is far behind. Raises OSError, lmdb.Error; then nothing is committed.
        """
        if self.dirty_bytes > DIRTY_MAX * self.ring.size and not self.has_failed:
            self._catch_up()
        with self._between_commits:
            txn.commit()
            self._committed = self.ring.position
            self._left_out += is_left_out
            self._note(dirty_bytes)

    def _catch_up(self) -> None:
        """Waits for the checkpoint that is under way; where none is, takes one."""
        if not self._one_checkpoint.locked():
            self.checkpoint()
            return
        with self._one_checkpoint:
            pass
        self.refuse_after_failure()

    def checkpoint_large(self) -> None:
        """Takes the checkpoint that makes the last commit durable. Raises OSError; then it is to be undone."""
        try:
            self.checkpoint()
        except BaseException:
            self.data_failed = self.shows_refused = True
            raise

    def _note(self, dirty_bytes: int) -> None:
        self.dirty_bytes += dirty_bytes
        capacity, used = self.ring.capacity, self.ring.used
        self.is_due = self.dirty_bytes > capacity or used > capacity // 2
        self.is_behind = self.dirty_bytes > self.ring.size or used > capacity // 4 * 3

    def sync(self) -> None:
        """Brings every commit so far to the disk. Raises OSError where that fails."""
        self.refuse_after_failure()
        if self._left_out != self._kept:  # LMDB has something that neither the ring nor a checkpoint has
            self.checkpoint()
        try:
            self.ring.sync()
        except OSError:
            self.ring_failed = True
            raise

    def checkpoint(self) -> None:
        """Takes a checkpoint of all commits so far. Raises OSError, and the one before still counts."""
        with self._one_checkpoint:
            self.refuse_after_failure()
            with self._between_commits:
                position = self._committed
                left_out = self._left_out
                self.dirty_bytes = 0
                self.is_due = False
                pin = self._engine.begin()
                data = checkpoint.take(self._data_fd, pin.id())
            try:
                self._sync_data()
                self._write_slot(position, data.pack())
            except BaseException:
                pin.abort()
                raise
            self._kept = left_out
            self._move_pin(pin)

    def _sync_data(self) -> None:
        try:
            sync_in_pieces(self._data_fd)
        except OSError:
            self.data_failed = True
            raise

    def _write_slot(self, position: Position, payload: bytes) -> None:
        try:
            self.ring.write_checkpoint(position, payload)
        except OSError:
            self.ring_failed = True
            raise

    def begin_run(self) -> None:
        """Begins a chain of records that nothing of an earlier run can belong to, with a checkpoint.

        If the ring is to have another size it is a new one from now on. No commit may come meanwhile. Raises OSError.
        """
        if self.ring.size == ring_size(self._ring_bytes):
            self.ring.begin_chain()
            self._committed = self.ring.position
            self.checkpoint()
        else:
            self.replace_ring()

    def replace_ring(self) -> None:
        """Takes a checkpoint in a new ring, which is used from now on. No commit may come meanwhile. Raises OSError."""
        old, pin = self.ring, self._engine.begin()
        try:
            self.ring = self._make_ring(old.path, pin.id(), old.position.sequence)
        except BaseException:
            pin.abort()
            raise
        old.close()
        self._committed = self.ring.position
        self.ring_failed = False
        self._kept = self._left_out
        self._move_pin(pin)

    def _move_pin(self, pin: Transaction) -> None:
        old, self._pin = self._pin, pin
        old.abort()
        self.checkpoints += 1

    def skip_records(self) -> None:
        """Passes over the ring's records, which LMDB has already; the next one goes behind them."""
        for _ in self.ring.records():
            pass
        self._committed = self.ring.position

    def anchor(self, left_out_at: bytes) -> None:
        """Takes a checkpoint of what LMDB has been opened at, where that is later than the last checkpoint.

        A replay may follow, for it may lack the last records. Not where it has something that no record has, as it has
        if its last such commit came at the `end` of the records: then it has those as well, and they are passed over.
        """
        self.skip_records()
        if self.end != left_out_at:
            self.ring.rewind()
            self._committed = self.ring.position
        self.checkpoint()

    def replayed(self, dirty_bytes: int) -> None:
        """Takes note of a commit of LMDB's that has made all records so far once more; a checkpoint may follow."""
        self._committed = self.ring.position
        self._note(dirty_bytes)
        if self.is_due:
            self.checkpoint()

    def displaced(self) -> str:
        """Why the ring is not to be found under its name any more; empty where it is. Then it has failed."""
        try:
            about = os.stat(self.ring.path)
        except FileNotFoundError:
            self.ring_failed = True
            return f"the journal is gone: {self.ring.path}"
        except OSError:
            return ""  # which does not say that it is not there
        if (about.st_dev, about.st_ino) == self.ring.identity:
            return ""
        self.ring_failed = True
        return f"another file has taken the journal's place: {self.ring.path}"

    def close(self) -> None:
        """Lets go of everything, without a checkpoint."""
        with suppress(Exception):  # the environment may have failed
            self._pin.abort()
        os.close(self._data_fd)
        self.ring.close()
