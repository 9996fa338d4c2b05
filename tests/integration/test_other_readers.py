"""Snapshots of other processes hold pages of the store; those of processes that have died must not do so for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
import redis

from keyp.net.server import READERS_LOOKED_AT_S
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.reader import StoreReader
from keyp.storage.lmdb.transaction import ReadTransaction, WriteTransaction
from keyp.storage.types import strings
from keyp.tools.backup import backup
from tests.failing_disk import DATA_FILE, failing_syncs
from tests.fakes import Lab
from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S
from tests.storage.journal.kills import contents, contents_of, copy_of
from tests.wire import request

READ = """
import sys, lmdb
environment = lmdb.open(sys.argv[1], readonly=True, max_dbs=1, lib_version=0)
with environment.begin() as snapshot:
    print("reading", flush=True)
    sys.stdin.read()
"""
COMMITS = 300


@contextmanager
def reader(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a snapshot of the store until it is ended."""
    command = [sys.executable, "-c", READ, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        yield process
        process.kill()


def growth(lab: Lab) -> int:
    """By how many pages the file grows while the same ten keys are overwritten, each time in a commit of its own."""
    before = lab.environment.lmdb.info()["last_pgno"]
    client = lab.connect()
    for number in range(COMMITS):
        client.call(f"SET k{number % 10} v")
    client.lose()
    return int(lab.environment.lmdb.info()["last_pgno"] - before)


def a_minute_passes(lab: Lab) -> None:
    for _ in range(READERS_LOOKED_AT_S):
        lab.server.each_second()


def test_a_snapshot_costs_a_few_pages_for_each_commit_and_they_are_used_again(lab: Lab, tmp_path: Path) -> None:
    growth(lab)
    assert growth(lab) == 0
    with reader(tmp_path):
        assert COMMITS < growth(lab) < 8 * COMMITS
    a_minute_passes(lab)
    assert growth(lab) == 0


def test_a_dead_reader_is_forgotten_within_a_minute(lab: Lab, tmp_path: Path) -> None:
    growth(lab)
    with reader(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert growth(lab) > COMMITS
    a_minute_passes(lab)
    growth(lab)  # its pages come free with the next commit
    assert growth(lab) == 0
    assert lab.environment.forget_dead_readers() == 0


def test_a_living_reader_is_left_alone(lab: Lab, tmp_path: Path) -> None:
    with reader(tmp_path):
        assert lab.environment.forget_dead_readers() == 0
        assert growth(lab) > COMMITS


def test_opening_forgets_dead_readers(tmp_path: Path) -> None:
    """LMDB begins a new table of readers when the last process leaves; here a living reader keeps the table."""
    Environment(str(tmp_path), fsync=NO).close()
    with reader(tmp_path), reader(tmp_path) as dead:
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        environment = Environment(str(tmp_path), fsync=NO)
        assert environment.forget_dead_readers() == 0
        environment.close()


def test_a_server_is_killed_and_started_again_under_a_reader(server: StartServer) -> None:
    """The reader's snapshot stays what it was; the server has what was answered, with the reader and after it."""
    daemon = server("--fsync=always", "--journal-size=64kb")
    written: dict[bytes, bytes] = {}
    random = Random(4)

    def write(count: int) -> None:
        with redis.Redis(port=daemon.port, socket_timeout=DEADLINE_S) as client:
            for _ in range(count):
                key = b"k%d" % random.randrange(30)
                written[key] = random.randbytes(random.choice((10, 300, 5000, 40_000)))
                client.set(key, written[key])

    def is_there() -> None:
        with redis.Redis(port=daemon.port, socket_timeout=DEADLINE_S) as client:
            assert {key: client.get(key) for key in client.scan_iter()} == written

    write(40)
    with StoreReader(str(daemon.data_dir)) as reader:
        seen = contents_of(reader, reader.snapshot)
        for _ in range(2):
            write(25)
            daemon.kill()
            daemon.start()
            is_there()
        assert contents_of(reader, reader.snapshot) == seen
    write(25)
    daemon.kill()
    daemon.start()
    is_there()


@pytest.mark.parametrize("fsync", ["everysec", "no"])
def test_a_kill_under_a_reader_loses_nothing_of_an_open_transaction(server: StartServer, fsync: str) -> None:
    """LMDB's newest commit, where the reader keeps the store, has not all that was answered; the journal has."""
    daemon = server(f"--fsync={fsync}")
    with redis.Redis(port=daemon.port, socket_timeout=DEADLINE_S) as client:
        client.set("first", 1)
        with StoreReader(str(daemon.data_dir)) as reader:
            for life in range(3):
                for number in range(50):
                    client.set(f"k{number}", f"{life}:{number}")
                client.delete("first")
                daemon.kill()
                daemon.start()
                assert client.mget([f"k{number}" for number in range(50)]) == [
                    b"%d:%d" % (life, number) for number in range(50)
                ]
                assert client.dbsize() == 50
            assert reader.sizes()[0].keys == 1


@pytest.mark.parametrize("left_out", [False, True])
def test_a_start_under_a_reader_replays_only_on_what_the_journal_has(tmp_path: Path, left_out: bool) -> None:
    """Records before a commit that was left out, and that no checkpoint has, would spoil it."""
    lab = Lab(tmp_path / "store", writes_back=True)
    client = lab.connect()
    killed = tmp_path / "killed"
    client.call("SET k 1")
    client.call("SET k 2")
    if left_out:
        with failing_syncs(DATA_FILE, times=0) as syncs:
            syncs.meanwhile = lambda: copy_of(lab.environment.path, killed)  # before there is a checkpoint of it
            client.send(request(b"MSET", b"k", b"3", b"large", os.urandom(400_000)))
    else:
        copy_of(lab.environment.path, killed)
    lab.close()
    with reader(killed):
        environment = Environment(str(killed))
        assert bool(environment.replayed) != left_out
        with ReadTransaction(environment, 0) as transaction:
            keys = Keyspace(transaction, 0)
            assert strings.get(keys, b"k") == (b"3" if left_out else b"2")
            assert keys.size() == 1 + left_out
        environment.close()


@pytest.mark.parametrize("boot", ["this", "another"])
def test_a_start_under_a_program_that_knows_only_lmdb(tmp_path: Path, boot: str) -> None:
    """After a kill it keeps what it sees; after a power cut what it sees may be anything, and does not count."""
    served = Environment(str(tmp_path / "served"), fsync=NO)
    served.try_to_write()
    transaction = WriteTransaction(served, 0)
    transaction.version += 1
    strings.put(WritableKeyspace(transaction, 0), b"k", b"v")
    transaction.commit()
    killed = copy_of(served.path, tmp_path / "killed")
    expected = contents(served)
    served.close()
    if boot == "another":
        (killed / "keyp.lock").write_text("running journal another-boot\n")
    (killed / "lock.mdb").unlink()
    with reader(killed):
        inode = (killed / "lock.mdb").stat().st_ino
        environment = Environment(str(killed))
        assert contents(environment) == expected
        assert environment.replayed == 1
        assert ((killed / "lock.mdb").stat().st_ino == inode) == (boot == "this")
        environment.close()


@pytest.mark.parametrize("fsync", ["always", "everysec", "no"])
def test_a_backup_has_all_that_was_answered_before_it(server: StartServer, tmp_path: Path, fsync: str) -> None:
    daemon = server(f"--fsync={fsync}")
    with redis.Redis(port=daemon.port) as r:
        for number in range(3):
            r.set(f"k{number}", "v")
            backup(str(daemon.data_dir), str(tmp_path / "backup"), force=True)
            with StoreReader(str(tmp_path / "backup")) as copy:
                assert sum([size.keys for size in copy.sizes()]) == number + 1
