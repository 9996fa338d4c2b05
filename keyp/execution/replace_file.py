"""Replaces a file with a new text: whoever reads it finds the old one or the new one, also after a crash."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Final

from keyp.storage.lmdb.hot_copy import sync_directory

OWNER_ONLY: Final = 0o600
OF_GROUP: Final = 0o070


def replace_file(path: str, text: bytes, keeps_mode: bool) -> None:
    """Has `text` in the file at `path` when it returns, on the disk. Raises OSError, and the old text is there still.

    A new file is for its owner alone; with `keeps_mode` one that was there keeps its owner, group and mode as far as
    the process may give them, and never gives anybody more. A symbolic link stays: what it leads to is replaced.
    """
    path = os.path.realpath(path)
    new = f"{path}.tmp-{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)  # of a process of this number that has died
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY)
    try:
        with open(fd, "wb") as file:
            if keeps_mode:
                _give_mode_of(path, fd)
            file.write(text)
            file.flush()
            os.fsync(fd)
        os.rename(new, path)
    except BaseException:
        os.unlink(new)
        raise
    sync_directory(os.path.dirname(path))


def _give_mode_of(path: str, fd: int) -> None:
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return
    mode = stat.S_IMODE(old.st_mode) & 0o777
    new = os.fstat(fd)
    if new.st_uid != old.st_uid:
        with contextlib.suppress(PermissionError):
            os.fchown(fd, old.st_uid, -1)
    if new.st_gid != old.st_gid:
        try:
            os.fchown(fd, -1, old.st_gid)
        except PermissionError:
            mode &= ~OF_GROUP  # what the old group was given is not for the new one
    os.fchmod(fd, mode)
