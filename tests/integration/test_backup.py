"""Backups of real servers: one moment of a store that many clients write to, and what a killed backup leaves."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import redis

from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, ROOT, Daemon, wait_until

ACCOUNTS = 50
EACH = 1000
CLIENTS = 4
FILLING = 20_000
DEADLINE_MS = 4_000_000_000_000
MEGABYTE = 1 << 20


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "keyp", *map(str, words)]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def keyp(*words: object, status: int = 0) -> str:
    """What `keyp` with these words prints, all of it; it must exit with `status`."""
    done = subprocess.run(
        command(*words),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=4 * DEADLINE_S,
        check=False,
    )
    assert done.returncode == status, done.stdout
    assert "Traceback" not in done.stdout
    return done.stdout


def client_of(daemon: Daemon) -> redis.Redis:
    return redis.Redis(port=daemon.port, decode_responses=True)


def open_accounts(daemon: Daemon) -> None:
    """Accounts of the same balance and each with a deadline of its own, among many other keys."""
    with client_of(daemon) as client, client.pipeline(transaction=False) as pipeline:
        for number in range(ACCOUNTS):
            pipeline.set(f"account:{number}", EACH, pxat=DEADLINE_MS + number)
        for number in range(FILLING):
            pipeline.set(f"filling:{number}", "x" * 100)
        pipeline.execute()


@contextmanager
def transfers(daemon: Daemon) -> Iterator[list[int]]:
    """Several clients move money between accounts; a counter for each says how many transfers it has made."""
    done = [0] * CLIENTS
    ended = Event()
    failures: list[BaseException] = []

    def work(place: int) -> None:
        chance = random.Random(place)
        try:
            with client_of(daemon) as client:
                while not ended.is_set():
                    giver, taker = chance.sample(range(ACCOUNTS), 2)
                    amount = chance.randrange(1, 100)
                    with client.pipeline(transaction=True) as pipeline:
                        pipeline.decrby(f"account:{giver}", amount)
                        pipeline.incrby(f"account:{taker}", amount)
                        pipeline.execute()
                    done[place] += 1
        except BaseException as error:
            failures.append(error)

    threads = [Thread(target=work, args=(place,)) for place in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: all(done), "every client's first transfer")
        yield done
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failures == []


def balances(daemon: Daemon) -> list[int]:
    with client_of(daemon) as client:
        values = client.mget([f"account:{number}" for number in range(ACCOUNTS)])
        deadlines = [client.pexpiretime(f"account:{number}") for number in range(ACCOUNTS)]
        assert client.dbsize() == ACCOUNTS + FILLING
    assert deadlines == [DEADLINE_MS + number for number in range(ACCOUNTS)]
    return [int(value) for value in values]


def test_a_backup_is_one_moment(server: StartServer, tmp_path: Path) -> None:
    daemon = server("--fsync=no")
    open_accounts(daemon)
    backups = [tmp_path / f"backup{number}" for number in range(3)]
    with transfers(daemon) as done:
        for backup in backups:
            before = sum(done)
            keyp("backup", backup, "-d", daemon.data_dir)
            assert sum(done) > before, "nobody wrote while the backup was made"
    seen = [balances(daemon)]
    daemon.stop()
    for number, backup in enumerate(backups):
        assert "No problems found." in keyp("check", backup)
        if number == 0:  # a plain copy of the directory serves as well
            shutil.rmtree(daemon.data_dir)
            shutil.copytree(backup, daemon.data_dir)
        else:
            keyp("restore", backup, "-d", daemon.data_dir, "--force")
        daemon.start()
        seen.append(balances(daemon))
        daemon.stop()
    assert [sum(found) for found in seen] == [ACCOUNTS * EACH] * 4
    assert len(set(map(tuple, seen))) == 4, "the backups do not show different moments"


def test_save_and_bgsave_are_one_moment_each(server: StartServer) -> None:
    daemon = server("--fsync=everysec")
    open_accounts(daemon)
    with client_of(daemon) as client:
        assert client.config_get("dir", "dbfilename") == {
            "dir": str(daemon.data_dir),
            "dbfilename": "backup/data.mdb",
        }
        assert client.info("persistence")["rdb_changes_since_last_save"] == ACCOUNTS + FILLING
        with transfers(daemon) as done:
            before = sum(done)
            assert client.save() is True
            assert sum(done) > before, "nobody wrote while the copy was made"
            assert client.bgsave() is True
            wait_until(lambda: client.info("persistence")["rdb_bgsave_in_progress"] == 0, "the background save")
        persistence = client.info("persistence")
        assert persistence["rdb_last_bgsave_status"] == "ok"
        assert 0 <= client.time()[0] - persistence["rdb_last_save_time"] < DEADLINE_S
        assert client.lastsave().timestamp() == persistence["rdb_last_save_time"]
        assert persistence["rdb_changes_since_last_save"] <= 2 * sum(done)
        assert client.save() is True
        assert client.info("persistence")["rdb_changes_since_last_save"] == 0
    now = balances(daemon)
    daemon.stop()
    saved = daemon.data_dir / "backup"
    assert os.listdir(saved) == ["data.mdb"]
    keyp("check", saved)
    keyp("restore", saved, "-d", daemon.data_dir, "--force")
    daemon.start()
    assert balances(daemon) == now


def fill(daemon: Daemon, megabytes: int) -> None:
    with client_of(daemon) as client:
        for number in range(megabytes):
            client.set(f"big:{number}", bytes([number % 256]) * MEGABYTE)


def begin(backup: Path, daemon: Daemon, *options: str) -> subprocess.Popen[bytes]:
    """A backup that has begun to write and is not done; one that was too quick to be seen is made again."""
    partial = backup / "data.mdb.partial"
    for _ in range(10):
        process = subprocess.Popen(
            command("backup", backup, "-d", daemon.data_dir, *options), env=ENVIRONMENT, stdout=subprocess.DEVNULL
        )
        while process.poll() is None:
            if partial.exists() and partial.stat().st_size:
                return process
        assert process.returncode == 0
        if "--force" not in options:
            shutil.rmtree(backup)
    raise AssertionError("no backup was ever seen to write")


def test_a_killed_backup_leaves_no_half(server: StartServer, tmp_path: Path) -> None:
    daemon = server("--fsync=no")
    fill(daemon, 200)
    backup = tmp_path / "backup"
    process = begin(backup, daemon)
    process.kill()
    assert process.wait(DEADLINE_S) == -signal.SIGKILL
    assert os.listdir(backup) == ["data.mdb.partial"]
    assert "there is no store" in keyp("check", backup, status=2)
    assert "there is no backup" in keyp("restore", backup, "-d", tmp_path / "new", status=1)
    keyp("backup", backup, "-d", daemon.data_dir)
    assert os.listdir(backup) == ["data.mdb"]

    process = begin(backup, daemon, "--force")
    whole = (backup / "data.mdb").stat()
    process.kill()
    process.wait(DEADLINE_S)
    assert (backup / "data.mdb").stat().st_ino == whole.st_ino
    keyp("check", backup)
    keyp("backup", backup, "-d", daemon.data_dir, "--force")
    assert os.listdir(backup) == ["data.mdb"]
    fill(daemon, 3)


def test_a_reader_that_stays_long_breaks_nothing(server: StartServer, tmp_path: Path) -> None:
    daemon = server("--fsync=no")
    fill(daemon, 100)
    backup = tmp_path / "backup"
    with client_of(daemon) as client:
        client.set("moment", "before", pxat=DEADLINE_MS)
        process = begin(backup, daemon)
        process.send_signal(signal.SIGSTOP)
        client.set("moment", "after")
        for _ in range(3):
            client.flushall()
            fill(daemon, 50)
        assert client.save() is True
        process.send_signal(signal.SIGCONT)
        assert process.wait(DEADLINE_S) == 0
        before = int(client.info("keyp")["store_file_bytes"])
        for _ in range(3):  # the pages that were held for the reader are used again
            client.flushall()
            fill(daemon, 50)
        assert int(client.info("keyp")["store_file_bytes"]) < before + 50 * MEGABYTE
    daemon.stop()
    keyp("check", daemon.data_dir)
    keyp("restore", backup, "-d", daemon.data_dir, "--force")
    daemon.start()
    with client_of(daemon) as client:
        assert (client.get("moment"), client.pexpiretime("moment")) == ("before", DEADLINE_MS)
        assert client.dbsize() == 101


def test_a_server_that_stops_ends_its_save(server: StartServer) -> None:
    daemon = server("--fsync=no")
    fill(daemon, 200)
    with client_of(daemon) as client:
        assert client.bgsave() is True
        wait_until((daemon.data_dir / "backup" / "data.mdb.partial").exists, "the save has begun")
    daemon.stop()
    assert not (daemon.data_dir / "backup" / "data.mdb.partial").exists()


def test_what_is_in_use_is_refused_or_reported(server: StartServer, tmp_path: Path) -> None:
    daemon = server("--fsync=no")
    with client_of(daemon) as client:
        client.set("key", "value")
    backup = tmp_path / "backup"
    keyp("backup", backup, "--data-dir", daemon.data_dir)
    assert "is in use by another Keyp" in keyp("restore", backup, "-d", daemon.data_dir, "--force", status=1)
    assert "A server has the store open" in keyp("check", daemon.data_dir)
    daemon.stop()
    assert "A server has" not in keyp("check", daemon.data_dir)
    assert "holds a store already" in keyp("restore", backup, "-d", daemon.data_dir, status=1)
    assert "1 keys" in keyp("backup", backup, "-d", daemon.data_dir, "--force")
    daemon.start()
    with client_of(daemon) as client:
        assert client.get("key") == "value"
