"""Locks on a data directory and its files, which the kernel releases when their process dies.

- `keyp.lock` belongs to the one server that has the directory open, or to the one restore that fills it.
- The directory itself is locked while its data file must not be exchanged for another: shared by processes that read
  the file from outside the server, exclusive for one that exchanges it or brings it back to its last checkpoint. LMDB's
  own lock file tells each process of the others' transactions by numbers that mean something else in another data file.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import Final

from keyp.storage.lmdb import ownership
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.hot_copy import sync_directory

LOCK_FILE: Final = "keyp.lock"


def take_directory(path: str, serves: bool = False) -> int:
    """Makes the directory if need be and takes its exclusive lock; returns the descriptor that holds it.

    Raises `StoreError` where the directory cannot be used, by a server (`serves`) or a tool, or is in use.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        make_directory(path)
        ownership.check_directory(path, serves)
        ownership.check_files(path, [LOCK_FILE], serves)
        fd = os.open(os.path.join(path, LOCK_FILE), flags, 0o600)
    except OSError as error:
        reason = "Not a directory" if isinstance(error, FileExistsError) else error.strerror
        raise StoreError(f"cannot use the data directory: {reason}: {path}") from error
    if not _lock(fd, path, fcntl.LOCK_EX):
        raise StoreError(f"the data directory is in use by another Keyp: {path}")
    return fd


def make_directory(path: str, mode: int = 0o700) -> None:
    """Makes a directory that is missing, and those above it, each with its name on the disk. Raises OSError."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(os.path.abspath(path))
    make_directory(parent, 0o777)
    os.mkdir(path, mode)
    sync_directory(parent)


def is_taken(path: str) -> bool:
    """Whether a server, or a restore, has the directory. Raises `StoreError` where that cannot be found out."""
    try:
        fd = os.open(os.path.join(path, LOCK_FILE), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"cannot use the directory {path}: {error.strerror}") from error
    if not _lock(fd, path, fcntl.LOCK_SH):
        return True
    os.close(fd)
    return False


def hold_data_file(path: str, alone: bool) -> int:
    """Keeps the data file in the directory from being exchanged, or, `alone`, makes sure that no one else reads it.

    Returns the descriptor that holds the lock. Raises `StoreError` where another lock conflicts.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"cannot use the directory {path}: {error.strerror}") from error
    if not _lock(fd, path, fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
        if alone:
            raise StoreError(f"a backup or a check is reading the store in {path}")
        raise StoreError(f"the store in {path} is being replaced or recovered")
    return fd


def _lock(fd: int, path: str, operation: int) -> bool:
    """Takes a lock at once; False, with the descriptor closed, where another process has a conflicting lock."""
    try:
        fcntl.flock(fd, operation | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise StoreError(f"cannot lock the directory {path}: {error.strerror}") from error
        return False
    return True
