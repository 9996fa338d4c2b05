"""The journal of an open environment: what a commit makes durable, in which order, and what failures leave behind."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from keyp.storage.journal.ring import FIRST
from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb.errors import CommitFailed
from keyp.storage.types import strings
from tests.failing_disk import DATA_FILE, RING_FILE, failing_syncs
from tests.storage.conftest import Store
from tests.storage.journal.kills import contents, contents_at, copy_of

LARGE = b"x" * (300 << 10)  # more than a quarter of the ring of a megabyte


def put(store: Store, name: bytes, value: bytes) -> None:
    store.write(lambda keys: strings.put(keys, name, value, False))


SLOT, RECORD = "slot", "record"


@contextmanager
def ring_writes() -> Iterator[list[str]]:
    """What is written to a ring, in its order."""
    real, order = os.pwrite, []

    def pwrite(fd: int, data: bytes, place: int) -> int:
        if os.readlink(f"/proc/self/fd/{fd}").endswith(RING_FILE):
            order.append(RECORD if place >= FIRST else SLOT)
        return real(fd, data, place)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        yield order


@pytest.mark.parametrize("name", [RING_FILE, DATA_FILE])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_large_write_that_is_refused_is_undone(store: Store, tmp_path: Path, name: str, code: int) -> None:
    """It was to be durable by a checkpoint. LMDB has committed it, so it goes back: after a kill and when reopened."""
    put(store, b"k", b"old")
    put(store, b"other", b"v")
    before = contents(store.environment)
    with failing_syncs(name, 1, code=code), pytest.raises(CommitFailed):
        put(store, b"k", LARGE)
    with pytest.raises(CommitFailed):
        put(store, b"more", b"v")
    assert contents_at(copy_of(store.path, tmp_path / "killed")) == before
    store.environment.reopen()
    assert contents(store.environment) == before
    store.environment.try_to_write()
    put(store, b"more", b"v")
    after = contents(store.environment)
    assert after != before
    assert contents_at(copy_of(store.path, tmp_path / "later")) == after


def test_what_is_left_out_of_the_journal_is_durable_before_what_follows_it(store: Store) -> None:
    """Also while a checkpoint that has it is still on its way to the disk."""
    journal = store.environment.journal
    transaction = store.begin()
    strings.put(WritableKeyspace(transaction, 0), b"left out", b"v", False)
    transaction.is_journaled = False
    writer = Thread(target=put, args=(store, b"follows", b"v"))

    def write_meanwhile() -> None:
        writer.start()
        writer.join(0.2)

    with ring_writes() as order, failing_syncs(DATA_FILE, 0) as syncs:
        transaction.commit()
        assert order == []
        syncs.meanwhile = write_meanwhile
        journal.checkpoint()
        writer.join()
    assert order[0] == SLOT
    assert order[-1] == RECORD
