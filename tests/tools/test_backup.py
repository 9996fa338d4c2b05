"""`keyp backup` on stores without a server: the copy is the store, and a partial one has no name."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import Any

import lmdb
import pytest

from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.checkpoint import mark_whole
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.journal import RING_FILE
from keyp.storage.lmdb.reader import StoreReader
from keyp.storage.lmdb.store import DATA_FILE
from keyp.storage.lmdb.transaction import WriteTransaction
from keyp.storage.types import strings
from keyp.tools.backup import backup
from keyp.tools.check import examine
from tests.full_disk import fill_disk
from tests.tools.conftest import MakeStore, entries, write


def test_the_copy_is_the_store(make_store: MakeStore, tmp_path: Path) -> None:
    data = make_store()
    copied = backup(str(data), str(tmp_path / "deep" / "backup"), force=False)
    assert copied.path == str(tmp_path / "deep" / "backup" / "data.mdb")
    assert copied.keys == 305
    assert copied.bytes == os.stat(copied.path).st_size
    assert entries(tmp_path / "deep" / "backup") == entries(data)
    assert examine(str(tmp_path / "deep" / "backup")).problems == []


def test_the_names_of_new_directories_are_on_the_disk(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, synced = make_store(), []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    backup(str(data), str(tmp_path / "deep" / "backup"), force=False)
    assert {str(tmp_path), str(tmp_path / "deep")} <= set(synced)


def test_a_backup_is_one_file_for_its_owner_alone(make_store: MakeStore, tmp_path: Path) -> None:
    backup(str(make_store()), str(tmp_path / "backup"), force=False)
    assert os.listdir(tmp_path / "backup") == ["data.mdb"]
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "backup" / "data.mdb").stat().st_mode & 0o777 == 0o600


def test_free_pages_are_left_out(make_store: MakeStore, tmp_path: Path) -> None:
    data = make_store()
    write(data, lambda keys: strings.put(keys, b"huge", bytes(3_000_000)), lambda keys: keys.remove(b"huge"))
    write(data, lambda keys: keys.transaction.empty(keys.writable_space()), lambda keys: strings.put(keys, b"k", b"v"))
    copied = backup(str(data), str(tmp_path / "backup"), force=False)
    assert copied.bytes < 100_000 < (data / "data.mdb").stat().st_size
    assert entries(tmp_path / "backup") == entries(data)


def test_a_backup_is_replaced_only_by_force(make_store: MakeStore, tmp_path: Path) -> None:
    first, second = make_store("one", b"first"), make_store("two", b"second")
    target = tmp_path / "backup"
    backup(str(first), str(target), force=False)
    with pytest.raises(StoreError, match="holds a store already; --force replaces it"):
        backup(str(second), str(target), force=False)
    assert entries(target) == entries(first)
    backup(str(second), str(target), force=True)
    assert entries(target) == entries(second)


def test_a_store_is_no_place_for_its_own_backup(make_store: MakeStore, tmp_path: Path) -> None:
    data = make_store()
    (tmp_path / "link").symlink_to(data)
    for place in (data, tmp_path / "link"):
        with pytest.raises(StoreError, match="is the store itself"):
            backup(str(data), str(place), force=True)


def test_a_directory_in_use_is_left_alone(make_store: MakeStore, tmp_path: Path) -> None:
    data = make_store()
    environment = Environment(str(tmp_path / "served"), fsync=NO)
    try:
        with pytest.raises(StoreError, match="is in use"):
            backup(str(data), str(tmp_path / "served"), force=True)
    finally:
        environment.close()


def test_places_that_cannot_be_used(make_store: MakeStore, tmp_path: Path) -> None:
    data = make_store()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot use the directory"):
        backup(str(data), str(tmp_path / "file"), force=False)


def test_there_must_be_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store in"):
        backup(str(tmp_path / "none"), str(tmp_path / "backup"), force=False)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "data.mdb").write_bytes(b"text" * 5000)
    with pytest.raises(StoreError, match="it is not a store of Keyp"):
        backup(str(tmp_path / "text"), str(tmp_path / "backup"), force=False)
    assert not (tmp_path / "backup").exists()


def test_it_must_be_ours_and_of_this_format(make_store: MakeStore, tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path / "other"), lib_version=0) as other, other.begin(write=True) as txn:
        txn.put(b"key", b"value")
    with pytest.raises(StoreError, match="another program"):
        backup(str(tmp_path / "other"), str(tmp_path / "backup"), force=False)
    data = make_store()
    with lmdb.open(str(data), max_dbs=9, lib_version=0) as store, store.begin(write=True) as txn:
        txn.put(b"format", layout.number(layout.FORMAT + 1), db=store.open_db(b"meta", txn=txn))
    (data / RING_FILE).unlink()
    with (data / DATA_FILE).open("r+b") as file:
        mark_whole(file.fileno())
    with pytest.raises(StoreError, match=f"format {layout.FORMAT + 1}"):
        backup(str(data), str(tmp_path / "backup"), force=False)


def test_what_an_unfinished_backup_left_is_written_over(make_store: MakeStore, tmp_path: Path) -> None:
    data, target = make_store(), tmp_path / "backup"
    target.mkdir()
    (target / "data.mdb.partial").write_bytes(b"half" * 1_000_000)
    backup(str(data), str(target), force=False)
    assert os.listdir(target) == ["data.mdb"]
    assert entries(target) == entries(data)


def test_two_backups_to_one_place_do_not_mix(make_store: MakeStore, tmp_path: Path) -> None:
    data, target = make_store(), tmp_path / "backup"
    target.mkdir()
    with (target / "data.mdb.partial").open("wb") as partial:
        fcntl.flock(partial, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another copy to it is under way"):
            backup(str(data), str(target), force=False)
    backup(str(data), str(target), force=False)


def test_a_disk_without_room_keeps_the_old_backup(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, target = make_store(), tmp_path / "backup"
    backup(str(data), str(target), force=False)
    before = entries(target)
    write(data, lambda keys: strings.put(keys, b"new", b"v"))
    fill_disk(monkeypatch)
    with pytest.raises(StoreError, match="No space left on device"):
        backup(str(data), str(target), force=True)
    assert os.listdir(target) == ["data.mdb"]
    assert entries(target) == before


def test_a_store_being_replaced_is_not_read(make_store: MakeStore, tmp_path: Path) -> None:
    data = make_store()
    fd = os.open(data, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(StoreError, match="is being replaced or recovered"):
        backup(str(data), str(tmp_path / "backup"), force=False)
    os.close(fd)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for others")
def test_root_does_not_lock_the_owner_out(make_store: MakeStore, tmp_path: Path) -> None:
    data = make_store()
    (data / "lock.mdb").unlink()
    os.chown(data / "data.mdb", 1234, 1234)
    backup(str(data), str(tmp_path / "backup"), force=False)
    about: Any = (data / "lock.mdb").stat()
    assert (about.st_uid, about.st_gid, about.st_mode & 0o777) == (1234, 1234, 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for others")
def test_root_recovers_a_store_for_its_owner(make_store: MakeStore, tmp_path: Path) -> None:
    """What it makes anew beside a store that was not closed belongs to whom the store does."""
    environment = Environment(str(make_store()))
    killed = tmp_path / "killed"
    transaction = WriteTransaction(environment, 0)
    strings.put(WritableKeyspace(transaction, 0), b"more", b"v")
    transaction.commit()
    shutil.copytree(environment.path, killed)
    environment.close()
    for file in killed.iterdir():
        os.chown(file, 1234, 1234)
    for name in ("lock.mdb", "keyp.reserve", "keyp.lock"):
        (killed / name).unlink()
    backup(str(killed), str(tmp_path / "backup"), force=False)
    assert {(file.name, file.stat().st_uid) for file in killed.iterdir()} >= {("lock.mdb", 1234), ("keyp.lock", 1234)}
    assert {file.stat().st_uid for file in killed.iterdir()} == {1234}
    with StoreReader(str(tmp_path / "backup")) as reader:
        assert sum(size.keys for size in reader.sizes()) == 306
