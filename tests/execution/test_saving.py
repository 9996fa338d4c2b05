"""SAVE and BGSAVE on a whole server: when they answer, what they tell, what a failure leaves and whom it concerns."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.internet.defer import fail

from keyp import errors
from keyp.storage.lmdb.reader import StoreReader
from tests.fakes import START_US, Lab
from tests.full_disk import fill_disk

IN_PROGRESS = b"-ERR Background save already in progress\r\n"
NO_ROOM = b"-ERR Background save failed: No space left on device\r\n"


def info(lab: Lab) -> dict[str, str]:
    """The fields of INFO persistence."""
    lines = lab.connect().call("INFO persistence").decode().split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


def saved_keys(lab: Lab) -> int:
    """How many keys the copy holds."""
    with StoreReader(os.path.join(lab.environment.path, "backup")) as copy:
        return sum([size.keys for size in copy.sizes()])


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch)


def test_save_writes_a_copy_and_answers(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET a 1", "SET b 1")
    assert client.call("SAVE") == b"+OK\r\n"
    assert saved_keys(lab) == 2
    backup = Path(lab.environment.path) / "backup"
    assert os.listdir(backup) == ["data.mdb"]
    assert backup.stat().st_mode & 0o777 == 0o700


def test_the_name_of_the_copys_directory_is_on_the_disk(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    assert lab.connect().call("SAVE") == b"+OK\r\n"
    assert lab.environment.path in synced


def test_save_answers_when_the_copy_is_there(lab: Lab) -> None:
    client, other = lab.connect(), lab.connect()
    lab.reader_threads.held = True
    assert client.call("SAVE") == b""
    assert other.call("SET a 1", "GET a") == b"+OK\r\n$1\r\n1\r\n"
    assert other.call("SAVE", "BGSAVE", "BGSAVE SCHEDULE") == 3 * IN_PROGRESS
    assert info(lab)["rdb_bgsave_in_progress"] == "1"
    lab.reader_threads.work()
    lab.settle()
    assert client.transport.sent.endswith(b"+OK\r\n")
    assert info(lab)["rdb_bgsave_in_progress"] == "0"


def test_bgsave_answers_at_once(lab: Lab) -> None:
    client = lab.connect()
    lab.reader_threads.held = True
    assert client.call("BGSAVE") == b"+Background saving started\r\n"
    assert client.call("BGSAVE") == IN_PROGRESS
    lab.clock.advance_ms(3000)
    assert info(lab)["rdb_current_bgsave_time_sec"] == "3"
    assert client.call("LASTSAVE") == b":%d\r\n" % (START_US // 1_000_000)
    lab.reader_threads.work()
    lab.settle()
    assert client.call("LASTSAVE") == b":%d\r\n" % (START_US // 1_000_000 + 3)
    told = info(lab)
    assert told["rdb_last_bgsave_status"] == "ok"
    assert told["rdb_last_bgsave_time_sec"] == "3"
    assert told["rdb_current_bgsave_time_sec"] == "-1"


def test_changes_since_are_those_the_copy_does_not_show(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET a 1", "SET b 1", "GET a")
    assert info(lab)["rdb_changes_since_last_save"] == "2"
    lab.reader_threads.held = True
    client.call("BGSAVE")
    client.call("SET c 1")
    lab.reader_threads.work()  # only now does the copy begin
    lab.settle()
    assert info(lab)["rdb_changes_since_last_save"] == "0"
    assert saved_keys(lab) == 3
    client.call("MULTI", "SET c 2", "INCR c", "EXEC")
    assert info(lab)["rdb_changes_since_last_save"] == "2"


@pytest.mark.usefixtures("full_disk")
def test_a_save_that_fails_says_why_and_changes_no_fact(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET a 1")
    lab.advance_ms(5000)
    assert client.call("SAVE") == NO_ROOM
    assert client.call("BGSAVE") == b"+Background saving started\r\n"
    told = info(lab)
    assert told["rdb_last_bgsave_status"] == "err"
    assert told["aof_last_write_status"] == "ok"
    assert told["rdb_bgsave_in_progress"] == "0"
    assert told["rdb_changes_since_last_save"] == "1"
    assert int(told["rdb_last_save_time"]) == START_US // 1_000_000
    assert os.listdir(os.path.join(lab.environment.path, "backup")) == []
    assert client.call("SET a 2") == b"+OK\r\n"


def test_the_copy_before_survives_one_that_fails(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    client = lab.connect()
    client.call("SET a 1")
    assert client.call("SAVE") == b"+OK\r\n"
    client.call("SET b 1")
    with monkeypatch.context() as patch:
        fill_disk(patch)
        assert client.call("SAVE") == NO_ROOM
        assert saved_keys(lab) == 1
    assert client.call("SAVE") == b"+OK\r\n"
    assert saved_keys(lab) == 2


def test_a_place_that_cannot_be_made(lab: Lab) -> None:
    (Path(lab.environment.path) / "backup").write_text("a file")
    assert lab.connect().call("SAVE") == b"-ERR Background save failed: File exists\r\n"


@pytest.mark.usefixtures("full_disk")
def test_only_the_call_that_failed_gets_the_error(lab: Lab) -> None:
    client = lab.connect()
    assert client.call("SET a 1", "SAVE", "GET a", "PING") == b"+OK\r\n" + NO_ROOM + b"$1\r\n1\r\n+PONG\r\n"
    assert client.call("CLIENT REPLY SKIP", "SAVE", "PING") == b"+PONG\r\n"
    assert b"errorstat_ERR:count=2" in client.call("INFO errorstats")


def test_an_error_replaces_a_long_reply_as_a_whole(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab.server, "sync", lambda: fail(ZeroDivisionError()))
    logged: list[object] = []
    monkeypatch.setattr("keyp.execution.performer.log.failure", lambda text, failure: logged.append(failure))
    client = lab.connect()
    assert client.call("CONFIG SET appendfsync no", "SET a 1", "MULTI", "GET a", "WAITAOF 1 0 0", "EXEC", "GET a") == (
        b"+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n" + f"-{errors.EFFECT_FAILED}\r\n".encode() + b"$1\r\n1\r\n"
    )
    assert len(logged) == 1


def test_saves_of_one_pipeline_come_one_after_the_other(lab: Lab) -> None:
    client = lab.connect()
    assert client.call("SET a 1", "BGSAVE", "SAVE", "SAVE") == (b"+OK\r\n+Background saving started\r\n+OK\r\n+OK\r\n")
    assert saved_keys(lab) == 1
    assert info(lab)["rdb_bgsave_in_progress"] == "0"


def test_bgsave_in_a_transaction_and_save_not(lab: Lab) -> None:
    client = lab.connect()
    assert client.call("MULTI", "SET a 1", "BGSAVE", "EXEC").endswith(b"*2\r\n+OK\r\n+Background saving started\r\n")
    assert saved_keys(lab) == 1
    assert client.call("MULTI", "SAVE", "DISCARD") == (
        b"+OK\r\n-ERR Command not allowed inside a transaction\r\n+OK\r\n"
    )


def test_a_server_that_stops_does_not_wait_for_a_save(lab: Lab) -> None:
    client = lab.connect()
    lab.reader_threads.held = True
    client.call("SAVE")
    fired: list[object] = []
    lab.server.saver.stop().addCallback(fired.append)
    assert not fired
    lab.reader_threads.work()
    lab.settle()
    assert fired
    assert client.transport.sent == b"-ERR Background save failed: it was stopped\r\n"
    assert os.listdir(os.path.join(lab.environment.path, "backup")) == []
    assert lab.connect().call("SAVE") == b"-ERR Background save failed: the server stops\r\n"


def test_a_store_that_is_reopened_waits_for_the_save(lab: Lab) -> None:
    client, other = lab.connect(), lab.connect()
    client.call("SET a 1")
    lab.reader_threads.held = True
    client.call("BGSAVE")
    assert other.call("CONFIG SET appendfsync always") == b""
    assert client.call("SET b 1") == b"+OK\r\n"
    while lab.reader_threads.line:
        lab.reader_threads.work()
        lab.settle()
    assert other.transport.sent == b"+OK\r\n"
    assert saved_keys(lab) == 2
