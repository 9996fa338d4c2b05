"""What comes before LMDB opens a data directory: its journal is found, its data file is brought to the last checkpoint.

A start is the same after a clean stop, a kill and a power cut. The meta page of the last checkpoint is written back, so
that LMDB opens there; what the journal has of later commits is replayed then (`environment.py`).

Only where another process reads the file it is left as it is: that process sees what came later. But then the machine
has not been down since the last server, so LMDB's newest commit is whole. A checkpoint is taken of it, and the replay
begins there. Nothing is replayed where that commit has something that was left out of the journal: a replay would spoil
it, and it has all that the journal has.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from struct import error as StructError
from typing import Final

import lmdb

from keyp.storage.journal.ring import NotWhole, Ring
from keyp.storage.lmdb import checkpoint, layout, locks, shutdown_marker, verification
from keyp.storage.lmdb.disk_reserve import DiskReserve, allocate
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.journal import RING_FILE
from keyp.storage.lmdb.store import DATA_FILE, OWN_NUMBERS, put_own

LMDB_LOCK_FILE: Final = "lock.mdb"
LMDB_LOCK_BYTES: Final = 8192  # as LMDB makes it for 126 readers


def find_ring(path: str) -> Ring | None:
    """The ring that belongs to the data file in a directory; None where there is none and none is needed.

    Raises `StoreError` where one is needed, OSError.
    """
    fd = os.open(os.path.join(path, DATA_FILE), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        ring, missing = _open_ring(os.path.join(path, RING_FILE))
        if ring is not None:
            if checkpoint.unpack(ring.checkpoint.payload).matches(fd):
                return ring
            ring.close()
            missing = "does not fit the data file"
        with suppress(StructError):  # what is too short for a store is refused as that
            if checkpoint.needs_journal(fd):
                raise StoreError(
                    f"the journal {missing}, and without it the store is not whole; a backup may help: {path}"
                )
        return None
    finally:
        os.close(fd)


def _open_ring(ring_file: str) -> tuple[Ring | None, str]:
    """The ring, or why there is none. Raises OSError."""
    try:
        return Ring(ring_file), ""
    except FileNotFoundError:
        return None, "is missing"
    except NotWhole as error:
        return None, f"is damaged ({error})"


def needs_recovery(path: str) -> bool:
    """Whether the data file in a directory is not what was committed last, but becomes it by a start.

    Raises `StoreError`, OSError. The answer is only good while no server has the directory.
    """
    ring = find_ring(path)
    if ring is None:
        return False
    fd = os.open(os.path.join(path, DATA_FILE), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        is_current = checkpoint.unpack(ring.checkpoint.payload).is_current(fd)
        return not is_current or any(True for _ in ring.records())
    finally:
        os.close(fd)
        ring.close()


def hold_if_alone(path: str) -> int:
    """Keeps other processes from reading the data file; the descriptor that does, -1 where one reads it already.

    Programs that know LMDB and not Keyp have its own lock only. If the machine was down since the last server, what
    they read is not to be trusted: they do not count then.
    """
    try:
        alone_fd = locks.hold_data_file(path, alone=True)
    except StoreError:
        return -1
    if not shutdown_marker.machine_was_down(os.path.join(path, DATA_FILE)):
        with suppress(FileNotFoundError):
            fd = os.open(os.path.join(path, LMDB_LOCK_FILE), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if not _lock_as_lmdb(fd):
                    os.close(alone_fd)
                    return -1
            finally:
                os.close(fd)
    return alone_fd


def _lock_as_lmdb(fd: int) -> bool:
    """Takes the lock that LMDB takes of its lock file where no other process has it open; whether it could."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
    except OSError:
        return False
    return True


def go_back(path: str, ring: Ring) -> None:
    """Writes the meta page of the last checkpoint back, so that LMDB opens there. Raises OSError.

    No one may read the file, from now until the journal is replayed: LMDB's lock file is of another time, and what the
    data file shows meanwhile is old.
    """
    fd = os.open(os.path.join(path, DATA_FILE), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        checkpoint.unpack(ring.checkpoint.payload).restore(fd)
    finally:
        os.close(fd)
    _clear_locks(os.path.join(path, LMDB_LOCK_FILE))


def _clear_locks(lock_file: str) -> None:
    """Has LMDB make its lock file anew. It keeps its room: on a full disk there may be none for another."""
    with suppress(FileNotFoundError):
        fd = os.open(lock_file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if _lock_as_lmdb(fd):
                os.pwrite(fd, bytes(os.fstat(fd).st_size), 0)
            else:
                os.unlink(lock_file)
        finally:
            os.close(fd)


def verify_if_needed(data_file: str, is_journaled: bool) -> str:
    """Verifies a data file where there is a reason to; returns a notice for the log. Raises `StoreError`, OSError."""
    try:
        reason = verification.reason_to_verify(data_file, is_journaled)
    except verification.Unusable as error:
        raise StoreError(f"cannot use the data file, {error}: {data_file}") from error
    if not reason:
        return ""
    problems = verification.problems(data_file)
    if problems:
        raise StoreError(
            f"the store is damaged; keyp check tells more, a backup may help: {os.path.dirname(data_file)}"
            f" ({reason}; {problems[0]})"
        )
    verification.lengthen(data_file)
    return f"the store's structure was verified and is sound; the reason was that {reason}"


def refuse_lost_data_file(data_file: str) -> None:
    """Raises `StoreError` where there has been a data file."""
    if shutdown_marker.had_data_file(data_file):
        raise StoreError(
            f"the data file is gone; a backup may have it, without {locks.LOCK_FILE} a new store is made: "
            f"{os.path.dirname(data_file)}"
        )


def make_room_for_locks(path: str, reserve: DiskReserve) -> None:
    """LMDB maps its lock file and writes to it; where a full disk has no page for that, a signal would follow.

    Raises OSError.
    """
    fd = os.open(os.path.join(path, LMDB_LOCK_FILE), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        allocate(fd, LMDB_LOCK_BYTES)
    except OSError:
        reserve.release()
        allocate(fd, LMDB_LOCK_BYTES)
    finally:
        os.close(fd)


def create(data_file: str) -> None:
    """Makes an empty store. It gets its name when it is whole, so that an empty data file is always damage.

    Raises OSError, lmdb.Error.
    """
    partial = data_file + ".new"
    with suppress(FileNotFoundError):
        os.unlink(partial)
    try:
        engine = lmdb.open(
            partial, subdir=False, lock=False, mode=0o600, max_dbs=2, sync=False, metasync=False, lib_version=0
        )
        with engine, engine.begin(write=True) as txn:
            meta = engine.open_db(b"meta", txn=txn)
            engine.open_db(b"garbage", txn=txn)
            txn.put(b"format", layout.number(layout.FORMAT), db=meta)
            for name in OWN_NUMBERS:
                put_own(txn, meta, name, layout.number(0))
        fd = os.open(partial, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            checkpoint.mark_whole(fd)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(partial, data_file)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial)
        raise
