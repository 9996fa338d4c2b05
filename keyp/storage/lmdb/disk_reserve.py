"""A reserve of disk space, to delete with when the disk is full.

LMDB never overwrites a page that is in use, so even a removal needs a few free pages. When the disk is full there are
none, and what would make room could not be done. A file beside the store therefore holds some megabytes back. When a
commit meets the full disk the file is emptied, writes that add data are refused from then on, and those that remove
data have the room it held. The file is filled again when the disk has twice as much to give: space that is freed little
by little stays available for deletions, and a nearly full disk does not switch back and forth every second.

Pages that were freed inside the data file are room as well: where they are plenty, data may be added without the
reserve. (An emptied store never gives its pages back to the disk; it uses them again.)

What a file system reports as free is not all available: some is reserved for root, some cannot be allocated. So the
space is actually taken.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import Final

RESERVE_FILE: Final = "keyp.reserve"
RESERVE_BYTES: Final = 8 << 20
PROBE_BYTES: Final = 1 << 20
NEARLY_FULL_BYTES: Final = 64 << 20

OUT_OF_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


def free_bytes(directory: str) -> int:
    """What the file system of `directory` says this process may still write. Raises OSError."""
    disk = os.statvfs(directory)
    return (disk.f_bfree if os.geteuid() == 0 else disk.f_bavail) * disk.f_frsize


class DiskReserve:
    """The reserve file of a data directory, `held` while it takes up its room. Nothing here raises.

    Where the file cannot be made for another reason than room, there is none to be had, and it counts as held.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._path = os.path.join(directory, RESERVE_FILE)
        self.held = False
        self._take(RESERVE_BYTES)

    def may_be_filled(self) -> bool:
        """Whether `fill` may succeed: a cheap check that allocates nothing."""
        if self.held:
            return False
        with suppress(OSError):
            return free_bytes(self._directory) >= 2 * RESERVE_BYTES
        return False

    def fill(self) -> None:
        """Takes the space again, if the disk has plenty. For a moment when nothing else needs it."""
        if self.may_be_filled():
            self._take(2 * RESERVE_BYTES)

    def _take(self, size: int) -> None:
        """Holds the room from now on, if the disk has `size` bytes."""
        code = _allocate(self._path, size)
        self.held = code not in OUT_OF_ROOM
        self._shrink(RESERVE_BYTES if self.held else 0)

    def _shrink(self, size: int) -> None:
        with suppress(OSError):
            if os.path.getsize(self._path) > size:
                os.truncate(self._path, size)

    def release(self) -> bool:
        """Gives the reserved space back to the file system; whether there was any."""
        was_held, self.held = self.held, False
        self._shrink(0)
        return was_held

    def disk_is_full(self) -> bool:
        """Whether a write that was cut short can be for want of room: little is free, or cannot be had.

        Space freed a moment ago may not be available yet (ext4 waits for its journal).
        """
        with suppress(OSError):
            if free_bytes(self._directory) < NEARLY_FULL_BYTES:
                return True
        probe = self._path + ".probe"
        code = _allocate(probe, PROBE_BYTES)
        with suppress(OSError):
            os.unlink(probe)
        return code in OUT_OF_ROOM


def _allocate(path: str, size: int) -> int:
    """Makes a file take so many bytes of the disk; the error number, 0 for success."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            allocate(fd, size)
        finally:
            os.close(fd)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def allocate(fd: int, size: int) -> None:
    """Makes the first `size` bytes of an open file take up room on the disk; what is in them stays. Raises OSError.

    A system without a call for that (macOS) is given zeros to write behind the end of the file.
    """
    call = getattr(os, "posix_fallocate", None)
    if call is not None:
        call(fd, 0, size)
        return
    end = os.fstat(fd).st_size
    while end < size:
        end += os.pwrite(fd, bytes(min(size - end, PROBE_BYTES)), end)
