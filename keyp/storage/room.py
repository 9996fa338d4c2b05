"""Room on the disk: a reserve to delete with when there is none left.

LMDB never overwrites a page that is in use, so even a removal needs a few free pages. When the disk is full there are
none, and what would make room could not be done. A file beside the store therefore holds some megabytes back. When a
commit meets the full disk the file is emptied, writes that add data are refused from then on, and those that remove
data have the room it held. The file is filled again as soon as the disk allows it.

Pages that were freed inside the data file are room as well: where they are plenty, data may be added without the
reserve. (An emptied store never gives its pages back to the disk; it uses them again.)
"""

from __future__ import annotations

import os
from typing import Final

RESERVE_BYTES: Final = 8 << 20


class Reserve:
    """The reserve file of a data directory, `held` while it takes up its room."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, "keyp.reserve")
        self.held = False
        self.fill()

    def fill(self) -> bool:
        """Takes the room up, if the disk has it; whether it is held now."""
        if not self.held:
            try:
                fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError:
                return False
            try:
                os.posix_fallocate(fd, 0, RESERVE_BYTES)
                self.held = True
            except OSError:
                os.ftruncate(fd, 0)
            finally:
                os.close(fd)
        return self.held

    def release(self) -> None:
        """Gives the room to whoever needs it first."""
        self.held = False
        os.truncate(self._path, 0)
