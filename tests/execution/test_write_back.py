"""LMDB's transaction stays open over groups: readers see all, failures undo no other group, kills lose none."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent

from keyp.command.registry import Registry
from keyp.commands.all import TABLES
from keyp.errors import DAMAGED_STORE, DISK_FAILED
from keyp.storage.journal.ring import Ring
from keyp.storage.keys.keyspace import Keyspace
from keyp.storage.lmdb import start, write_back
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.reader import StoreReader
from keyp.storage.lmdb.transaction import ReadTransaction
from keyp.storage.types import strings
from tests.execution.test_faults import Panicking
from tests.execution.test_groups import FAULTY, INTERNAL
from tests.execution.test_journaled_work import flush
from tests.failing_disk import DATA_FILE, FailingDisk, FailingTransaction, error_with, failing
from tests.fakes import Lab
from tests.log import observed
from tests.wire import request

FAILED = f"-{DISK_FAILED}\r\n".encode()
PAGE, FLAGS, LEAF = 4096, 10, 2  # of LMDB's pages: where the flags are, and one of them
SHOWN_MS = round(write_back.SHOWN_S * 1000)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path / "store", writes_back=True)
    lab.connect().call("SET first 1")  # which makes a space, so LMDB commits
    yield lab
    lab.close()


def is_open(lab: Lab) -> bool:
    return lab.environment.write_back.transaction is not None


def keys_shown(lab: Lab) -> int:
    """How many keys a snapshot shows, as another process would open it."""
    with ReadTransaction(lab.environment, 0) as transaction:
        space = transaction.space(0)
        assert space is not None
        return int(transaction.txn.stat(space.keys)["entries"])


def killed(lab: Lab, path: Path) -> Environment:
    """What starts after a kill at this moment."""
    path.mkdir()
    for name in ("data.mdb", "journal"):
        (path / name).write_bytes((Path(lab.environment.path) / name).read_bytes())
    return Environment(str(path))


def test_groups_share_a_transaction_and_are_in_the_journal(lab: Lab) -> None:
    client, before, records = lab.connect(), lab.commits(), lab.environment.journal.records
    for number in range(10):
        assert client.call(f"SET k{number} {number}") == b"+OK\r\n"
    assert lab.commits() == before
    assert lab.environment.journal.records == records + 10
    assert is_open(lab)


def test_what_is_read_between_groups_is_the_newest(lab: Lab) -> None:
    client, other = lab.connect(), lab.connect()
    for number in range(3):
        client.call(f"SET k {number}", "LPUSH l x", "SELECT 0")
        assert other.call("GET k", "LLEN l", "DBSIZE", "EXISTS none") == b"$1\r\n%d\r\n:%d\r\n:3\r\n:0\r\n" % (
            number,
            number + 1,
        )
    assert is_open(lab)


def test_a_read_waits_for_the_group_that_uses_the_transaction(lab: Lab) -> None:
    client, other = lab.connect(), lab.connect()
    client.call("SET k 1")
    lab.writer_thread.held = True
    client.protocol.dataReceived(b"SET k 2\r\n")
    lab.settle()
    other.protocol.dataReceived(b"GET k\r\n")
    lab.settle()
    assert other.transport.sent == b""
    lab.writer_thread.work()
    lab.writer_thread.held = False
    lab.settle()
    assert other.transport.sent == b"$1\r\n2\r\n"


def test_a_read_waits_for_no_group_where_a_snapshot_shows_all(lab: Lab) -> None:
    client, other = lab.connect(), lab.connect()
    client.call("SET k 1")
    flush(lab)
    lab.writer_thread.held = True
    client.protocol.dataReceived(b"SET k 2\r\n")
    lab.settle()
    assert other.call("GET k") == b"$1\r\n1\r\n"
    lab.writer_thread.work()
    lab.writer_thread.held = False
    lab.settle()
    assert other.call("GET k") == b"$1\r\n2\r\n"


@pytest.mark.parametrize("read", ["GET k", "KEYS k*", "SAVE"])
def test_with_syncs_no_read_waits_for_a_group(lab: Lab, read: str) -> None:
    client, other = lab.connect(), lab.connect()
    client.call("CONFIG SET appendfsync always")
    client.call("SET k 1")
    lab.writer_thread.held = True
    client.protocol.dataReceived(b"SET k 2\r\n")
    lab.settle()
    assert other.call(read) in (b"$1\r\n1\r\n", b"*1\r\n$1\r\nk\r\n", b"+OK\r\n")
    assert len(lab.writer_thread.line) == 1
    lab.writer_thread.work()
    lab.writer_thread.held = False
    lab.settle()
    assert other.call("GET k").endswith(b"$1\r\n2\r\n")


@pytest.mark.parametrize("line", ["KEYS k*", "SAVE", "BGSAVE"])
def test_who_needs_a_snapshot_has_lmdb_commit(lab: Lab, line: str) -> None:
    client, before = lab.connect(), lab.commits()
    client.call("SET k 1")
    assert not client.call(line).startswith(b"-")
    lab.settle()
    assert lab.commits() == before + 1
    assert not is_open(lab)
    if "SAVE" in line:
        with StoreReader(os.path.join(lab.environment.path, "backup")) as copy:
            assert sum([size.keys for size in copy.sizes()]) == 2
        assert b"rdb_changes_since_last_save:0\r\n" in client.call("INFO persistence")


def test_other_processes_see_it_a_moment_later(lab: Lab) -> None:
    lab.connect().call("SET k 1")
    assert keys_shown(lab) == 1
    lab.advance_ms(SHOWN_MS)
    assert keys_shown(lab) == 2
    assert not is_open(lab)


def test_a_transaction_has_no_more_than_so_many_changes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_back, "LOOK_CHANGES", 5)
    monkeypatch.setattr(write_back, "FLUSH_CHANGES", 10)
    client = lab.connect()
    client.call("SET k0 0")
    flush(lab)
    before = lab.commits()
    for number in range(20):
        client.call(f"SET k{number % 3} {number}")
    assert 3 <= lab.commits() - before <= 5  # a SET is two changes: a key, and the store's version


def test_much_data_or_much_of_the_ring_is_committed(lab: Lab) -> None:
    client, before = lab.connect(), lab.commits()
    for number in range(20):
        client.call(f"SETRANGE k{number} 40000 x")
    assert 2 <= lab.commits() - before <= 5


@pytest.mark.parametrize(
    "data",
    [b"SELECT 1\r\nSET new 1\r\n", b"SWAPDB 0 1\r\n", request(b"SET", b"k", os.urandom(400_000))],
    ids=["a new space", "spaces that change places", "what the ring has no room for"],
)  # fmt: skip
def test_what_lmdb_commits_at_once(lab: Lab, data: bytes) -> None:
    client = lab.connect()
    client.call("SET k 1")
    assert is_open(lab)
    client.send(data)
    assert not is_open(lab)


def test_with_syncs_it_does_not_stay_open(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET k 1", "CONFIG SET appendfsync always", "SET k 2")
    before = lab.commits()
    client.call("SET k 3")
    client.call("SET k 4")
    assert lab.commits() == before + 2
    client.call("CONFIG SET appendfsync everysec")
    client.call("SET k 5")
    assert is_open(lab)


def test_without_the_reserve_it_does_not_stay_open(lab: Lab) -> None:
    """Room for it would not be certain."""
    lab.environment.reserve.release()
    lab.connect().call("DEL first")
    assert not is_open(lab)


def test_where_the_disk_is_behind_it_does_not_stay_open(lab: Lab) -> None:
    """The next group may wait for a checkpoint, and reads are not to wait with it."""
    client, journal = lab.connect(), lab.environment.journal
    client.call("SET k 1")
    assert is_open(lab)
    lab.reader_threads.held = True
    journal.dirty_bytes = journal.ring.size + 1
    flush(lab)
    client.call("SET k 2")
    assert not is_open(lab)
    lab.reader_threads.held = False
    while lab.reader_threads.line:
        lab.reader_threads.work()
    lab.settle()
    client.call("SET k 3")
    client.call("SET k 4")
    assert is_open(lab)


def test_who_is_to_be_alone_waits_for_what_began_while_lmdb_committed(lab: Lab) -> None:
    dispatcher, done = lab.server.dispatcher, []
    lab.connect().call("SET k 1")
    lab.reader_threads.held = True
    dispatcher.exclusively(lambda: done.append("alone"))
    dispatcher.in_background(lambda: done.append("background"))
    lab.settle()
    assert done == []
    lab.reader_threads.held = False
    lab.reader_threads.work()
    lab.settle()
    assert done == ["background", "alone"]


# Failures.


def test_a_defect_undoes_its_own_batch_alone(lab: Lab) -> None:
    lab.server.state.registry = Registry([*TABLES, FAULTY])
    client = lab.connect()
    client.call("SET k 1", "RPUSH l a b c", "LPOP l")
    assert client.call("HALFWAY bad") == INTERNAL
    assert client.call("GET k", "LRANGE l 0 -1", "GET bad") == b"$1\r\n1\r\n*2\r\n$1\r\nb\r\n$1\r\nc\r\n$-1\r\n"


def test_a_kill_loses_nothing_of_an_open_transaction(lab: Lab, tmp_path: Path) -> None:
    client = lab.connect()
    client.call("SET k 1", "DEL first", "RPUSH l a", "PEXPIRE k 100000")
    assert is_open(lab)
    environment = killed(lab, tmp_path / "killed")
    assert environment.replayed >= 1
    environment.close()
    with StoreReader(str(tmp_path / "killed")) as reader:
        assert sum([size.keys for size in reader.sizes()]) == 2


def test_a_full_disk_at_lmdbs_commit_is_what_the_reserve_is_for(lab: Lab) -> None:
    client = lab.connect()
    flush(lab)
    with failing(lab, error_with(errno.ENOSPC), 1):
        assert client.call("SET k 1") == b"+OK\r\n"
        flush(lab)
    assert not lab.environment.reserve.held
    assert not is_open(lab)
    assert client.call("GET k") == b"$1\r\n1\r\n"
    assert keys_shown(lab) == 2


def test_where_lmdb_cannot_commit_reads_go_on_and_writes_when_it_can(lab: Lab) -> None:
    client = lab.connect()
    flush(lab)
    with failing(lab, error_with(errno.EIO)):
        assert client.call("SET k 1") == b"+OK\r\n"
        flush(lab)
        for _ in range(3):
            assert client.call("GET k", "SET k 2", "MGET k first") == (
                b"$1\r\n1\r\n" + FAILED + b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n"
            )
            assert client.call("KEYS *") == FAILED
            lab.advance_ms(1000)
            lab.server.each_second()
            lab.settle()
    lab.advance_ms(60_000)
    lab.server.each_second()
    lab.settle()
    assert client.call("GET k", "SET k 2", "GET k") == b"$1\r\n1\r\n+OK\r\n$1\r\n2\r\n"


def test_each_read_that_needs_a_snapshot_in_vain_adds_no_line_to_the_log(lab: Lab) -> None:
    client, events = lab.connect(), list[LogEvent]()
    flush(lab)
    with failing(lab, error_with(errno.EIO)), observed(events.append):
        client.call("SET k 1")
        for _ in range(20):
            assert client.call("KEYS *") == FAILED
    assert len(events) == 1


def test_a_group_that_finds_the_transaction_full_and_the_disk_broken_is_refused_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = lab.connect()
    flush(lab)
    with failing(lab, error_with(errno.EIO)):
        assert client.call("SET k 1") == b"+OK\r\n"
        monkeypatch.setattr(write_back, "FLUSH_BYTES", 1)
        assert client.call("SET k 2") == FAILED
        assert client.call("GET k") == b"$1\r\n1\r\n"
    lab.server.each_second()
    lab.settle()
    assert client.call("GET k", "SET k 3") == b"$1\r\n1\r\n+OK\r\n"


class CountlessTransaction(FailingTransaction):
    """A write transaction that says nothing of its sub-databases' sizes while its disk `fails`."""

    def stat(self, *args: Any) -> Any:
        if self.disk.fails:
            raise error_with(errno.EIO)
        return self.real.stat(*args)


class CountlessDisk(FailingDisk):
    """An LMDB environment with such transactions."""

    fails = False

    def begin(self, *args: Any, **options: Any) -> Any:
        real = self.real.begin(*args, **options)
        return CountlessTransaction(real, self) if options.get("write") else real


def test_a_group_that_fails_behind_its_record_leaves_none(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the transaction that the groups before it are made in again, and not in the journal."""
    client = lab.connect()
    flush(lab)
    disk: Any = CountlessDisk(lab.environment.lmdb, error_with(errno.EIO), 0)
    with monkeypatch.context() as patch:
        patch.setattr(lab.environment, "lmdb", disk)
        client.call(*[f"SET k{number} 1" for number in range(200)], "SET k 1")  # so many that they are looked at
        assert is_open(lab)
        patch.setattr(lab.environment.write_back, "_look_at", 1)
        disk.fails = True
        assert client.call("SET k 2") == FAILED
        disk.fails = False
        assert client.call("GET k") == b"$1\r\n1\r\n"
        environment = killed(lab, tmp_path / "killed")
        flush(lab)
    with ReadTransaction(environment, 0) as transaction:
        assert strings.get(Keyspace(transaction, 0), b"k") == b"1"
    environment.close()


def test_a_read_that_meets_damage_costs_nobody_else_anything(lab: Lab) -> None:
    """LMDB does nothing more in a transaction in which it has found a page that is none."""
    client, other = lab.connect(), lab.connect()
    client.call(*[f"SETRANGE k{number:03} 50 x" for number in range(600)])
    flush(lab)
    data_file = Path(lab.environment.path) / DATA_FILE
    data = data_file.read_bytes()
    leaves = [at for at in range(0, len(data), PAGE) if data[at + FLAGS] == LEAF and b"k300" in data[at : at + PAGE]]
    client.call("SET k001 1")
    assert is_open(lab)
    change_flags(data_file, leaves, LEAF, 0)
    for protocol in (client.protocol, other.protocol):
        protocol.dataReceived(b"GET k300\r\n" if protocol is client.protocol else b"GET k001\r\n")
    lab.settle()
    assert client.transport.sent.endswith(f"-{DAMAGED_STORE}\r\n".encode())
    assert other.transport.sent == b"$1\r\n1\r\n"
    assert client.call("SET k001 2", "GET k001") == b"+OK\r\n$1\r\n2\r\n"
    assert client.call("GET k300") == f"-{DAMAGED_STORE}\r\n".encode()
    lab.advance_ms(SHOWN_MS)
    assert client.call("GET k001", "SET k001 3", "GET k001") == b"$1\r\n2\r\n+OK\r\n$1\r\n3\r\n"
    change_flags(data_file, leaves, 0, LEAF)


def change_flags(data_file: Path, pages: list[int], old: int, new: int) -> None:
    with data_file.open("r+b") as file:
        for page in pages:
            file.seek(page + FLAGS)
            if file.read(1)[0] == old:
                file.seek(page + FLAGS)
                file.write(bytes([new]))


def test_what_lmdb_has_lost_is_replayed(lab: Lab) -> None:
    """A commit has failed half-way, and LMDB begins nothing any more."""
    client = lab.connect()
    flush(lab)
    with failing(lab, error_with(errno.EIO), 1):
        assert client.call("SET k 1", "RPUSH l a b", "LPOP l") == b"+OK\r\n:2\r\n$1\r\na\r\n"
        panicking: Any = Panicking(lab.environment.lmdb)
        lab.environment.lmdb = panicking
        flush(lab)
    assert client.call("GET k", "LRANGE l 0 -1") == b"$1\r\n1\r\n*1\r\n$1\r\nb\r\n"
    assert lab.environment.replayed >= 1
    lab.server.each_second()
    lab.settle()
    assert client.call("SET k 2", "GET k") == b"+OK\r\n$1\r\n2\r\n"


def test_what_lmdb_has_lost_is_replayed_where_the_store_could_not_be_opened_at_first(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the open transaction alone showed has been let go by then."""
    client = lab.connect()
    flush(lab)
    open_at_checkpoint, disk_is_broken = start.go_back, True

    def go_back(path: str, ring: Ring) -> None:
        if disk_is_broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        open_at_checkpoint(path, ring)

    monkeypatch.setattr(start, "go_back", go_back)
    with failing(lab, error_with(errno.EIO), 1):
        assert client.call("SET k 1", "RPUSH l a b", "LPOP l") == b"+OK\r\n:2\r\n$1\r\na\r\n"
        panicking: Any = Panicking(lab.environment.lmdb)
        lab.environment.lmdb = panicking
        flush(lab)
    disk_is_broken = False
    lab.advance_ms(60_000)
    lab.server.each_second()
    lab.settle()
    assert client.call("GET k", "LRANGE l 0 -1", "SET k 2") == b"$1\r\n1\r\n*1\r\n$1\r\nb\r\n+OK\r\n"


def test_a_reserve_that_could_not_be_filled_is_filled_later(lab: Lab) -> None:
    """It is filled where no transaction is open, and that could not be."""
    client, reserve = lab.connect(), lab.environment.reserve
    flush(lab)
    with failing(lab, error_with(errno.EIO)):
        assert client.call("SET k 1") == b"+OK\r\n"
        reserve.release()
        lab.server.each_second()
        lab.settle()
        assert not reserve.held
    for _ in range(2):
        lab.advance_ms(60_000)
        lab.server.each_second()
        lab.settle()
    assert reserve.held
    assert client.call("GET k", "SET k 2") == b"$1\r\n1\r\n+OK\r\n"


def test_a_stop_leaves_nothing_behind(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "store", writes_back=True)
    lab.connect().call("SET a 1")
    lab.connect().call("SET b 1")
    unused = lab.server.when_unused()
    lab.settle()
    assert unused.called
    assert not is_open(lab)
    assert lab.server.close_store()
    assert Environment(str(tmp_path / "store")).replayed == 0
