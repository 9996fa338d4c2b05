"""A store that was killed has, after a start, what was committed: neither more nor less."""

from __future__ import annotations

from pathlib import Path

from keyp.storage.check import check
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.transaction import ReadTransaction
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
