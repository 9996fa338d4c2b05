"""When a server syncs what, and what INFO tells of it: syncs by the mode, checkpoints by volume and by time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyp.storage.journal.ring import FIRST, PAGE
from keyp.storage.lmdb.journal import SMALL_RING_BYTES
from tests.failing_disk import DATA_FILE, RING_FILE, failing_syncs
from tests.fakes import START_US, Lab
from tests.storage.journal.kills import copy_of

MODES = ("always", "everysec", "no")
NOTHING: dict[str, int] = {}
RING = {RING_FILE: 1}
CHECKPOINT = {DATA_FILE: 1, RING_FILE: 1}
LARGE = b"*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$1000000\r\n%b\r\n" % (b"x" * 1_000_000)  # no room in the ring


def info(lab: Lab, section: str = "keyp") -> dict[str, str]:
    lines = lab.connect().call(f"INFO {section}").decode().split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


def numbers(lab: Lab, *names: str) -> list[int]:
    found = info(lab)
    return [int(found[name]) for name in names]


@contextmanager
def syncs() -> Iterator[dict[str, int]]:
    """How many syncs of each file there are, by its name."""
    with failing_syncs(DATA_FILE, 0) as counting:
        yield counting.counts


def seconds_pass(lab: Lab, seconds: int) -> None:
    for _ in range(seconds):
        lab.advance_ms(1000)
        lab.server.each_second()
        lab.settle()


# What INFO tells.


def test_info_counts_records_and_checkpoints(lab: Lab) -> None:
    since = ("journal_used_bytes", "records_since_checkpoint", "dirty_bytes_since_checkpoint")
    assert numbers(lab, "journal_size", "journal_records", "checkpoints", *since) == [SMALL_RING_BYTES, 0, 1, 0, 0, 0]
    client = lab.connect()
    client.call("SET a 1")
    client.call("SET a 2", "SET b 3")
    client.call("SETNX a 4")
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nc\r\n$5000\r\n%b\r\n" % (b"x" * 5000))
    used, records, dirty = numbers(lab, *since)
    assert (used, records) == (4 * PAGE, 3)
    assert dirty > 3 * PAGE
    assert 5000 < numbers(lab, "journal_bytes")[0] < 4 * PAGE
    before = numbers(lab, "last_checkpoint_usec")
    lab.server.take_checkpoint()
    lab.settle()
    assert numbers(lab, "journal_records", "checkpoints", *since) == [3, 2, 0, 0, 0]
    assert before < numbers(lab, "last_checkpoint_usec")


def test_info_says_what_a_start_has_replayed_and_how_long_it_took(tmp_path: Path) -> None:
    lab, started_at = Lab(tmp_path / "store"), START_US // 1_000_000
    assert numbers(lab, "replayed_records") == [0]
    for number in range(5):
        lab.connect().call(f"SET k{number} v")
    killed = Lab(copy_of(tmp_path / "store", tmp_path / "killed"))
    assert numbers(killed, "replayed_records", "replay_usec") == [5, killed.clock.step_ns // 1000]
    assert numbers(killed, "records_since_checkpoint", "last_sync_time") == [0, started_at]
    for server in (lab, killed):
        server.close()


def test_rediss_fields_of_its_log(lab: Lab) -> None:
    client = lab.connect()
    client.call("CONFIG SET appendfsync everysec", "SET a 1")
    found = info(lab, "persistence")
    assert int(found["aof_current_size"]) - int(found["aof_base_size"]) == PAGE
    assert [found["aof_pending_bio_fsync"], found["aof_delayed_fsync"]] == ["0", "0"]
    lab.reader_threads.held = True
    seconds_pass(lab, 3)
    found = info(lab, "persistence")
    assert [found["aof_pending_bio_fsync"], found["aof_delayed_fsync"]] == ["1", "2"]
    lab.reader_threads.held = False
    lab.reader_threads.work()
    client.call("CONFIG RESETSTAT")
    found = info(lab, "persistence")
    assert [found["aof_pending_bio_fsync"], found["aof_delayed_fsync"]] == ["0", "0"]


# When checkpoints come.


def test_a_checkpoint_comes_by_volume(lab: Lab) -> None:
    """What the data file has to take, or half of the ring, whichever is full first."""
    client, checkpoints = lab.connect(), 1
    most_used = most_dirty = 0
    for number in range(400):
        client.call(f"SET k{number} v")
        found, used, dirty = numbers(lab, "checkpoints", "journal_used_bytes", "dirty_bytes_since_checkpoint")
        assert found - checkpoints in (0, 1)
        if found > checkpoints:
            assert used == dirty == 0
        checkpoints = found
        most_used, most_dirty = max(used, most_used), max(dirty, most_dirty)
    capacity = SMALL_RING_BYTES - FIRST
    assert checkpoints > 5
    assert most_used <= capacity // 2
    assert most_dirty <= capacity


@pytest.mark.parametrize("mode", MODES)
def test_a_checkpoint_comes_by_time(lab: Lab, mode: str) -> None:
    """Ten seconds after the last one, where anything has changed."""
    client = lab.connect()
    client.call(f"CONFIG SET appendfsync {mode}")
    seconds_pass(lab, 30)
    assert numbers(lab, "checkpoints") == [1]
    client.call("SET a 1")
    seconds_pass(lab, 1)
    assert numbers(lab, "checkpoints") == [2]  # the last one is long ago
    client.call("SET a 2")
    seconds_pass(lab, 9)
    assert numbers(lab, "checkpoints") == [2]
    seconds_pass(lab, 2)
    assert numbers(lab, "checkpoints", "dirty_bytes_since_checkpoint") == [3, 0]
    seconds_pass(lab, 30)
    assert numbers(lab, "checkpoints") == [3]


def test_everything_is_known_to_be_on_the_disk_after_a_checkpoint(lab: Lab) -> None:
    lab.connect().call("SET a 1")
    lab.advance_ms(5000)
    before = numbers(lab, "last_sync_time")[0]
    lab.server.take_checkpoint()
    lab.settle()
    assert numbers(lab, "last_sync_time") == [before + 5]


# What each mode syncs.


@pytest.mark.parametrize(
    ("mode", "at_once", "each_second"),
    [("always", RING, NOTHING), ("everysec", NOTHING, RING), ("no", NOTHING, NOTHING)],
)
def test_what_a_write_syncs(lab: Lab, mode: str, at_once: dict[str, int], each_second: dict[str, int]) -> None:
    client = lab.connect()
    client.call(f"CONFIG SET appendfsync {mode}", "SET a 0")
    seconds_pass(lab, 1)
    with syncs() as counts:
        client.call("SET a 1", "SET b 2", "DEL a")
        assert counts == at_once
    with syncs() as counts:
        client.call("GET a", "LPOP nosuch")
        assert counts == NOTHING
        seconds_pass(lab, 1)
        assert counts == each_second


@pytest.mark.parametrize(("mode", "synced"), [("always", NOTHING), ("everysec", RING), ("no", RING)])
def test_waitaof_syncs_the_journal(lab: Lab, mode: str, synced: dict[str, int]) -> None:
    client = lab.connect()
    client.call(f"CONFIG SET appendfsync {mode}", "SET a 1")
    with syncs() as counts:
        assert client.call("WAITAOF 1 0 0") == b"*2\r\n:1\r\n:0\r\n"
        assert counts == synced
    with syncs() as counts:
        client.call("WAITAOF 0 0 0")
        assert counts == NOTHING


@pytest.mark.parametrize("mode", MODES)
def test_what_the_ring_has_no_room_for_is_durable_by_a_checkpoint(lab: Lab, mode: str) -> None:
    """At once, in every mode: nothing that is journaled later may be without it."""
    client = lab.connect()
    client.call(f"CONFIG SET appendfsync {mode}", "SET a 1")
    with syncs() as counts:
        assert client.send(LARGE) == b"+OK\r\n"
        assert counts == CHECKPOINT


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("command", ["SAVE", "BGSAVE"])
def test_a_save_syncs_its_copy_and_nothing_else(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, mode: str, command: str
) -> None:
    client = lab.connect()
    client.call(f"CONFIG SET appendfsync {mode}", "SET a 1")
    lab.advance_ms(3000)
    real, copied = os.fsync, []

    def fsync(fd: int) -> None:
        copied.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), lab.environment.path))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with syncs() as counts:
        client.call(command)
        lab.settle()
        assert counts == NOTHING
    assert copied.count("backup/data.mdb.partial") == 1
    assert not {DATA_FILE, RING_FILE} & set(copied)
    assert client.call("LASTSAVE") == b":%d\r\n" % (START_US // 1_000_000 + 3)
    assert numbers(lab, "checkpoints") == [1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("command", ["SHUTDOWN", "SHUTDOWN NOSAVE", "SHUTDOWN SAVE"])
def test_a_stop_takes_a_checkpoint(tmp_path: Path, mode: str, command: str) -> None:
    """Whatever is asked for and however it synced before: the next start replays nothing."""
    lab = Lab(tmp_path)
    client = lab.connect()
    client.call(f"CONFIG SET appendfsync {mode}", "SET a 1")
    client.call(command)
    assert lab.stopped == 1
    with syncs() as counts:
        assert lab.server.close_store()
        assert counts == CHECKPOINT
    lab = Lab(tmp_path)
    assert numbers(lab, "replayed_records") == [0]
    assert lab.connect().call("GET a") == b"$1\r\n1\r\n"
    lab.close()


def test_what_the_sweeper_removes_waits_for_no_sync(lab: Lab) -> None:
    """It is in the journal and durable with the next write; after a power cut it would be due again."""
    client = lab.connect()
    client.call("CONFIG SET appendfsync always", "SET a 1 PX 10", "SET b 2")
    lab.advance_ms(20)
    before = numbers(lab, "journal_records")[0]
    with syncs() as counts:
        lab.sweep()
        assert client.call("DBSIZE") == b":1\r\n"
        assert counts == NOTHING
        client.call("SET c 3")
        assert counts == RING
    assert numbers(lab, "journal_records") == [before + 2]
