"""What a failed transaction means, and what the client is told of it."""

from __future__ import annotations

import errno
import os
from typing import Final

import lmdb

from keyp import errors

# LMDB reports a write that was cut short as an input/output error; with less than this left, the disk is what is meant.
NEARLY_FULL_BYTES: Final = 1 << 20


class CommitFailed(Exception):
    """LMDB could not begin or commit a transaction; `error` is what it said. Nothing of it is applied."""

    def __init__(self, error: lmdb.Error) -> None:
        super().__init__(str(error))
        self.error = error


def is_out_of_room(error: lmdb.Error, directory: str) -> bool:
    """Whether a failed commit met a full disk, and not a broken one."""
    if isinstance(error, lmdb.MapFullError) or error.code in (errno.ENOSPC, errno.EDQUOT):
        return True
    if error.code != errno.EIO:
        return False
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize < NEARLY_FULL_BYTES


def refusal(error: Exception) -> str:
    """The error reply to a batch that ended in an exception which no command meant as a reply."""
    if isinstance(error, lmdb.MapFullError):
        return errors.OUT_OF_SPACE
    if isinstance(error, (lmdb.CorruptedError, lmdb.PageNotFoundError)):
        return errors.DAMAGED_STORE
    return errors.INTERNAL
