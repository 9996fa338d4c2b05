"""Damaged stores: refused when they are opened, or an error on the one key; never a wrong value.

Each change of a byte is tried in a process of its own, with the engine and everything below it. The long form prints
how often what happened.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from pathlib import Path
from random import Random

import lmdb
import pytest

from keyp.storage.lmdb import layout, verification
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.meta_pages import DataFile
from keyp.storage.lmdb.store import DATA_FILE
from tests.crash.damage import (
    DIED,
    ERROR,
    MISSING,
    PAGE,
    REFUSED,
    RIGHT,
    WRONG,
    Flip,
    copy_store,
    edited,
    in_a_process,
    names,
)
from tests.integration.daemon import LONG

FLIPS = 4000 if LONG else 30


@pytest.fixture
def copy(template: Path, tmp_path: Path) -> Path:
    """A sound store, closed in order."""
    copy_store(template, tmp_path / "data", closed=True)
    return tmp_path / "data"


# Changed bytes.


def outcome_of(template: Path, path: Path, flip: Flip, closed: bool) -> dict[str, int | str]:
    shutil.rmtree(path, ignore_errors=True)
    flip.apply(copy_store(template, path, closed))
    outcome = in_a_process(path)
    if DIED in outcome:
        again = in_a_process(path)
        assert REFUSED in again, f"{flip}: the process died of signal {outcome[DIED]} and the next start gave {again}"
    return outcome


def test_a_changed_byte_is_never_a_wrong_value(template: Path, tmp_path: Path, seed: str) -> None:
    data = (template / DATA_FILE).read_bytes()
    random = Random(f"{seed}/flips")
    counts: Counter[str] = Counter()
    for number in range(FLIPS):
        flip = Flip(data, random)
        outcome = outcome_of(template, tmp_path / "copy", flip, closed=number % 2 == 0)
        counts[summary(outcome)] += 1
        assert not outcome.get(WRONG), (flip, outcome)
        assert not outcome.get(f"{WRONG} after writes"), (flip, outcome)
        assert not outcome.get("traceback"), (flip, outcome["traceback"])
        assert not outcome.get(MISSING), (flip, outcome)
    print(f"\n{FLIPS} changed bytes: {dict(counts)}")


def summary(outcome: dict[str, int | str]) -> str:
    if REFUSED in outcome:
        return REFUSED
    if DIED in outcome:
        return f"died of {signal.Signals(int(outcome[DIED])).name}, refused at the next start"
    found = [what for what in (ERROR, MISSING) if outcome.get(what) or outcome.get(f"{what} after writes")]
    return " and ".join(found) or "all right"


# Files that are no store, or not all of one.


def refused(path: Path, text: str) -> None:
    with pytest.raises(StoreError, match=text):
        Environment(str(path))


def test_an_empty_data_file_is_not_taken_for_a_new_store(copy: Path) -> None:
    (copy / DATA_FILE).write_bytes(b"")
    refused(copy, "it is empty, what it held is gone")
    assert (copy / DATA_FILE).read_bytes() == b""


def test_a_data_file_that_is_gone_is_not_taken_for_a_new_directory(copy: Path) -> None:
    (copy / DATA_FILE).unlink()
    for _ in range(2):
        refused(copy, "the data file is gone; a backup may have it, without keyp.lock a new store is made")
    assert not (copy / DATA_FILE).exists()
    (copy / "keyp.lock").unlink()
    Environment(str(copy)).close()


@pytest.mark.parametrize("share", [0.0001, 0.0022, 0.0035, 0.3, 0.7, 0.99])
def test_a_data_file_that_is_cut_off_is_refused(copy: Path, share: float) -> None:
    with DataFile(str(copy / DATA_FILE)) as file:
        used = (file.newest.last_page + 1) * PAGE
    os.truncate(copy / DATA_FILE, int(used * share))
    outcome = in_a_process(copy)
    assert REFUSED in outcome, outcome


def test_a_sound_file_may_be_shorter_than_it_says(copy: Path) -> None:
    """Where its last pages are free and were never written."""
    data_file = copy / DATA_FILE
    with edited(copy) as (env, txn):  # pages at the end that are freed in the transaction after they were written
        txn.put(b"filler", bytes(1 << 20), db=env.open_db(b"garbage", txn=txn))
    with edited(copy) as (env, txn):
        txn.delete(b"filler", db=env.open_db(b"garbage", txn=txn))
    os.truncate(data_file, data_file.stat().st_size - 20 * PAGE)
    assert verification.problems(str(data_file)) == []
    assert verification.reason_to_verify(str(data_file)) == "it is shorter than its head says"
    environment = Environment(str(copy))
    assert len(environment.notices) == 1
    environment.close()
    assert verification.reason_to_verify(str(data_file)) == ""
    assert in_a_process(copy)[RIGHT] == len(names())


@pytest.mark.parametrize("content", [b"x", b"hello, world\n" * 1000, bytes(8192), b"\xff" * 100_000])
def test_a_foreign_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / DATA_FILE).write_bytes(content)
    refused(tmp_path, "not a store of Keyp|cut off")
    assert os.listdir(tmp_path) == [DATA_FILE]
    assert (tmp_path / DATA_FILE).read_bytes() == content


def test_the_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with (
        lmdb.open(str(tmp_path / DATA_FILE), subdir=False, lock=False, lib_version=0) as env,
        env.begin(write=True) as txn,
    ):
        txn.put(b"theirs", b"1")
    content = (tmp_path / DATA_FILE).read_bytes()
    refused(tmp_path, "another program; it was not touched")
    assert os.listdir(tmp_path) == [DATA_FILE]
    assert (tmp_path / DATA_FILE).read_bytes() == content


def test_a_newer_format_is_refused(copy: Path) -> None:
    with edited(copy) as (env, txn):
        txn.put(b"format", layout.number(layout.FORMAT + 1), db=env.open_db(b"meta", txn=txn))
    content = (copy / DATA_FILE).read_bytes()
    refused(copy, f"in format {layout.FORMAT + 1}, this Keyp reads up to {layout.FORMAT}; it was not touched")
    assert (copy / DATA_FILE).read_bytes() == content


@pytest.mark.parametrize("name", [b"version", b"collections", b"databases"])
def test_the_stores_own_numbers_are_sealed(copy: Path, name: bytes) -> None:
    with edited(copy) as (env, txn):
        meta = env.open_db(b"meta", txn=txn)
        value = txn.get(name, db=meta)
        assert value is not None
        txn.put(name, bytes(len(value) - layout.CHECKSUM) + value[-layout.CHECKSUM :], db=meta)
    outcome = in_a_process(copy)
    assert REFUSED in outcome or outcome["check"]
    assert not outcome.get(MISSING)


def test_a_space_that_is_gone_is_not_made_anew(copy: Path) -> None:
    with edited(copy) as (env, txn):
        txn.drop(env.open_db(b"keys:1", txn=txn), delete=True)
    refused(copy, "space 1 serves a database and is not there")


def test_opening_looks_at_the_whole_file_only_where_there_is_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def look(path: str, *_: object) -> list[str]:
        looked.append(path)
        return []

    monkeypatch.setattr(verification, "problems", look)
    for _ in range(3):
        environment = Environment(str(tmp_path), fsync="no")
        assert environment.notices == []
        environment.close()
    assert looked == []
