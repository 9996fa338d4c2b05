"""`keyp restore`: makes a backup the store of a data directory that no server has open."""

from __future__ import annotations

import os
from contextlib import suppress

from keyp.storage.lmdb import locks
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.reader import LOCK_FILE, StoreReader, give_to_owner
from keyp.storage.lmdb.store import DATA_FILE
from keyp.tools.check import examine
from keyp.tools.copy_store import Copied, copy_store


class DamagedBackup(StoreError):
    """The backup did not pass the check; `problems` says why."""

    def __init__(self, directory: str, problems: list[str]) -> None:
        super().__init__(f"the backup in {directory} is damaged; nothing was restored")
        self.problems = problems


def restore(directory: str, data_dir: str, force: bool) -> Copied:
    """Copies the backup in `directory` into `data_dir`, which is made if need be; `force` replaces the store there.

    Raises `StoreError`; a store that was there before still is.
    """
    if os.path.realpath(directory) == os.path.realpath(data_dir):
        raise StoreError(f"{directory} is the data directory itself")
    if not os.path.exists(os.path.join(directory, DATA_FILE)):
        raise StoreError(f"there is no backup in {directory}")
    if locks.is_taken(directory):
        raise StoreError(f"{directory} is in use by a Keyp, and no backup; keyp backup makes one of it")
    taken = locks.take_directory(os.path.abspath(data_dir))
    try:
        if os.path.lexists(os.path.join(data_dir, DATA_FILE)) and not force:
            raise StoreError(f"{data_dir} holds a store already; --force replaces it")
        alone = locks.hold_data_file(data_dir, alone=True)
        try:
            copied = _restore(directory, data_dir)
            for name in (DATA_FILE, locks.LOCK_FILE):
                give_to_owner(os.path.join(data_dir, name), data_dir)
            return copied
        finally:
            os.close(alone)
    finally:
        os.close(taken)


def _restore(directory: str, data_dir: str) -> Copied:
    found = examine(directory)
    if found.problems:
        raise DamagedBackup(directory, found.problems)
    with StoreReader(directory) as backup:
        # LMDB's lock file belongs to the old data file; LMDB makes a new one where there is none.
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(data_dir, LOCK_FILE))
        return copy_store(backup, data_dir, "Restoring")
