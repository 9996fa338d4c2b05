"""The data file under a steady load: what is written between two checkpoints bounds its growth, not its duration.

LMDB writes over no page that the last checkpoint shows. So pages that are freed wait for the next one, and those of two
rounds, with what is being written, are all that the file has beside its contents.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from threading import Thread

import pytest

from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.errors import CommitFailed
from keyp.storage.lmdb.journal import DIRTY_MAX
from keyp.storage.lmdb.transaction import WriteTransaction
from keyp.storage.types import strings
from tests.failing_disk import DATA_FILE, failing_syncs

KEYS = 10_000
ROUNDS = 12  # checkpoints
RING = 512 << 10
GROWTH = 3  # times what is written between two checkpoints
PAGE = 4096


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    environment = Environment(str(tmp_path), fsync=NO, journal_bytes=RING)
    yield environment
    environment.close()


def write(environment: Environment, numbers: range | list[int], size: int = 40) -> None:
    transaction = WriteTransaction(environment, 0)
    transaction.version += 1
    keys = WritableKeyspace(transaction, 0)
    for number in numbers:
        strings.put(keys, b"k%d" % number, b"v" * size, False)
    try:
        transaction.commit()
    except CommitFailed:
        transaction.abort()
        raise


def pages(environment: Environment) -> int:
    """How many pages of the data file are, or have been, in use."""
    return int(environment.lmdb.info()["last_pgno"]) + 1


def overwrite(environment: Environment, group: int, size: int, is_slow: bool) -> list[int]:
    """Overwrites keys in groups, with a checkpoint whenever one is due; how many pages the file had at each.

    Where the disk is slow, the next checkpoint is due before it has brought one to its end.
    """
    journal, random = environment.journal, Random(1)

    def write_until_due() -> None:
        while not journal.is_due:
            write(environment, random.sample(range(KEYS), group), size)

    found: list[int] = []
    while len(found) < ROUNDS:
        write_until_due()
        with failing_syncs(DATA_FILE, 0) as syncs:
            if is_slow:
                syncs.meanwhile = write_until_due
            journal.checkpoint()
        found.append(pages(environment))
    return found


@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize(("group", "size"), [(1, 40), (10, 40), (50, 40), (10, 3000)])
def test_a_steady_load_does_not_let_the_file_grow(
    environment: Environment, group: int, size: int, is_slow: bool
) -> None:
    for start in range(0, KEYS, 100):
        write(environment, range(start, start + 100), size)
        environment.journal.checkpoint()
    in_use = environment.live_bytes() // PAGE
    found = overwrite(environment, group, size, is_slow)
    volume = environment.journal.ring.capacity // PAGE
    assert max(found) - in_use <= GROWTH * volume
    assert found[-1] - found[ROUNDS // 2] <= volume // 10  # it has come to an end


def test_commits_wait_for_a_checkpoint_that_they_have_outrun(environment: Environment) -> None:
    """Each group after the limit waits, so no disk is so slow that the file grows by more."""
    journal, dirty = environment.journal, []
    limit = DIRTY_MAX * journal.ring.size

    def write_much() -> None:
        for number in range(40):
            write(environment, range(100 * number, 100 * number + 100))

    writer = Thread(target=write_much)

    def write_meanwhile() -> None:
        writer.start()
        writer.join(0.3)
        dirty.append(journal.dirty_bytes)

    write(environment, range(100))
    group = journal.dirty_bytes
    with failing_syncs(DATA_FILE, 0) as syncs:
        syncs.meanwhile = write_meanwhile
        journal.checkpoint()
        writer.join()
    assert dirty[0] <= limit + group
    assert journal.checkpoints > 2  # with nobody who takes them, commits take them


def test_a_failure_of_the_checkpoint_that_is_waited_for_refuses_the_commit(environment: Environment) -> None:
    refused: list[Exception] = []

    def write_much() -> None:
        try:
            for number in range(40):
                write(environment, range(100 * number, 100 * number + 100))
        except CommitFailed as error:
            refused.append(error)

    writer = Thread(target=write_much)

    def write_meanwhile() -> None:
        writer.start()
        writer.join(0.3)

    with failing_syncs(DATA_FILE, 1) as syncs:
        syncs.meanwhile = write_meanwhile
        with pytest.raises(OSError, match="Input/output"):
            environment.journal.checkpoint()
        writer.join()
    assert len(refused) == 1
    environment.reopen()
