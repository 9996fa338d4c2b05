"""Preallocation of the data file: its end is written a page at a time before LMDB needs it.

LMDB writes pages that follow one another with one call. From 6.16 on, Linux caches what one call appends to a file on
ext4 as one folio of up to some megabytes, and from then on looks at all of that folio's blocks whenever a single page
of it is written: a commit of small values became five times as slow in a file that had once taken large ones. What is
appended by the page is cached by the page, and LMDB's own writes then find it so. They also find their blocks
allocated, so a sync has no more to do for a commit that grows the store than for another.

What is written are zeros behind the end of the file, where nothing of LMDB's is.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

PAGE_BYTES: Final = 4096

# Written ahead of the last page in use. Half of it takes about 0.2 ms, as long as a group of a hundred small writes.
AHEAD_BYTES: Final = 1 << 20

# After a commit that used more, the next is expected to do so too. This takes some 2 ms, which is as much as the next
# group should have to wait for it.
AHEAD_MAX_BYTES: Final = 4 << 20

_ZEROS: Final = bytes(PAGE_BYTES)


class Preallocation:
    """The end of an open data file. Raises OSError where that cannot be opened.

    Where the disk has no room to grow nothing is said: LMDB finds out when it needs it.
    """

    def __init__(self, data_file: str, used_bytes: int) -> None:
        self._fd = os.open(data_file, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._size = os.fstat(self._fd).st_size
        self._used = used_bytes
        self._grown = 0  # how many bytes the last commit used behind those before

    def keep_ahead(self, used_bytes: int) -> None:
        """Called between transactions with the end of the last page in use: keeps the end of the file ahead of it."""
        self._grown = used_bytes - self._used
        self._used = used_bytes
        ahead = min(AHEAD_BYTES + self._grown, AHEAD_MAX_BYTES)
        if self._size - used_bytes < ahead // 2:
            self._extend(used_bytes + ahead)

    def expect(self, new_bytes: int) -> None:
        """Called in a transaction that is going to add `new_bytes`, a large part of a string, before it is committed.

        Where the last commit found free pages for what it wrote, this one is expected to. Where it did not, the file is
        extended for all of it: as one folio it would take LMDB longer to write than page by page and then over these.
        """
        if self._grown > AHEAD_BYTES:
            self._extend(self._used + new_bytes + AHEAD_BYTES)

    def _extend(self, size: int) -> None:
        # LMDB itself may have gone beyond, and a commit that failed may have.
        self._size = max(self._size, os.fstat(self._fd).st_size)
        with suppress(OSError):
            while self._size < size:
                self._size += os.pwrite(self._fd, _ZEROS, self._size)

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._fd)
