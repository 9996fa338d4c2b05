"""Commits that the journal has no record of: nothing is journaled behind them before a checkpoint has them."""

from __future__ import annotations

import os
from threading import Thread

import pytest

from keyp.storage.journal import paced_sync
from keyp.storage.types import strings
from tests.storage.conftest import Store


@pytest.mark.parametrize("begins", ["a checkpoint", "a sync"])
def test_a_record_waits_for_a_checkpoint_that_is_under_way(
    store: Store, monkeypatch: pytest.MonkeyPatch, begins: str
) -> None:
    """A power cut before its end would leave the record without what it was made on."""
    journal = store.environment.journal
    transaction = store.begin()
    transaction.is_journaled = False
    transaction.put(store.environment.meta, b"unjournaled", b"x")
    transaction.commit()
    journaled: list[int] = []
    meanwhile = Thread(target=store.write, args=(lambda keys: strings.put(keys, b"k", b"v"),))

    def sync(fd: int) -> None:
        if not journaled:
            meanwhile.start()
            meanwhile.join(0.2)
            journaled.append(journal.records)
        os.fsync(fd)

    monkeypatch.setattr(paced_sync, "fdatasync", sync)
    before = journal.records
    (journal.checkpoint if begins == "a checkpoint" else journal.sync)()
    meanwhile.join()
    assert journaled == [before]
    assert journal.records == before + 1
