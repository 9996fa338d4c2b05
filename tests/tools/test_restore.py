"""`keyp restore`: the backup becomes the store, or the store stays what it was."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from keyp.storage.keys.keyspace import Keyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.pieces import PIECE_BYTES
from keyp.storage.lmdb.transaction import ReadTransaction
from keyp.storage.types import strings
from keyp.tools.backup import backup
from keyp.tools.restore import DamagedBackup, restore
from tests.full_disk import fill_disk
from tests.tools.conftest import DEADLINE_MS, MakeStore, entries, write


@pytest.fixture
def saved(make_store: MakeStore, tmp_path: Path) -> Path:
    """A backup."""
    backup(str(make_store()), str(tmp_path / "saved"), force=False)
    return tmp_path / "saved"


def test_the_backup_becomes_the_store(saved: Path, tmp_path: Path) -> None:
    before = entries(saved)
    copied = restore(str(saved), str(tmp_path / "new"), force=False)
    assert copied.keys == 305
    assert entries(tmp_path / "new") == entries(saved) == before
    assert os.listdir(saved) == ["data.mdb"]
    environment = Environment(str(tmp_path / "new"), fsync=NO)
    with ReadTransaction(environment, 0) as snapshot:
        keys = Keyspace(snapshot, 0)
        assert strings.get(keys, b"marker") == b"first"
        assert strings.get(keys, b"long") == b"x" * (3 * PIECE_BYTES)
        assert layout.record_deadline_ms(keys.find(b"dying") or b"") == DEADLINE_MS
    assert environment.version == 2
    environment.close()


def test_a_store_is_replaced_only_by_force(saved: Path, make_store: MakeStore) -> None:
    data = make_store("other", b"other")
    before = entries(data)
    with pytest.raises(StoreError, match="holds a store already; --force replaces it"):
        restore(str(saved), str(data), force=False)
    assert entries(data) == before
    restore(str(saved), str(data), force=True)
    assert entries(data) == entries(saved)
    assert sorted(os.listdir(data)) == ["data.mdb", "journal", "keyp.lock", "keyp.reserve"]  # of the store before


def test_a_backup_inside_the_data_directory(make_store: MakeStore) -> None:
    data = make_store()
    backup(str(data), str(data / "backup"), force=False)
    before = entries(data)
    write(data, lambda keys: strings.put(keys, b"new", b"v"))
    restore(str(data / "backup"), str(data), force=True)
    assert entries(data) == before == entries(data / "backup")


def test_a_directory_in_use_is_refused(saved: Path, tmp_path: Path) -> None:
    environment = Environment(str(tmp_path / "served"), fsync=NO)
    try:
        with pytest.raises(StoreError, match="in use by another Keyp"):
            restore(str(saved), str(tmp_path / "served"), force=True)
        with pytest.raises(StoreError, match="in use by a Keyp, and no backup"):
            restore(str(tmp_path / "served"), str(tmp_path / "new"), force=True)
    finally:
        environment.close()


def test_a_store_that_is_being_read_is_not_replaced(saved: Path, make_store: MakeStore) -> None:
    data = make_store("other")
    fd = os.open(data, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    with pytest.raises(StoreError, match="a backup or a check is reading the store"):
        restore(str(saved), str(data), force=True)
    os.close(fd)
    restore(str(saved), str(data), force=True)


def test_there_must_be_a_backup(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no backup in"):
        restore(str(tmp_path / "none"), str(tmp_path / "new"), force=False)
    with pytest.raises(StoreError, match="is the data directory itself"):
        restore(str(saved), str(saved), force=True)
    (saved / "data.mdb").write_bytes(b"")
    with pytest.raises(StoreError, match="it is empty"):
        restore(str(saved), str(tmp_path / "new"), force=False)
    assert not (tmp_path / "new" / "data.mdb").exists()


@pytest.mark.parametrize("place", ["page", "record"])
def test_a_damaged_backup_restores_nothing(saved: Path, make_store: MakeStore, place: str) -> None:
    data = make_store("other")
    before = entries(data)
    content = bytearray((saved / "data.mdb").read_bytes())
    at = content.index(b"key:99") + 20 if place == "record" else 4096 * 4 + 10
    content[at] ^= 1
    (saved / "data.mdb").write_bytes(content)
    with pytest.raises(DamagedBackup) as caught:
        restore(str(saved), str(data), force=True)
    assert caught.value.problems
    assert entries(data) == before


def test_a_plain_copy_of_a_store_is_a_backup_too(make_store: MakeStore, tmp_path: Path) -> None:
    data = make_store()
    shutil.copytree(data, tmp_path / "copy")
    restore(str(tmp_path / "copy"), str(tmp_path / "new"), force=False)
    assert entries(tmp_path / "new") == entries(data)


def test_a_disk_without_room_keeps_the_old_store(
    saved: Path, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_store("other", b"other")
    before = entries(data)
    fill_disk(monkeypatch)
    with pytest.raises(StoreError, match="No space left on device"):
        restore(str(saved), str(data), force=True)
    assert entries(data) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for others")
def test_root_restores_for_the_owner_of_the_directory(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    os.chown(tmp_path / "new", 1234, 1234)
    restore(str(saved), str(tmp_path / "new"), force=False)
    assert {(tmp_path / "new" / name).stat().st_uid for name in ("data.mdb", "keyp.lock")} == {1234}
