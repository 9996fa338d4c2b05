"""A store that was killed has, after a start, what was committed: neither more nor less."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyp.storage.check import check
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.transaction import ReadTransaction, WriteTransaction
from keyp.storage.types import strings
from tests.storage.conftest import Store
from tests.storage.journal.kills import contents, contents_at, copy_of


def test_the_first_key_of_a_database_survives_a_kill(store: Store, tmp_path: Path) -> None:
    """Its space is new, and two of its three sub-databases have no entry that a record could name."""
    store.write(lambda keys: strings.put(keys, b"k", b"v", False))
    store.write(lambda keys: strings.put(keys, b"k", b"v", False), 9)
    killed = copy_of(store.path, tmp_path / "killed")
    environment = Environment(str(killed))
    assert environment.replayed == 2
    assert contents(environment) == contents(store.environment)
    with ReadTransaction(environment, 0) as snapshot:
        assert check(snapshot) == []
    environment.close()
    assert contents_at(killed) == contents(store.environment)


def test_a_journal_of_more_databases_than_are_asked_for(tmp_path: Path) -> None:
    """They are not lost: a start with as many as before makes them."""
    environment = Environment(str(tmp_path / "store"), databases=100, journal_bytes=16 << 20)
    for index in range(100):
        transaction = WriteTransaction(environment, 0)
        transaction.version += 1
        strings.put(WritableKeyspace(transaction, index), b"k", b"%d" % index)
        transaction.commit()
    killed = copy_of(tmp_path / "store", tmp_path / "killed")
    environment.close()
    with pytest.raises(StoreError, match="as many as before"):
        Environment(str(killed), databases=1)
    environment = Environment(str(killed), databases=100)
    with ReadTransaction(environment, 0) as snapshot:
        assert [strings.get(Keyspace(snapshot, index), b"k") for index in (0, 99)] == [b"0", b"99"]
    environment.close()
