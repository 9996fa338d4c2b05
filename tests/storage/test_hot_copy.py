"""Copies of open environments: whole or not there, one at a time, and a way to end one early."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from keyp.storage.lmdb.hot_copy import CopyFailed, HotCopy
from keyp.storage.lmdb.reader import StoreReader
from keyp.storage.types import strings


@pytest.fixture
def target(tmp_path: Path) -> str:
    (tmp_path / "copies").mkdir()
    return str(tmp_path / "copies" / "data.mdb")


def names(target: str) -> list[str]:
    return sorted(os.listdir(os.path.dirname(target)))


def test_it_has_no_name_before_it_is_whole(store: Any, target: str) -> None:
    store.write(lambda keys: strings.put(keys, b"k", b"v"))
    copy = HotCopy(target)
    assert names(target) == ["data.mdb.partial"]
    copy.write(store.environment.lmdb, 0)
    assert names(target) == ["data.mdb.partial"]
    store.write(lambda keys: strings.put(keys, b"later", b"v"))
    copy.publish()
    copy.close()
    assert names(target) == ["data.mdb"]
    with StoreReader(target) as reader:
        assert [size.keys for size in reader.sizes()] == [1]


def test_what_was_not_published_goes(store: Any, target: str) -> None:
    copy = HotCopy(target)
    copy.write(store.environment.lmdb, 0)
    copy.close()
    assert names(target) == []


def test_one_at_a_time(store: Any, target: str) -> None:
    copy = HotCopy(target)
    with pytest.raises(CopyFailed, match="another copy to it is under way"):
        HotCopy(target)
    copy.write(store.environment.lmdb, 0)
    copy.publish()
    HotCopy(target).close()
    assert names(target) == ["data.mdb"]
    copy.close()


def test_one_that_has_got_its_name_is_not_written_over(
    store: Any, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = HotCopy(target)
    first.write(store.environment.lmdb, 0)
    open_file = os.open

    def open_late(path: str, *args: Any) -> int:
        """Opens the first copy's partial file; then, before it can be locked, that one is finished."""
        fd = open_file(path, *args)
        monkeypatch.setattr(os, "open", open_file)
        first.publish()
        first.close()
        return fd

    monkeypatch.setattr(os, "open", open_late)
    second = HotCopy(target)
    with StoreReader(target):
        pass
    second.close()
    assert names(target) == ["data.mdb"]


def test_a_copy_under_way_can_be_ended(store: Any, target: str) -> None:
    store.write(lambda keys: strings.put(keys, b"big", bytes(10_000_000)))

    class Ended:
        """An environment whose copy is cancelled after its first bytes."""

        def copyfd(self, fd: int, compact: bool) -> None:
            os.write(fd, b"first bytes")
            copy.cancel()
            store.environment.lmdb.copyfd(fd, compact=compact)

    copy = HotCopy(target)
    ended: Any = Ended()
    with pytest.raises(CopyFailed, match="it was stopped"):
        copy.write(ended, 0)
    with pytest.raises(CopyFailed, match="it was stopped"):
        copy.publish()
    copy.close()
    assert names(target) == []


def test_no_room(store: Any, target: str) -> None:
    copy = HotCopy(target)
    with pytest.raises(CopyFailed, match="No space left on device"):
        copy.write(store.environment.lmdb, 1 << 60)
    copy.close()
    assert names(target) == []


def test_a_disk_that_fails_later(store: Any, target: str) -> None:
    copy = HotCopy(target)
    os.dup2(full := os.open("/dev/full", os.O_WRONLY), copy._fd)
    os.close(full)
    with pytest.raises(CopyFailed, match="No space left on device"):
        copy.write(store.environment.lmdb, 0)
    copy.close()


def test_a_link_is_not_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "precious").write_text("precious")
    os.symlink(tmp_path / "precious", target + ".partial")
    with pytest.raises(CopyFailed):
        HotCopy(target)
    assert (tmp_path / "precious").read_text() == "precious"
