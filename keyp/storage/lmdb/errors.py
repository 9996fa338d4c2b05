"""What a failed transaction means, and the error reply to the client."""

from __future__ import annotations

import errno
from typing import Final

import lmdb

from keyp import errors
from keyp.storage.lmdb.disk_reserve import OUT_OF_ROOM, DiskReserve

# SystemError: what py-lmdb's cursors make of some damaged pages.
_DAMAGE: Final = (
    lmdb.BadTxnError,  # what follows one of the others
    lmdb.BadDbiError,
    lmdb.PageFullError,
    lmdb.ProblemError,
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.CursorFullError,
    lmdb.IncompatibleError,
    lmdb.InvalidError,
    SystemError,
)


class StoreError(Exception):
    """The data directory cannot be used; the text says why, for the person who starts the server."""


class CommitFailed(Exception):
    """A transaction could not begin, be filled, journaled or committed; `error` says why. Nothing of it is applied."""

    def __init__(self, error: lmdb.Error | OSError) -> None:
        super().__init__(str(error))
        self.error = error


class MustReopen(Exception):
    """After a commit that failed half-way LMDB begins no transaction, not even to read, until it is opened anew."""


class Damaged(Exception):
    """One of the store's own numbers, or an element of a collection, is not what was written."""


def is_out_of_room(error: lmdb.Error | OSError, reserve: DiskReserve) -> bool:
    """Whether a failed commit met a full disk, and not a broken one.

    LMDB reports a write that was cut short as an input/output error; what it wrote of it still takes up the room.
    """
    code = error.errno if isinstance(error, OSError) else error.code
    if isinstance(error, lmdb.MapFullError) or code in OUT_OF_ROOM:
        return True
    return code == errno.EIO and reserve.disk_is_full()


def is_from_system(error: lmdb.Error) -> bool:
    """Whether the operating system failed in the middle of a transaction: LMDB's own codes are negative."""
    return error.code > 0 or isinstance(error, lmdb.MapFullError)


def is_damage(error: Exception) -> bool:
    """Whether an exception comes from damage in the store and not from a command."""
    return isinstance(error, (Damaged, MustReopen, *_DAMAGE))


def spoils_transaction(error: Exception) -> bool:
    """Whether an exception came from LMDB, so that nothing more can be done in the transaction that it left."""
    return isinstance(error, (lmdb.Error, SystemError, MustReopen))


def refusal(error: Exception) -> str:
    """The error reply to a batch that ended in an exception which no command meant as a reply."""
    if isinstance(error, MustReopen):
        return errors.DISK_FAILED
    return errors.DAMAGED_STORE if is_damage(error) else errors.INTERNAL
