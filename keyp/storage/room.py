"""Room on the disk: a reserve to delete with when there is none left.

LMDB never overwrites a page that is in use, so even a removal needs a few free pages. When the disk is full there are
none, and what would make room could not be done. A file beside the store therefore holds some megabytes back. When a
commit meets the full disk the file is emptied, writes that add data are refused from then on, and those that remove
data have the room it held. The file is filled again when the disk has twice as much to give: what is freed little by
little stays with those who delete, and a disk that is all but full does not change its mind every second.

Pages that were freed inside the data file are room as well: where they are plenty, data may be added without the
reserve. (An emptied store never gives its pages back to the disk; it uses them again.)
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

RESERVE_FILE: Final = "keyp.reserve"
RESERVE_BYTES: Final = 8 << 20


def free_bytes(directory: str) -> int:
    """What this process could still write where `directory` is: root may use what is kept from others."""
    disk = os.statvfs(directory)
    return (disk.f_bfree if os.geteuid() == 0 else disk.f_bavail) * disk.f_frsize


class Reserve:
    """The reserve file of a data directory, `held` while it takes up its room. Nothing here raises."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._path = os.path.join(directory, RESERVE_FILE)
        self.held = False
        self._take()

    def fill(self) -> bool:
        """Takes the room up again, if the disk has plenty; whether it is held now."""
        if not self.held:
            with suppress(OSError):
                if free_bytes(self._directory) >= 2 * RESERVE_BYTES:
                    self._take()
        return self.held

    def _take(self) -> None:
        with suppress(OSError):
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, RESERVE_BYTES)
                self.held = True
            except OSError:
                os.ftruncate(fd, 0)
            finally:
                os.close(fd)

    def release(self) -> bool:
        """Gives the room to whoever needs it first; whether there was any."""
        was_held, self.held = self.held, False
        with suppress(OSError):
            os.truncate(self._path, 0)
        return was_held
