"""Whose a data directory is: nobody but its owner may write there, and its files are files and his.

Who can write to the directory could put a link, or a file that he reads, in the place of one that Keyp is going to
make. The rule is PostgreSQL's: the server's user owns the directory, and neither his group nor others may write to it.
One that is empty is made so. A link to the directory itself is the administrator's own.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from keyp.storage.lmdb.errors import StoreError

PRIVATE: Final = 0o700
OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
OTHERS: Final = 0o077
ROOT: Final = 0


def keep_own_rights() -> None:
    """Files that are made from now on are usable to who makes them, whatever the process's mask was.

    That they are private does not depend on the mask.
    """
    os.umask(os.umask(0) & ~PRIVATE)


def check_directory(path: str, serves: bool) -> None:
    """Makes sure that nobody else can write to the directory. Raises `StoreError`, OSError.

    Tools may be run by root on what belongs to the server's user; a server (`serves`) may not, since the other could
    not use what it leaves.
    """
    about = os.stat(path)
    own = os.geteuid()
    if about.st_uid not in (own, ROOT) and (serves or own != ROOT):
        raise StoreError(
            f"cannot use the data directory: it belongs to {_name(about.st_uid)}, and Keyp runs as {_name(own)}: {path}"
        )
    if not about.st_mode & OTHERS_WRITE:
        return
    if about.st_uid == own and not about.st_mode & stat.S_ISVTX and not os.listdir(path):
        os.chmod(path, PRIVATE)
        return
    raise StoreError(
        f"cannot use the data directory: others can write to it (mode {stat.S_IMODE(about.st_mode):04o}): {path}; "
        "take that away (chmod go-w), or name a directory below it, which Keyp makes for itself alone"
    )


def check_files(path: str, names: Iterable[str], serves: bool) -> None:
    """Makes sure of the files of these names that are there: they are files, not somebody else's, and private.

    `serves` as above. Raises `StoreError`, OSError.
    """
    own = os.geteuid()
    for name in names:
        file = os.path.join(path, name)
        try:
            about = os.lstat(file)
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(about.st_mode):
            raise StoreError(f"a link is in the place of a file of Keyp's: {file}")
        if not stat.S_ISREG(about.st_mode):
            raise StoreError(f"something that is no file is in the place of one of Keyp's: {file}")
        if about.st_uid not in (own, ROOT) and (serves or own != ROOT):
            raise StoreError(f"a file of Keyp's belongs to {_name(about.st_uid)}: {file}")
        if about.st_mode & OTHERS:
            with suppress(OSError):  # a read-only file system, or root's file
                os.chmod(file, stat.S_IMODE(about.st_mode) & ~OTHERS)


def make_for(path: str, uid: int, gid: int) -> None:
    """As root: makes a data directory for the user that the server is going to be. Raises OSError.

    One that is there is left as it is. Directories above it that are missing become root's, for all to pass.
    """
    if os.path.isdir(path):
        return
    missing = [path]
    while not os.path.isdir(os.path.dirname(missing[-1])):
        missing.append(os.path.dirname(missing[-1]))
    for directory in reversed(missing):
        os.mkdir(directory, PRIVATE)
        if directory == path:
            os.chown(directory, uid, gid)
        else:
            os.chmod(directory, 0o755)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"
