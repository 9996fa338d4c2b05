"""A database that is written to for the first time gets its sub-databases; so it does when that is replayed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from keyp.storage.check import check
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.transaction import ReadTransaction
from keyp.storage.types import hashes, strings
from tests.storage.conftest import NOW_MS, Store


def put_string(keys: WritableKeyspace) -> None:
    strings.put(keys, b"k", b"v")


def put_and_flush(keys: WritableKeyspace) -> None:
    strings.put(keys, b"k", b"v")
    keys.transaction.flush(keys.index)


def put_hash(keys: WritableKeyspace) -> None:
    found = hashes.find_or_make(keys, b"h")
    for number in range(1000):
        found.set(b"%d" % number, b"v")
    found.save()


def only_make(keys: WritableKeyspace) -> None:
    keys.writable_space()


@pytest.mark.parametrize("change", [put_string, put_and_flush, put_hash, only_make])
def test_a_killed_store_opens(store: Store, tmp_path: Path, change: Callable[[WritableKeyspace], None]) -> None:
    store.write(change, index=3)
    shutil.copytree(store.path, tmp_path / "left")
    environment = Environment(str(tmp_path / "left"), fsync=NO)
    try:
        assert environment.replayed == 1
        with ReadTransaction(environment, NOW_MS) as snapshot:
            assert check(snapshot) == []
            assert sorted(Keyspace(snapshot, 3).names()) == sorted(store.read(lambda keys: list(keys.names()), 3))
    finally:
        environment.close()
