"""Copying a whole store from one directory into another: what backup and restore have in common."""

from __future__ import annotations

import os
from contextlib import closing

from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.hot_copy import CopyFailed, HotCopy
from keyp.storage.lmdb.reader import StoreReader
from keyp.storage.lmdb.store import DATA_FILE
from keyp.tools.progress import file_growth


class Copied:
    """What a copy holds: its file, its keys in all databases, its size in bytes. Raises `StoreError` for no copy."""

    def __init__(self, path: str) -> None:
        self.path = path
        with StoreReader(path) as copy:
            if copy.damage:
                raise StoreError(f"the store is damaged: {copy.damage}; keyp check tells more")
            self.keys = sum([size.keys for size in copy.sizes()])
            self.bytes = copy.file_bytes()

    def __str__(self) -> str:
        return f"{self.path}: {self.keys:,} keys, {self.bytes:,} bytes"


def copy_store(source: StoreReader, directory: str, title: str) -> Copied:
    """Writes a copy of the store into a directory that is there; `title` is for the progress bar.

    Raises `StoreError`; the directory then has what it had before.
    """
    target = os.path.join(directory, DATA_FILE)
    expected = source.live_bytes_in(source.snapshot.txn)
    try:
        with closing(HotCopy(target)) as copy:
            with file_growth(title, copy.partial, expected):
                copy.write(source.lmdb, expected)
            Copied(copy.partial)  # an unreadable copy is not published
            copy.publish()
    except CopyFailed as error:
        raise StoreError(f"cannot write {target}: {error}") from error
    return Copied(target)
