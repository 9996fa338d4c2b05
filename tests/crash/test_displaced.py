"""The data directory is taken away under a running server: it says so within a second, and writes no more."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
import redis

from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, Daemon, wait_until

MODES = ["always", "everysec"]


class Store:
    """A server with one key, and the directory it keeps it in."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.directory = daemon.data_dir
        self.file = daemon.data_dir / "data.mdb"
        self.away = daemon.directory / "elsewhere"
        self.r = redis.Redis(port=daemon.port, socket_timeout=DEADLINE_S)
        self.r.set("k", "v")

    def takes_writes(self) -> bool:
        try:
            return bool(self.r.set("written", "since"))
        except redis.ResponseError as error:
            if not str(error).startswith("MISCONF"):
                raise
            return False

    def wait_for_refusal(self, why: str) -> None:
        wait_until(lambda: not self.takes_writes(), "the refusal of writes")
        assert self.r.get("k") == b"v"
        assert self.complaints(why) == 1

    def complaints(self, why: str) -> int:
        return self.daemon.log().count(f"no more writes are accepted for now: {why}")

    def wait_for_recovery(self) -> None:
        wait_until(self.takes_writes, "writes to be taken again")
        assert self.r.get("k") == b"v"


@pytest.fixture
def store(server: StartServer, request: pytest.FixtureRequest) -> Iterator[Store]:
    store = Store(server(f"--fsync={getattr(request, 'param', 'always')}"))
    yield store
    store.r.close()


GONE = "the data file is gone"
JOURNAL_GONE = "the journal is gone"
REPLACED = "another file has taken the data file's place"


@pytest.mark.parametrize("store", MODES, indirect=True)
def test_a_directory_that_is_moved_away_and_back(store: Store) -> None:
    for round_ in (1, 2):
        store.directory.rename(store.away)
        wait_until(lambda: not store.takes_writes(), "the refusal of writes")
        assert store.r.get("k") == b"v"
        store.away.rename(store.directory)
        store.wait_for_recovery()
        assert store.complaints(GONE) == round_
    store.r.set("last", "one")
    store.daemon.stop()
    store.daemon.start()
    assert store.r.get("last") == b"one"


def test_a_file_that_is_unlinked_does_not_come_back(store: Store) -> None:
    store.file.unlink()
    store.wait_for_refusal(GONE)
    assert not store.file.exists()
    end_at_a_loss(store)


def test_a_directory_that_is_removed(store: Store) -> None:
    shutil.rmtree(store.directory)
    store.wait_for_refusal(GONE)
    assert not store.directory.exists()
    end_at_a_loss(store)


def test_another_file_in_its_place_is_left_alone(store: Store) -> None:
    foreign = store.daemon.directory / "foreign"
    own = store.daemon.directory / "own"
    foreign.write_bytes(b"of somebody else")
    store.file.rename(own)
    foreign.rename(store.file)
    store.wait_for_refusal(REPLACED)
    assert store.file.read_bytes() == b"of somebody else"
    own.rename(store.file)
    store.wait_for_recovery()
    store.daemon.stop()


@pytest.mark.parametrize("store", MODES, indirect=True)
def test_a_journal_that_is_gone_is_made_anew(store: Store) -> None:
    """Nothing is lost by it: the data file has all that was answered, and a checkpoint says so in the new one."""
    ring = store.directory / "journal"
    ring.unlink()
    # Writes are refused for a second only, which a slow machine may not come to see.
    wait_until(lambda: store.complaints(JOURNAL_GONE) == 1, "the end of the old journal")
    assert store.r.get("k") == b"v"
    store.wait_for_recovery()
    assert store.complaints(JOURNAL_GONE) == 1
    assert ring.exists()
    store.r.set("last", "one")
    store.daemon.kill()
    store.daemon.check()
    store.daemon.start()
    assert store.r.get("last") == b"one"


def end_at_a_loss(store: Store) -> None:
    """What was written is lost: the server says so when it ends, and nothing is left to be checked."""
    with pytest.raises(AssertionError, match="exit status 1"):
        store.daemon.stop()
    assert "what was written last may not be on the disk" in store.daemon.log()
    shutil.rmtree(store.directory, ignore_errors=True)
