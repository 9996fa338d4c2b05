"""`keyp backup`: a copy of one moment of a store, whether a server has it open or not."""

from __future__ import annotations

import os

from keyp.storage.lmdb import locks
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.reader import StoreReader
from keyp.storage.lmdb.store import DATA_FILE
from keyp.tools.copy_store import Copied, copy_store


def backup(data_dir: str, directory: str, force: bool) -> Copied:
    """Copies the store in `data_dir` into `directory`, which is made if need be; `force` replaces the backup there.

    Raises `StoreError`; a backup that was there before still is.
    """
    if os.path.realpath(directory) == os.path.realpath(data_dir):
        raise StoreError(f"{directory} is the store itself; a backup belongs into another directory")
    with StoreReader(data_dir, beside_server=True) as store:
        try:
            locks.make_directory(directory)
        except OSError as error:
            reason = "Not a directory" if isinstance(error, FileExistsError) else error.strerror
            raise StoreError(f"cannot use the directory {directory}: {reason}") from error
        if locks.is_taken(directory):
            raise StoreError(f"{directory} is in use by a Keyp; a backup belongs into another directory")
        if os.path.lexists(os.path.join(directory, DATA_FILE)) and not force:
            raise StoreError(f"{directory} holds a store already; --force replaces it")
        return copy_store(store, directory, "Copying")
