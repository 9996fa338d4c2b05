"""Servers that differ from Keyp in one thing: to see that the power cuts find what is missing, or to get there sooner.

    python -m tests.crash.changed_server CHANGE [options of the server]

A change is made to the modules before the server starts, so there is none where they are compiled.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from keyp import main
from keyp.storage.journal import ring
from keyp.storage.journal.ring import Position, Ring
from keyp.storage.keys import staging
from keyp.storage.lmdb import replay
from keyp.storage.lmdb.checkpoint import DataCheckpoint
from keyp.storage.lmdb.journal import Journal

# A slow disk: so many commits come during a checkpoint, unless it keeps them waiting.
COMMITS: Final = 3
LONGEST_SYNC_S: Final = 0.1

_patch: Any = setattr


def _take_time(journal: Journal) -> None:
    records, end = journal.records + COMMITS, time.monotonic() + LONGEST_SYNC_S
    while journal.records < records and time.monotonic() < end:
        time.sleep(0.001)


def _before_sync(step: Callable[[Journal], None]) -> None:
    """Does something in each checkpoint before it syncs the data file, which takes some time from now on."""
    real = Journal._sync_data

    def sync_data(journal: Journal) -> None:
        if hasattr(journal, "ring"):
            step(journal)
            _take_time(journal)
        real(journal)

    _patch(Journal, "_sync_data", sync_data)


def _no_pin() -> None:
    """The pages of the last checkpoint are written over before the next one is on the disk."""
    _before_sync(lambda journal: journal._pin.abort())


def _slot_first() -> None:
    """The slot is written before the data file is synced."""
    real_sync, real_write = Journal._sync_data, Journal._write_slot

    def sync_data(journal: Journal) -> None:
        if not hasattr(journal, "ring"):
            real_sync(journal)

    def write_slot(journal: Journal, position: Position, payload: bytes) -> None:
        real_write(journal, position, payload)
        _take_time(journal)
        real_sync(journal)

    _patch(Journal, "_sync_data", sync_data)
    _patch(Journal, "_write_slot", write_slot)


def _late_position() -> None:
    """The ring's position is noted after the transaction."""
    _before_sync(lambda journal: None)
    real = Journal._write_slot
    _patch(Journal, "_write_slot", lambda journal, position, payload: real(journal, journal.ring.position, payload))


def _no_ring_sync() -> None:
    """The ring is synced at checkpoints only."""
    _patch(Ring, "sync", lambda self: None)


def _unaligned() -> None:
    """Records follow one another closely, so that one is written to a sector that has another already."""
    _patch(ring, "ALIGNMENT", 64)


def _one_meta_page() -> None:
    """A start writes back only the meta page of the checkpoint's transaction."""
    real = DataCheckpoint.restore

    def restore(data: DataCheckpoint, fd: int) -> None:
        page_bytes = data._meta.page_bytes
        other = page_bytes * (1 - data._place)
        found = os.pread(fd, page_bytes, other)
        real(data, fd)
        os.pwrite(fd, found, other)

    _patch(DataCheckpoint, "restore", restore)


def _no_meta_page() -> None:
    """A start opens the data file at whatever its meta pages say."""
    _patch(DataCheckpoint, "restore", lambda data, fd: None)


def _much_staged() -> None:
    """Strings of 66,000 bytes are long ones, which are written piece by piece. That is no fault."""
    for name, value in (("STAGED_MIN", 66_000), ("STAGED_AT_ONCE", 66_000)):
        _patch(staging, name, value)
    _before_sync(lambda journal: None)


def _small_replays() -> None:
    """A replay commits after each record. That is no fault."""
    _patch(replay, "RECORDS_AT_ONCE", 1)


CHANGES: Final[dict[str, Callable[[], None]]] = {
    "no pin": _no_pin,
    "slot first": _slot_first,
    "late position": _late_position,
    "no ring sync": _no_ring_sync,
    "unaligned": _unaligned,
    "one meta page": _one_meta_page,
    "no meta page": _no_meta_page,
    "much staged": _much_staged,
    "small replays": _small_replays,
}


def apply(change: str) -> None:
    """Makes a change, or none for an empty name."""
    if change:
        CHANGES[change]()


if __name__ == "__main__":
    apply(sys.argv.pop(1))
    main.main()
