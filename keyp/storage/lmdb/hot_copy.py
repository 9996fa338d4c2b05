"""A copy of an open environment as one file: one consistent snapshot, compact, never partial under its final name.

LMDB reads a snapshot while writers go on. The bytes go to `NAME.partial`; only when they are on the disk does the file
get its name. A lock gives the partial file to one process at a time; the kernel releases it when the process dies. The
next copy overwrites what such a process has left.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from typing import Final

import lmdb

from keyp.storage.lmdb.checkpoint import mark_whole
from keyp.storage.lmdb.disk_reserve import RESERVE_BYTES, free_bytes

PARTIAL: Final = ".partial"


class CopyFailed(Exception):
    """The copy could not be made; the text says why. What had the name before still has it."""


class HotCopy:
    """A copy that is to become the file `target`, in a directory that is there.

    `write` it, then `publish` it, on any one thread; then `close` it in every case. `cancel` makes a `write` that is
    under way on another thread fail soon; it and `close` are for the thread that made the object.

    Raises `CopyFailed` where the file cannot be written, or another copy to it is under way.
    """

    def __init__(self, target: str) -> None:
        self.target = os.path.abspath(target)
        self.partial = self.target + PARTIAL
        self._cancelled = False
        self._published = False
        try:
            self._fd = _open_alone(self.partial)
        except BlockingIOError:
            raise CopyFailed("another copy to it is under way") from None
        except OSError as error:
            raise CopyFailed(_reason(error)) from error

    def write(self, environment: lmdb.Environment, expected_bytes: int) -> None:
        """Writes the copy and brings it to the disk. Raises `CopyFailed`.

        It does so at once where the disk has not room for it and some more, so that a server on the same disk does not
        run out.
        """
        try:
            if free_bytes(os.path.dirname(self.target)) < expected_bytes + RESERVE_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            environment.copyfd(self._fd, compact=True)
            mark_whole(self._fd)
            os.fsync(self._fd)
        except (OSError, lmdb.Error) as error:
            raise CopyFailed("it was stopped" if self._cancelled else _reason(error)) from error

    def publish(self) -> None:
        """Gives the copy its name. Raises `CopyFailed`."""
        if self._cancelled:
            raise CopyFailed("it was stopped")
        try:
            os.rename(self.partial, self.target)
            self._published = True
            sync_directory(os.path.dirname(self.target))
        except OSError as error:
            raise CopyFailed(_reason(error)) from error

    def cancel(self) -> None:
        """Ends a copy that is under way: its descriptor becomes one that nothing can be written to.

        LMDB knows no other way to be stopped.
        """
        self._cancelled = True
        nowhere = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(nowhere, self._fd, inheritable=False)
        os.close(nowhere)

    def close(self) -> None:
        """Lets go of the file, and removes what was not published."""
        if not self._published:
            with suppress(OSError):
                os.unlink(self.partial)
        os.close(self._fd)


def _open_alone(path: str) -> int:
    """Opens an empty file that no one else has. Raises OSError; `BlockingIOError` where another process has it.

    One that is there already is what a copy has left. It is made anew where it is another user's, who could read it.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_uid != os.geteuid():
                os.unlink(path)
            elif _is_at(path, fd):
                os.fchmod(fd, 0o600)
                os.ftruncate(fd, 0)
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # the other copy has published or removed it just now


def _is_at(path: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _reason(error: Exception) -> str:
    """What went wrong, in the system's words where it has some."""
    code = error.errno if isinstance(error, OSError) else getattr(error, "code", 0)
    if code and code > 0:
        return os.strerror(code)
    return str(getattr(error, "reason", None) or error)


def sync_directory(path: str) -> None:
    """Brings a directory's list of names to the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
