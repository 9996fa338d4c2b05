"""What a start finds beside the data file, and what it makes of it: never less than was committed, or it refuses."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lmdb
import pytest

from keyp.storage.check import check
from keyp.storage.journal.ring import Ring
from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb import layout, locks
from keyp.storage.lmdb.checkpoint import unpack
from keyp.storage.lmdb.environment import ALWAYS, NO, Environment
from keyp.storage.lmdb.errors import CommitFailed, StoreError
from keyp.storage.lmdb.hot_copy import HotCopy
from keyp.storage.lmdb.meta_pages import DataFile
from keyp.storage.lmdb.reader import StoreReader
from keyp.storage.lmdb.shutdown_marker import LOCK_FILE, mark_running
from keyp.storage.lmdb.transaction import ReadTransaction, WriteTransaction
from keyp.storage.types import strings
from keyp.tools.backup import backup
from keyp.tools.check import examine
from tests.failing_disk import DATA_FILE, RING_FILE, FailingDisk, error_with, failing_syncs
from tests.storage.conftest import Store
from tests.storage.journal.kills import contents, contents_at, copy_of

KEPT = ("lock.mdb", LOCK_FILE)  # which say nothing of the data


def put(store: Store, name: bytes, value: bytes) -> None:
    store.write(lambda keys: strings.put(keys, name, value, False))


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with something in its last checkpoint, and something in its journal."""
    for number in range(5):
        put(store, b"k%d" % number, b"old")
    store.environment.journal.checkpoint()
    for number in range(3):
        put(store, b"k%d" % number, b"new")
    return store


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Another process reads the data file."""
    fd = os.open(path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    yield
    os.close(fd)


def refused(path: Path) -> str:
    """What a start and the tools say; nothing of the store is changed."""
    before = {file.name: file.read_bytes() for file in path.iterdir() if file.name not in KEPT}
    with pytest.raises(StoreError) as start:
        Environment(str(path))
    for read in (StoreReader, examine):
        with pytest.raises(StoreError) as refusal:
            read(str(path))
        assert str(refusal.value) == str(start.value)
    assert before == {file.name: file.read_bytes() for file in path.iterdir() if file.name not in KEPT}
    return str(start.value)


# The data file and the journal, one without the other.


def test_a_start_after_a_kill(filled: Store, tmp_path: Path) -> None:
    killed = copy_of(filled.path, tmp_path / "killed")
    environment = Environment(str(killed))
    assert environment.replayed == 3
    assert environment.notices == []
    assert contents(environment) == contents(filled.environment)
    environment.close()
    environment = Environment(str(killed))
    assert environment.replayed == 0
    environment.close()


@pytest.mark.parametrize("read", ["check", "backup"])
def test_the_tools_recover_what_was_not_closed(filled: Store, tmp_path: Path, read: str) -> None:
    """Before they look at anything: after a power cut the pages behind the last checkpoint may be anything."""
    killed = copy_of(filled.path, tmp_path / "killed")
    with (killed / DATA_FILE).open("r+b") as file:
        ring = Ring(str(killed / RING_FILE))
        unpack(ring.checkpoint.payload).restore(file.fileno())
        ring.close()
        with DataFile(str(killed / DATA_FILE)) as data_file:
            end = data_file.newest.file_bytes
        file.truncate(end)
        file.seek(
            144
        )  # the transaction of the first meta page: the one that was written last, of which nothing is there
        file.write((1000).to_bytes(8, "little"))
    if read == "check":
        found = examine(str(killed))
        assert found.problems == []
        assert found.sizes[0].keys == 5
    else:
        backup(str(killed), str(tmp_path / "backup"), force=False)
        assert contents_at(tmp_path / "backup") == contents(filled.environment)
    assert contents_at(killed) == contents(filled.environment)


def test_a_start_after_a_start_that_was_killed(filled: Store, tmp_path: Path) -> None:
    """The first one has replayed everything; it is not replayed again, and what followed is."""
    killed = Environment(str(copy_of(filled.path, tmp_path / "killed")))
    transaction = WriteTransaction(killed, 0)
    transaction.version += 1
    strings.put(WritableKeyspace(transaction, 0), b"more", b"v", False)
    transaction.commit()
    again = Environment(str(copy_of(killed.path, tmp_path / "again")))
    assert (killed.replayed, again.replayed) == (3, 1)
    assert contents(again) == contents(killed)
    again.close()
    killed.close()


@pytest.mark.parametrize("name", ["missing", "of another store", "of zeros", "cut short", "empty"])
def test_a_store_that_was_killed_is_refused_without_its_journal(filled: Store, tmp_path: Path, name: str) -> None:
    killed = copy_of(filled.path, tmp_path / "killed")
    ring = killed / RING_FILE
    if name == "missing":
        ring.unlink()
    elif name == "of another store":
        Environment(str(tmp_path / "other")).close()
        shutil.copy(tmp_path / "other" / RING_FILE, ring)
    elif name == "of zeros":
        ring.write_bytes(bytes(ring.stat().st_size))
    elif name == "cut short":
        os.truncate(ring, ring.stat().st_size - 4096)
    else:
        ring.write_bytes(b"")
    text = refused(killed)
    assert text.startswith("the journal ")
    assert "without it the store is not whole" in text
    why = {"missing": "is missing", "of another store": "does not fit the data file"}
    assert why.get(name, "is damaged (neither of its checkpoints is whole)") in text


@pytest.mark.parametrize("name", ["missing", "of another store", "of zeros"])
def test_a_store_that_was_closed_needs_no_journal(filled: Store, tmp_path: Path, name: str) -> None:
    before = contents(filled.environment)
    filled.environment.close()
    ring = filled.path / RING_FILE
    if name == "of another store":
        Environment(str(tmp_path / "other")).close()
        shutil.copy(tmp_path / "other" / RING_FILE, ring)
    elif name == "of zeros":
        ring.write_bytes(bytes(ring.stat().st_size))
    else:
        ring.unlink()
    inode = ring.stat().st_ino if ring.exists() else 0
    with StoreReader(str(filled.path)) as reader:
        assert reader.sizes()[0].keys == 5
    filled.environment = Environment(str(filled.path))
    assert filled.environment.notices == []
    assert contents(filled.environment) == before
    assert ring.stat().st_ino != inode  # a new one
    put(filled, b"k0", b"newer")
    assert contents_at(copy_of(filled.path, tmp_path / "killed")) == contents(filled.environment)


def test_a_data_file_that_is_copied_by_itself(filled: Store, tmp_path: Path) -> None:
    """After a stop in order it is all there is; after a kill it is not."""
    for closed in (False, True):
        alone = tmp_path / str(closed)
        alone.mkdir()
        if closed:
            before = contents(filled.environment)
            filled.environment.close()
            shutil.copy(filled.path / DATA_FILE, alone)
            assert contents_at(alone) == before
            filled.environment = Environment(str(filled.path))
        else:
            shutil.copy(filled.path / DATA_FILE, alone)
            assert "the journal is missing" in refused(alone)


def test_a_new_store_that_is_killed_at_once(store: Store, tmp_path: Path) -> None:
    killed = copy_of(store.path, tmp_path / "killed")
    assert contents_at(killed) == contents(store.environment)


def test_a_backup_put_in_place_by_hand(filled: Store, tmp_path: Path) -> None:
    """The journal beside it is of another data file: it is left out, and not one record of it is replayed."""
    backup = tmp_path / "backup" / DATA_FILE
    backup.parent.mkdir()
    copy = HotCopy(str(backup))
    copy.write(filled.environment.lmdb, 0)
    copy.publish()
    copy.close()
    saved = contents(filled.environment)
    put(filled, b"later", b"v")
    filled.environment.journal.checkpoint()
    put(filled, b"later still", b"v")
    killed = copy_of(filled.path, tmp_path / "killed")
    shutil.copy(backup, killed / DATA_FILE)
    environment = Environment(str(killed))
    assert environment.replayed == 0
    assert contents(environment) == saved
    environment.close()


def test_an_old_copy_of_the_data_file_is_not_taken_for_the_right_one(filled: Store, tmp_path: Path) -> None:
    """Neither where it was closed then, nor where it was killed."""
    old_and_killed = tmp_path / "killed.mdb"
    shutil.copy(filled.path / DATA_FILE, old_and_killed)
    saved = contents(filled.environment)
    filled.environment.close()
    old_and_closed = tmp_path / "closed.mdb"
    shutil.copy(filled.path / DATA_FILE, old_and_closed)
    filled.environment = Environment(str(filled.path))
    for name in (b"a", b"b"):
        put(filled, name, b"v")
        filled.environment.journal.checkpoint()
        put(filled, b"k", name)
    here = copy_of(filled.path, tmp_path / "here")
    shutil.copy(old_and_killed, here / DATA_FILE)
    assert "the journal does not fit the data file" in refused(here)
    shutil.copy(old_and_closed, here / DATA_FILE)
    assert contents_at(here) == saved


# A ring of another size.


@pytest.mark.parametrize("size", [64 << 10, 256 << 10, 4 << 20])
def test_a_ring_of_another_size_at_the_next_start(filled: Store, tmp_path: Path, size: int) -> None:
    """What the old one has is replayed; then there is a new one, whose first checkpoint has it."""
    killed = copy_of(filled.path, tmp_path / "killed")
    environment = Environment(str(killed), journal_bytes=size)
    assert environment.replayed == 3
    assert (killed / RING_FILE).stat().st_size == size
    assert contents(environment) == contents(filled.environment)
    transaction = WriteTransaction(environment, 0)
    transaction.version += 1
    strings.put(WritableKeyspace(transaction, 0), b"more", b"v", False)
    transaction.commit()
    assert contents_at(copy_of(killed, tmp_path / "again"), journal_bytes=size) == contents(environment)
    environment.close()


# Processes that read the data file.


def left_out(store: Store, name: bytes) -> None:
    """A commit that is not in the journal."""
    transaction = store.begin()
    strings.put(WritableKeyspace(transaction, 0), name, b"v", False)
    transaction.is_journaled = False
    transaction.commit()


def test_what_is_not_in_the_journal_is_gone_after_a_kill(filled: Store, tmp_path: Path) -> None:
    before = contents(filled.environment)
    left_out(filled, b"left out")
    assert contents(filled.environment) != before
    assert contents_at(copy_of(filled.path, tmp_path / "killed")) == before


def test_a_start_while_another_process_reads(filled: Store, tmp_path: Path) -> None:
    """It sees the newest commit, and the server goes on from there: a replay would spoil what is not in the journal."""
    left_out(filled, b"k0")
    now = contents(filled.environment)
    killed = copy_of(filled.path, tmp_path / "killed")
    data = (killed / DATA_FILE).read_bytes()
    locks_ = (killed / "lock.mdb").stat().st_ino
    with reading(killed):
        environment = Environment(str(killed))
        assert environment.replayed == 0
        assert contents(environment) == now
        assert (killed / DATA_FILE).read_bytes()[:8192] == data[:8192]
        assert (killed / "lock.mdb").stat().st_ino == locks_
        transaction = WriteTransaction(environment, 0)
        transaction.version += 1
        strings.put(WritableKeyspace(transaction, 0), b"more", b"v", False)
        transaction.commit()
    after = contents(environment)
    assert contents_at(copy_of(killed, tmp_path / "again")) == after
    environment.close()
    assert contents_at(killed) == after


def test_no_one_reads_what_is_not_replayed_yet(filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = copy_of(filled.path, tmp_path / "killed")
    real_open, seen = lmdb.open, []

    def opening(*args: Any, **options: Any) -> Any:
        with pytest.raises(StoreError) as refusal:
            locks.hold_data_file(str(killed), alone=False)
        seen.append(str(refusal.value))
        return real_open(*args, **options)

    monkeypatch.setattr(lmdb, "open", opening)
    environment = Environment(str(killed))
    assert seen == [f"the store in {killed} is being replaced or recovered"]
    os.close(locks.hold_data_file(str(killed), alone=False))
    environment.close()


# A disk that fails while it serves.


def test_it_does_not_go_back_under_a_reader(filled: Store) -> None:
    """After a failed sync of the data file it stays as it is, for reads, until nobody else reads it any more."""
    environment, now = filled.environment, contents(filled.environment)
    with failing_syncs(DATA_FILE, 1), pytest.raises(OSError, match="Input/output"):
        environment.journal.checkpoint()
    with reading(filled.path):
        with pytest.raises(StoreError, match="a backup or a check is reading the store"):
            environment.reopen()
        assert contents(environment) == now
    environment.reopen()
    assert environment.replayed == 3
    assert contents(environment) == now
    environment.try_to_write()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_replay_that_fails_is_done_again(filled: Store, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """What it has not come to is not taken for what is there already."""
    environment, now = filled.environment, contents(filled.environment)
    with failing_syncs(DATA_FILE, 1), pytest.raises(OSError, match="Input/output"):
        environment.journal.checkpoint()
    real_open = lmdb.open
    for spared in (0, 1):
        with monkeypatch.context() as patch:

            def opening(*args: Any, spared: int = spared, **options: Any) -> Any:
                return FailingDisk(real_open(*args, **options), error_with(code), 1, spared)

            patch.setattr(lmdb, "open", opening)
            with pytest.raises(StoreError, match="cannot open the store again"):
                environment.reopen()
            assert not environment.is_readable()
    environment.reopen()
    assert environment.replayed == 3
    assert contents(environment) == now
    environment.try_to_write()


def test_a_new_journal_whose_data_could_not_be_synced(filled: Store) -> None:
    """A second sync would not be believed: it goes back to the checkpoint that the failed journal has."""
    environment, now = filled.environment, contents(filled.environment)
    ring = (filled.path / RING_FILE).stat().st_ino
    with failing_syncs(RING_FILE, 1), pytest.raises(OSError, match="Input/output"):
        environment.sync()
    with failing_syncs(DATA_FILE, 1), pytest.raises(StoreError, match="cannot open the store again"):
        environment.reopen()
    assert contents(environment) == now
    environment.reopen()
    assert environment.replayed == 3
    assert contents(environment) == now
    environment.try_to_write()
    assert (filled.path / RING_FILE).stat().st_ino == ring


@pytest.mark.parametrize("name", [RING_FILE, DATA_FILE])
def test_it_can_be_read_while_the_disk_keeps_failing(filled: Store, tmp_path: Path, name: str) -> None:
    environment, now = filled.environment, contents(filled.environment)
    with failing_syncs(name):
        with pytest.raises(OSError, match="Input/output"):
            environment.journal.checkpoint()
        for _ in range(3):
            with suppress(StoreError, OSError):
                environment.reopen()
                environment.try_to_write()
            assert contents(environment) == now
            with pytest.raises(CommitFailed):
                put(filled, b"k0", b"refused")
        killed = copy_of(filled.path, tmp_path / "killed")
    assert contents_at(killed) == now
    environment.reopen()
    environment.try_to_write()
    assert contents(environment) == now


def test_a_journal_that_is_deleted_while_it_serves(filled: Store, tmp_path: Path) -> None:
    now = contents(filled.environment)
    (filled.path / RING_FILE).unlink()
    assert filled.environment.journal.displaced().startswith("the journal is gone")
    with pytest.raises(OSError, match="Input/output"):
        filled.environment.sync()
    filled.environment.reopen()
    assert filled.environment.journal.displaced() == ""
    filled.environment.try_to_write()
    put(filled, b"more", b"v")
    assert contents(filled.environment) != now
    assert contents_at(copy_of(filled.path, tmp_path / "killed")) == contents(filled.environment)


def test_another_file_in_the_place_of_the_journal(filled: Store) -> None:
    (filled.path / RING_FILE).rename(filled.path / "away")
    (filled.path / RING_FILE).write_bytes(b"of somebody else")
    assert filled.environment.journal.displaced().startswith("another file has taken the journal's place")
    filled.environment.reopen()
    filled.environment.try_to_write()
    put(filled, b"more", b"v")


# Format 1.


def make_format_1(path: Path, entries: dict[bytes, dict[bytes, bytes]]) -> None:
    """A store without a journal and without a mark, as a Keyp before there were any has left it."""
    path.mkdir()
    with lmdb.open(str(path), map_size=1 << 26, max_dbs=64, lib_version=0) as env, env.begin(write=True) as txn:
        for name, content in entries.items():
            database = env.open_db(name, txn=txn)
            for key, data in content.items():
                txn.put(key, data, db=database)
        txn.put(b"format", layout.number(1), db=env.open_db(b"meta", txn=txn))
    (path / "lock.mdb").unlink()


@pytest.mark.parametrize("was", ["closed", "running always this", "running always other", "running no this"])
def test_a_store_of_format_1_is_carried_over(filled: Store, tmp_path: Path, was: str) -> None:
    names = (b"keys:1", b"elements:1", b"expiry:1", b"garbage", b"meta")
    entries = {name: contents(filled.environment).get(name, {}) for name in names}
    old = tmp_path / "old"
    make_format_1(old, entries)
    with (old / LOCK_FILE).open("w+b") as lock:
        if was != "closed":
            mark_running(lock.fileno())
            _, _, boot = (old / LOCK_FILE).read_text().split()
            state, mode, which = was.split()
            (old / LOCK_FILE).write_text(f"{state} {mode} {boot if which == 'this' else 'another'}\n")
    with StoreReader(str(old)) as reader:
        assert reader.format == 1
        assert reader.sizes()[0].keys == 5
    environment = Environment(str(old), fsync=ALWAYS)
    assert environment.notices == []
    assert environment.format == 2
    expected = contents(filled.environment)
    assert contents(environment) == expected
    with ReadTransaction(environment, 0) as snapshot:
        assert check(snapshot) == []
        assert snapshot.txn.get(b"format", db=environment.meta) == layout.number(2)
    killed = copy_of(old, tmp_path / "killed")
    assert contents_at(killed) == expected
    environment.close()
    assert contents_at(old, fsync=NO) == expected


def test_a_store_of_format_1_that_may_be_torn_is_verified(filled: Store, tmp_path: Path) -> None:
    """A power cut without syncs: there is no checkpoint to go back to."""
    names = (b"keys:1", b"elements:1", b"expiry:1", b"garbage", b"meta")
    old = tmp_path / "old"
    make_format_1(old, {name: contents(filled.environment).get(name, {}) for name in names})
    (old / LOCK_FILE).write_text("running everysec another-boot\n")
    environment = Environment(str(old))
    assert environment.notices == [
        "the store's structure was verified and is sound; the reason was that the machine went down while it was open"
        " and not synced"
    ]
    environment.close()
    environment = Environment(str(old))
    assert environment.notices == []
    environment.close()


def test_a_format_that_is_still_to_come_is_refused(filled: Store, tmp_path: Path) -> None:
    old = tmp_path / "new"
    make_format_1(old, {name: contents(filled.environment).get(name, {}) for name in (b"garbage", b"meta")})
    with lmdb.open(str(old), map_size=1 << 26, max_dbs=64, lib_version=0) as env, env.begin(write=True) as txn:
        txn.put(b"format", layout.number(3), db=env.open_db(b"meta", txn=txn))
    before = (old / DATA_FILE).read_bytes()
    with pytest.raises(StoreError, match="is in format 3, this Keyp reads up to 2; it was not touched"):
        Environment(str(old))
    assert (old / DATA_FILE).read_bytes() == before
