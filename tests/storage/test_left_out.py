"""What a start must not leave out, shown by starts that do.

`tests/crash/test_power_cut.py` looks for the same in whole servers; what is here needs a past that is rare there.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from keyp.storage.check import check
from keyp.storage.journal import paced_sync
from keyp.storage.journal.ring import PAGE, Ring
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb import environment as opening
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.journal import RING_FILE, Journal
from keyp.storage.lmdb.replay import RECORDS_AT_ONCE, replay
from keyp.storage.lmdb.transaction import ReadTransaction, WriteTransaction
from keyp.storage.types import strings
from tests.integration.daemon import COMPILED
from tests.storage.conftest import NOW_MS

uncompiled = pytest.mark.skipif(COMPILED, reason="compiled modules cannot be changed")

RING_BYTES = 192 << 20  # so that no commit has to wait for a checkpoint
KEYS = 20
REPLAYED = 6 * RECORDS_AT_ONCE  # in so many transactions


def opened(path: Path) -> Environment:
    return Environment(str(path), fsync=NO, journal_bytes=RING_BYTES)


def put(environment: Environment, key: bytes, value: bytes) -> None:
    """A commit, the same at any time."""
    transaction = WriteTransaction(environment, NOW_MS)
    transaction.version += 1
    strings.put(WritableKeyspace(transaction, 0), key, value)
    transaction.commit()


def content(environment: Environment) -> dict[bytes, bytes | None]:
    """What the store holds; fails where it is not sound."""
    with ReadTransaction(environment, NOW_MS) as snapshot:
        assert check(snapshot) == []
        keys = Keyspace(snapshot, 0)
        return {name: strings.get(keys, name) for name in keys.names()}


def interrupted_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that comes up to the checkpoint behind its replay."""
    with monkeypatch.context() as patch:
        patch.setattr(paced_sync, "fdatasync", fail)
        with pytest.raises(StoreError):
            opened(path)


def fail(fd: int) -> None:
    raise OSError(5, "Input/output error")


@pytest.fixture
def long_past(tmp_path: Path) -> Path:
    """What a kill has left of a store with many records in its journal, which write over the same few keys."""
    environment = opened(tmp_path / "store")
    for number in range(REPLAYED):
        put(environment, b"%d" % (number % KEYS), b"%d" % number * 200)
    shutil.copytree(tmp_path / "store", tmp_path / "left")
    environment.close()
    return tmp_path / "left"


WHOLE: dict[bytes, bytes | None] = {b"%d" % (number % KEYS): b"%d" % number * 200 for number in range(REPLAYED)}


def test_a_replay_that_was_interrupted_is_repeated(long_past: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted_start(long_past, monkeypatch)
    environment = opened(long_past)
    assert environment.replayed == REPLAYED
    assert content(environment) == WHOLE
    environment.close()


@uncompiled
def test_without_the_pin_a_replay_writes_over_where_it_began(long_past: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_pin(where: Any, journal: Journal, *arguments: Any) -> int:
        journal._pin.abort()
        return replay(where, journal, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(opening, "replay", without_pin)
        interrupted_start(long_past, monkeypatch)
    with pytest.raises(StoreError):
        opened(long_past)


def left_without(path: Path, place: int) -> Path:
    """What a power cut has left of a store that is open, where the record at `place` was not written yet."""
    left = Path(shutil.copytree(path, path.with_name("left"), dirs_exist_ok=True))
    with (left / RING_FILE).open("r+b") as ring:
        ring.seek(place)
        ring.write(bytes(PAGE))
    return left


def repeated_after_a_power_cut(path: Path) -> dict[bytes, bytes | None]:
    """Two commits, of which the first does not reach the disk before a power cut; it comes again, and another cut."""
    first = opened(path)
    place = first.journal.ring.position.place
    put(first, b"k", b"1")
    put(first, b"later", b"2")
    left = left_without(path, place)
    first.close()
    second = opened(left)
    assert content(second) == {}
    assert second.journal.ring.position.place == place
    put(second, b"k", b"1")
    again = shutil.copytree(left, path.with_name("again"))
    second.close()
    third = opened(Path(again))
    try:
        return content(third)
    finally:
        third.close()


def test_records_of_an_earlier_run_do_not_come_back(tmp_path: Path) -> None:
    assert repeated_after_a_power_cut(tmp_path / "store") == {b"k": b"1"}


@uncompiled
def test_without_a_chain_of_its_own_a_run_goes_on_with_what_another_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ring, "begin_chain", lambda ring: None)
    assert repeated_after_a_power_cut(tmp_path / "store") == {b"k": b"1", b"later": b"2"}
