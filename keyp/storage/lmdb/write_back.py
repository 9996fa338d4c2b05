"""Write-back: LMDB's write transaction may stay open over commit groups.

What a group has changed is durable once the journal has it. LMDB's own commit adds nothing to that, and costs the most:
each one writes anew every page on the way to what has changed. So where no reply waits for a sync, the transaction goes
on with the next group, in whose pages much of it will be changed again. LMDB commits

- when the transaction has many changes, much data, many pages, or much of the ring,
- when somebody wants a snapshot: a reader's thread, a copy, another process a moment after the last group,
- after a group that has changed which sub-databases there are, or something that the journal does not have,
- where the next group may have to wait for the disk: reads then find a snapshot that shows all.

Meanwhile the newest state is what the open transaction shows, to the one thread that uses it at a time: the writer's
while a group runs, the reactor's in between (`PresentTransaction`).

A transaction of LMDB can only be undone as a whole. So the changes of its groups are kept, and where a group fails, or
LMDB's commit, those before it are made once more in a new transaction. Where that fails too, they are lost to the
environment, and the journal has them: it is to be opened anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import lmdb

from keyp.storage.journal.redo import Change
from keyp.storage.lmdb.dirty_pages import dirty_bytes
from keyp.storage.lmdb.journal import Journal
from keyp.storage.lmdb.replay import make_changes, tree_pages
from keyp.storage.lmdb.store import Database, Store, Transaction, put_own

# LMDB's commit takes 0.5 ms for a thousand changes in a small store, ten times that in a large one, where each is in a
# page of its own. So after the first LOOK_CHANGES it is looked at what they would write. All of them write about as
# much as the reserve has at most, so that a commit that finds the disk full can still be made.
LOOK_CHANGES: int = 1000
LOOK_WRITTEN: Final = 2 << 20
FLUSH_CHANGES: int = 4000
FLUSH_BYTES: int = 2 << 20  # of the ring

# LMDB's transaction stays open no longer than this after a group: other processes are to see what has been written.
SHOWN_S: Final = 0.05

# In `meta`: where the journal ended at LMDB's last commit of something that the journal does not have.
LEFT_OUT: Final = b"left_out"

# Of the ring, the open transaction has no more than this part: no checkpoint can free it.
UNCOMMITTED_PART: Final = 4


class WriteBack:
    """LMDB's write transaction, and the changes in it that LMDB has not committed: `transaction` is None between two.

    `is_lost` says that nothing shows those changes, before the environment has been opened anew.

    A transaction is begun and ended on one thread: the writer's, or that which opens and closes the environment. Raises
    OSError, lmdb.Error.
    """

    def __init__(self, store: Store, journal: Journal, handle_of: Callable[[Transaction, int], Database]) -> None:
        self._store = store
        self._journal = journal
        self._handle_of = handle_of
        self.transaction: Transaction | None = None
        self.is_lost = False
        self._changes: list[Change] = []
        self._bytes = 0
        self._look_at = LOOK_CHANGES

    @property
    def is_pending(self) -> bool:
        """Whether LMDB has not committed all that the journal has."""
        return bool(self._changes)

    def begin(self) -> Transaction:
        """The transaction for the next group, which shows all groups before it."""
        transaction = self.transaction
        return self._begin() if transaction is None else transaction

    def _begin(self) -> Transaction:
        transaction = self._store.lmdb.begin(write=True)
        if self._changes:
            try:
                make_changes(transaction, self._handle_of, self._changes)
            except BaseException:
                transaction.abort()
                raise
            self.transaction = transaction
            self.is_lost = False
        return transaction

    def _begin_again(self) -> None:
        if self._changes:
            try:
                self._begin()
            except lmdb.Error:
                self.is_lost = True

    def undo(self, transaction: Transaction) -> None:
        """Undoes what the group under way has changed, and nothing before it."""
        self.transaction = None
        transaction.abort()
        self._begin_again()

    def commit(
        self, transaction: Transaction, changes: list[Change], is_journaled: bool, is_synced: bool, stays_open: bool
    ) -> None:
        """Makes what the group under way has changed durable; on the disk on return if `is_synced`.

        Changes that are not to be journaled, or are too many, are durable after the next checkpoint; where they were to
        be journaled, that comes at once. LMDB commits, unless the transaction `stays_open` and there is no reason to.

        What raises is to be undone. Where that was the checkpoint, it is undone when the environment is opened anew,
        and before that nothing more is committed.
        """
        if not changes:
            if self.transaction is None:
                transaction.commit()  # which writes nothing
            return
        journal = self._journal
        if journal.data_failed or journal.ring_failed:
            journal.refuse_after_failure()
        size = journal.append(changes, is_synced) if is_journaled else 0
        before = len(self._changes)
        self.transaction = transaction
        self._changes += changes
        self._bytes += size
        most = min(FLUSH_BYTES, journal.ring.capacity // UNCOMMITTED_PART)
        try:
            is_full = self._bytes >= most or (len(self._changes) >= self._look_at and self._writes_much())
            if is_full or not stays_open or not size or journal.is_behind:
                self._flush(is_left_out=not size)
        except BaseException:
            if size:
                journal.take_back()
            del self._changes[before:]
            self._bytes -= size
            raise
        if is_journaled and not size:
            journal.checkpoint_large()

    def _writes_much(self) -> bool:
        has_looked, self._look_at = self._look_at == FLUSH_CHANGES, FLUSH_CHANGES
        return has_looked or dirty_bytes(self._changes, self._tree_pages) >= LOOK_WRITTEN

    def flush(self) -> None:
        """Has LMDB commit what all groups have changed. Where that fails they are still shown, if they can be."""
        try:
            self._flush_once()
        except lmdb.BadTxnError:  # a read has met damage in the transaction, which has been made anew now
            self._flush_once()

    def _flush_once(self) -> None:
        if self.is_lost:
            self._begin()
        transaction = self.transaction
        if transaction is None:
            return
        try:
            self._flush(is_left_out=False)
        except BaseException:
            self.undo(transaction)
            raise

    def _flush(self, is_left_out: bool) -> None:
        transaction = self.transaction
        assert transaction is not None
        written = dirty_bytes(self._changes, self._tree_pages)
        if is_left_out:
            put_own(transaction, self._store.meta, LEFT_OUT, self._journal.end)
        self.transaction = None
        self._journal.commit(transaction, written, is_left_out)
        self._forget()

    def _tree_pages(self, number: int) -> int:
        assert self.transaction is not None
        return tree_pages(self.transaction, self._handle_of(self.transaction, number))

    def let_go(self) -> None:
        """Undoes all that LMDB has not committed; the journal has it."""
        if self.transaction is not None:
            self.transaction.abort()
            self.transaction = None
        self._forget()

    def _forget(self) -> None:
        self._changes = []
        self._bytes = 0
        self._look_at = LOOK_CHANGES
