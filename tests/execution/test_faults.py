"""Commits that fail: on a full disk, on a broken one. Nothing refused is applied, and writes work again in time."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import lmdb
import pytest

from keyp import errors
from keyp.storage.lmdb.disk_reserve import RESERVE_BYTES
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.errors import StoreError
from tests.failing_disk import DATA_FILE, RING_FILE, error_with, failing, failing_syncs
from tests.fakes import Lab
from tests.full_disk import fill_disk

FULL = f"-{errors.DISK_FULL}\r\n".encode()
FAILED = f"-{errors.DISK_FAILED}\r\n".encode()
OOM = f"-{errors.OUT_OF_SPACE}\r\n".encode()


def test_a_full_disk_refuses_what_adds_and_lets_delete(lab: Lab) -> None:
    client, other = lab.connect(), lab.connect()
    client.call("SET old 1", "SET stays 1")
    with failing(lab, error_with(errno.ENOSPC), 1):
        client.protocol.dataReceived(b"SET new 1\r\n")
        other.protocol.dataReceived(b"DEL old\r\n")
        lab.settle()
    assert client.transport.sent.endswith(FULL)
    assert other.transport.sent == b":1\r\n"
    assert not lab.environment.reserve.held
    assert client.call("SET new 1", "GET stays", "EXPIRE stays 100") == FULL + b"$1\r\n1\r\n:1\r\n"
    assert client.call("MULTI", "DEL stays", "SET new 1", "EXEC").endswith(
        b"-EXECABORT Transaction discarded because of: " + FULL[1:]
    )
    assert client.call("EXISTS stays new") == b":1\r\n"
    lab.server.each_second()
    assert lab.environment.reserve.held
    assert client.call("SET new 1") == b"+OK\r\n"


def sweep_all(lab: Lab) -> None:
    """Lets the sweeper take its steps, with its rests in between, until it has nothing left."""
    lab.server.dispatcher.sweep_if_due()
    for _ in range(20):
        lab.advance_ms(10)


def free_pages_for_use(lab: Lab) -> None:
    """LMDB uses the pages again that were freed before the transaction of the last checkpoint."""
    sweep_all(lab)
    lab.connect().call("SET other 1")
    lab.environment.journal.checkpoint()


def test_free_pages_in_the_file_are_room(lab: Lab) -> None:
    client = lab.connect()
    big = b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n%b\r\n"
    client.send(big % (2 * RESERVE_BYTES, b"x" * 2 * RESERVE_BYTES))
    client.call("DEL big")
    free_pages_for_use(lab)
    lab.environment.reserve.release()
    assert client.call("SET small 1") == b"+OK\r\n"
    assert client.send(big % (RESERVE_BYTES * 5 // 4, b"x" * (RESERVE_BYTES * 5 // 4))) == b"+OK\r\n"
    assert client.call("SET small 2", "DEL big") == FULL + b":1\r\n"
    free_pages_for_use(lab)
    assert client.call("SET small 2") == b"+OK\r\n"


def test_a_commit_that_is_still_refused_room_says_so(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET a 1")
    with failing(lab, error_with(errno.ENOSPC)):
        assert client.call("DEL a") == FULL
    assert client.call("DEL a") == b":1\r\n"


def test_a_transaction_whose_exec_is_refused_is_over(lab: Lab) -> None:
    client, other = lab.connect(), lab.connect()
    client.call("SET a 0", "WATCH a", "MULTI", "INCR a")
    with failing(lab, error_with(errno.EIO), 1):
        assert client.call("EXEC") == FAILED
    lab.server.each_second()
    lab.settle()
    assert client.call("INCR a", "EXEC") == b":1\r\n-ERR EXEC without MULTI\r\n"
    other.call("SET a 5")
    assert client.call("MULTI", "INCR a", "EXEC").endswith(b"*1\r\n:6\r\n")  # nor is anything watched


def test_an_io_error_on_a_disk_with_room_is_a_broken_disk(lab: Lab) -> None:
    clients = [lab.connect() for _ in range(3)]
    clients[0].call("SET a 0")
    clients[0].transport.sent = b""
    with failing(lab, error_with(errno.EIO), 1):
        for client in clients:
            client.protocol.dataReceived(b"INCR a\r\n")
        lab.settle()
    assert [client.transport.sent for client in clients] == [FAILED] * 3
    client = clients[0]
    assert client.call("INCR a", "GET a", "DEL a") == FAILED + b"$1\r\n0\r\n" + FAILED
    assert client.call("MULTI", "GET a", "INCR a", "EXEC").endswith(
        b"-EXECABORT Transaction discarded because of: " + FAILED[1:]
    )
    lab.server.each_second()
    lab.settle()
    assert client.call("INCR a", "GET a") == b":1\r\n$1\r\n1\r\n"


def test_a_store_that_is_found_damaged_stays_closed_to_writes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    client = lab.connect()
    with monkeypatch.context() as patch:
        patch.setattr("keyp.execution.recovery.check", lambda transaction: ["something is wrong"])
        with failing(lab, error_with(errno.EIO), 1):
            assert client.call("SET a 1") == FAILED
        for _ in range(10):
            lab.server.each_second()
            lab.advance_ms(61_000)
        assert client.call("SET a 1") == FAILED
    lab.server.each_second()
    lab.settle()
    assert client.call("SET a 1") == b"+OK\r\n"


def inode(lab: Lab, name: str) -> int:
    return os.stat(os.path.join(lab.environment.path, name)).st_ino


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_sync_of_the_journal_that_failed_is_not_believed_later(lab: Lab, code: int) -> None:
    """There is a new one then, once, and the data file is what it was."""
    client = lab.connect()
    client.call("SET a 1")
    lab.environment.fsync = "everysec"
    with failing_syncs(RING_FILE, 1, code=code):
        lab.server.each_second()
        assert client.call("SET a 2") == FAILED
        assert client.call("INFO persistence").find(b"aof_last_write_status:err") > 0
    data_file, rings = inode(lab, DATA_FILE), [inode(lab, RING_FILE)]
    for _ in range(3):
        with open(os.path.join(lab.environment.path, RING_FILE), "rb"):  # a number that is held is not given again
            lab.server.each_second()
            lab.settle()
            rings.append(inode(lab, RING_FILE))
    assert rings[0] != rings[1] == rings[2] == rings[3]
    assert inode(lab, DATA_FILE) == data_file
    assert client.call("GET a", "SET a 2", "GET a") == b"$1\r\n1\r\n+OK\r\n$1\r\n2\r\n"


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_after_a_sync_of_the_data_file_that_failed_it_is_replayed(lab: Lab, code: int) -> None:
    """From the checkpoint before: what the kernel has dropped of later pages is written once more."""
    client = lab.connect()
    client.call("SET a 1", "SET b 1")
    client.call("SET a 2")
    with failing_syncs(DATA_FILE, 1, code=code):
        lab.server.take_checkpoint()
        lab.settle()
        assert client.call("SET a 3", "GET a") == FAILED + b"$1\r\n2\r\n"
    checkpoints = lab.environment.journal.checkpoints
    assert checkpoints == 1  # that of the start
    lab.server.each_second()
    lab.settle()
    assert lab.environment.replayed == 2
    assert client.call("GET a", "GET b", "SET a 3", "GET a") == b"$1\r\n2\r\n$1\r\n1\r\n+OK\r\n$1\r\n3\r\n"


@pytest.mark.parametrize("name", [RING_FILE, DATA_FILE])
def test_a_sync_that_finds_no_room_is_a_failure_of_the_disk(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Where a file system finds out that late, the store is opened anew, although the disk is full all the time."""
    client = lab.connect()
    client.call("CONFIG SET appendfsync always", "SET a 1")
    fill_disk(monkeypatch)
    with failing_syncs(name, 1, code=errno.ENOSPC):
        if name == DATA_FILE:
            lab.server.take_checkpoint()
            lab.settle()
        assert client.call("SET a 2") == FAILED
    lab.server.each_second()
    lab.settle()
    assert client.call("GET a", "DEL a") == b"$1\r\n1\r\n:1\r\n"


@pytest.mark.parametrize("what", ["gone", "another"])
def test_a_journal_that_is_not_found_any_more_is_made_anew(lab: Lab, what: str) -> None:
    """Within a second, in which what is written is safe in the data file alone."""
    client, ring = lab.connect(), Path(lab.environment.path) / RING_FILE
    client.call("SET a 1")
    for _ in range(2):
        size = ring.stat().st_size
        ring.unlink()
        if what == "another":
            ring.write_bytes(b"of somebody else")
        assert client.call("SET a 2") == b"+OK\r\n"
        lab.server.each_second()
        lab.settle()
        assert client.call("SET a 3", "GET a") == b"+OK\r\n$1\r\n3\r\n"
        assert ring.stat().st_size == size


@pytest.mark.parametrize("name", [RING_FILE, DATA_FILE])
def test_a_large_write_that_is_refused_is_not_seen(lab: Lab, name: str) -> None:
    """LMDB has committed it, before the checkpoint that was to make it durable failed: it is undone at once."""
    client = lab.connect()
    client.call("SET a 1", "SET b 1")
    with failing_syncs(name, 1):
        assert client.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1000000\r\n%b\r\n" % (b"x" * 1_000_000)) == FAILED
        assert client.call("GET a", "GET b", "SET a 2") == b"$1\r\n1\r\n" * 2 + FAILED
    lab.server.each_second()
    lab.settle()
    assert client.call("GET a", "SET a 2", "GET a") == b"$1\r\n1\r\n+OK\r\n$1\r\n2\r\n"


@pytest.mark.parametrize(("read", "reply"), [("GET a", b"$1\r\n1\r\n"), ("KEYS *", b"*1\r\n$1\r\na\r\n")])
def test_nor_is_it_while_other_work_keeps_the_store_from_being_opened_anew(lab: Lab, read: str, reply: bytes) -> None:
    """Reads wait meanwhile; and nobody may copy what is there."""
    client, other = lab.connect(), lab.connect()
    client.call("SET a 1")
    lab.reader_threads.held = True
    lab.server.dispatcher.in_background(lambda: None)
    with failing_syncs(DATA_FILE, 1):
        assert client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1000000\r\n%b\r\n" % (b"x" * 1_000_000)) == FAILED
        assert not lab.server.state.environment.shows_what_was_answered
        assert other.call(read) == b""
    lab.reader_threads.held = False
    lab.reader_threads.work()
    lab.settle()
    assert lab.server.state.environment.shows_what_was_answered
    assert other.transport.sent == reply


def test_a_checkpoint_that_could_not_be_noted_leaves_the_one_before(lab: Lab) -> None:
    """Its page in the journal is written and not synced: a start may find either."""
    client = lab.connect()
    client.call("SET a 1")
    with failing_syncs(RING_FILE, 1):
        lab.server.take_checkpoint()
        lab.settle()
        assert client.call("SET a 2", "GET a") == FAILED + b"$1\r\n1\r\n"
    lab.server.each_second()
    lab.settle()
    assert client.call("GET a", "SET a 2", "GET a") == b"$1\r\n1\r\n+OK\r\n$1\r\n2\r\n"


def test_a_limit_refuses_what_adds_and_lets_delete(lab: Lab) -> None:
    client = lab.connect()
    lab.environment.max_bytes = 1 << 20
    replies = b""
    for number in range(200):
        replies += client.call(f"SETRANGE k{number} 16000 x")
    assert OOM in replies
    assert not replies.replace(b":16001\r\n", b"").replace(OOM, b"")
    assert client.call("SET more 1", "GET more", "DEL k0 k1 k2 k3 k4 k5 k6 k7 k8 k9") == OOM + b"$-1\r\n:10\r\n"
    assert client.call("SET more 1") == b"+OK\r\n"
    assert client.call("FLUSHALL", "SET more 1") == b"+OK\r\n+OK\r\n"


def test_the_mode_of_syncing_changes_while_clients_go_on(lab: Lab) -> None:
    """It is told when what was written before is on the disk; what is written meanwhile is synced already."""
    client, other = lab.connect(), lab.connect()
    with failing_syncs(RING_FILE, 0) as syncs:
        client.call("SET a 1")
        assert syncs.counts == {}
        lab.reader_threads.held = True
        assert client.call("CONFIG SET appendfsync always") == b""
        assert other.call("SET b 1") == b"+OK\r\n"
        assert syncs.counts == {RING_FILE: 1}
        assert client.call("GET a") == b""
        lab.reader_threads.held = False
        lab.reader_threads.work()
        lab.settle()
        assert syncs.counts == {RING_FILE: 2}
        assert client.transport.sent.endswith(b"+OK\r\n$1\r\n1\r\n")
        assert lab.environment.fsync == "always"
        assert client.call("SET a 2", "CONFIG GET appendfsync").endswith(b"$6\r\nalways\r\n")
        assert client.call("CONFIG SET appendfsync no", "GET a") == b"+OK\r\n$1\r\n2\r\n"
        assert client.call("SET a 3") == b"+OK\r\n"
        assert syncs.counts == {RING_FILE: 4}  # of SET a 2 and of the change to `no`


def test_a_mode_that_could_not_be_changed_is_not_told(lab: Lab) -> None:
    """Neither by CONFIG GET nor by WAITAOF."""
    client = lab.connect()
    assert client.call("CONFIG SET appendfsync everysec", "SET a 1") == b"+OK\r\n" * 2
    with failing_syncs(RING_FILE, 1):
        assert client.call("CONFIG SET appendfsync always") == FAILED
    assert client.call("CONFIG GET appendfsync").endswith(b"$8\r\neverysec\r\n")
    assert client.call("WAITAOF 1 0 0", "SET a 2") == FAILED * 2
    lab.server.each_second()
    lab.settle()
    assert client.call("CONFIG SET appendfsync always", "GET a") == b"+OK\r\n$1\r\n1\r\n"
    assert lab.environment.fsync == "always"


@pytest.mark.parametrize("modes", [("no", "always"), ("no", "everysec"), ("everysec", "no", "always", "no")])
@pytest.mark.parametrize("at_once", [False, True])
def test_the_last_mode_that_was_asked_for_counts(lab: Lab, modes: tuple[str, ...], at_once: bool) -> None:
    """Also where it is asked for before the one before has been taken up."""
    client, others = lab.connect(), [lab.connect() for _ in modes]
    client.call("CONFIG SET appendfsync always")
    lab.reader_threads.held = True
    commands = [f"CONFIG SET appendfsync {mode}" for mode in modes]
    if at_once:
        others[-1].call(*commands)
    else:
        for other, command in zip(others, commands, strict=True):
            other.call(command)
    while lab.reader_threads.line:
        lab.reader_threads.work()
        lab.settle()
    assert others[-1].transport.sent == b"+OK\r\n" * (len(modes) if at_once else 1)
    assert lab.environment.fsync == modes[-1]
    assert client.call("CONFIG GET appendfsync").endswith(f"{modes[-1]}\r\n".encode())


@pytest.mark.parametrize("name", [RING_FILE, DATA_FILE])
def test_a_sync_that_fails_while_the_server_stops_is_known_before_the_store_is_closed(lab: Lab, name: str) -> None:
    """A sync after one that failed proves nothing: there is a new journal, or what it has is written once more."""
    lab.connect().call("SET a 1")
    before = inode(lab, RING_FILE)
    lab.reader_threads.held = True
    with failing_syncs(name, 1), open(os.path.join(lab.environment.path, RING_FILE), "rb"):
        if name == RING_FILE:
            lab.environment.fsync = "everysec"
            lab.server.each_second()
        else:
            lab.server.take_checkpoint()
        unused = lab.server.when_unused()
        lab.settle()
        assert not unused.called
        lab.reader_threads.work()
        lab.settle()
        assert unused.called
        lab.server.recovery.stop()
        lab.server.recovery.last_try()
        assert (inode(lab, RING_FILE) != before) == (name == RING_FILE)
        assert lab.environment.replayed == (name == DATA_FILE)


def test_a_store_that_is_closed_is_not_opened_again(tmp_path: Path) -> None:
    """Its lock is gone, and the number of its lock file may be another file's."""
    environment = Environment(str(tmp_path))
    environment.close()
    with pytest.raises(StoreError, match="closed"):
        environment.reopen()


class Panicking:
    """An LMDB environment in which a commit has failed half-way: nobody may begin anything until it is reopened."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def begin(self, *args: Any, **options: Any) -> Any:
        error: Any = lmdb.PanicError("mdb_txn_begin")
        error.code = -30795
        raise error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def panic(lab: Lab) -> None:
    panicking: Any = Panicking(lab.environment.lmdb)
    lab.environment.lmdb = panicking


@pytest.mark.parametrize("read", ["GET a", "KEYS *"])
def test_reads_go_on_after_a_commit_that_failed_half_way(lab: Lab, read: str) -> None:
    client = lab.connect()
    client.call("SET a 1")
    panic(lab)
    assert client.call(read).endswith(b"$1\r\n1\r\n" if read == "GET a" else b"$1\r\na\r\n")
    assert client.call("SET a 2", "GET a") == FAILED + b"$1\r\n1\r\n"
    lab.server.each_second()
    lab.settle()
    assert client.call("SET a 2", "GET a") == b"+OK\r\n$1\r\n2\r\n"


def test_a_write_that_finds_it_is_refused(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET a 1")
    panic(lab)
    lab.server.dispatcher.sweep_if_due()
    assert client.call("SET a 2", "GET a") == FAILED * 2
    assert client.call("GET a") == b"$1\r\n1\r\n"


def test_a_reader_on_its_thread_finds_it_and_waits(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET a 1")
    lab.reader_threads.held = True
    assert client.call("KEYS *") == b""
    panic(lab)
    lab.reader_threads.held = False
    lab.reader_threads.work()
    lab.settle()
    assert client.transport.sent.endswith(b"*1\r\n$1\r\na\r\n")


def test_a_store_that_cannot_be_opened_again_answers_with_errors(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    client = lab.connect()
    client.call("SET a 1")
    panic(lab)
    with monkeypatch.context() as patch:

        def fail(*_: object, **options: object) -> None:
            raise error_with(errno.EIO)

        patch.setattr(lmdb, "open", fail)
        for _ in range(3):
            assert client.call("GET a", "SET a 2") == FAILED * 2
            lab.server.each_second()
            lab.advance_ms(61_000)
    lab.server.each_second()
    lab.settle()
    assert client.call("GET a", "SET a 2") == b"$1\r\n1\r\n+OK\r\n"
