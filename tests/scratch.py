"""Directories for the files of tests: in memory where there is room, since a fresh store makes four syncs."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

ON_DISK = ("integration", "crash", "soak")  # folders whose tests run whole servers, which are to meet a disk
MEMORY = Path("/dev/shm")
ROOM = 2 << 30  # bytes that are to be free there


def scratch_directory() -> TemporaryDirectory[str]:
    """An empty directory, which is removed at the end of a `with` statement or by `cleanup`."""
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM
    return TemporaryDirectory(prefix="keyp-", dir=MEMORY if has_room else None)
