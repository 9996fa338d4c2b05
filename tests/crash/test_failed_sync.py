"""A disk that fails under a real server: what was refused is not there, what was answered is, and reads never stop.

strace lets single system calls of the server fail: the writing and the sync of the journal, of its records as well as
of the pages that note a checkpoint; what LMDB writes at a commit, its meta page last; the syncs of the data file at a
checkpoint; the sync of a copy. The journal is so small that there are checkpoints all the time. Writes are refused
until the store has been opened anew, tried and checked; they are accepted again, without a restart, when the disk is
well.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
import redis

from keyp import errors
from tests.crash.daemons import client_of, daemon_on
from tests.crash.injector import Injector
from tests.integration.daemon import LONG, Daemon, wait_until

CLIENTS = 3
ROUNDS = 40 if LONG else 1
ROUNDS_MAX = ROUNDS + 20  # a pwrite64 may be one that readies the end of the file: where it fails, nobody is refused
SMALLEST = "--journal-size=64kb"  # fourteen records
JOURNAL, DATA = "journal", "data.mdb"
WRITES = [(JOURNAL, "pwrite64"), (DATA, "pwrite64"), (DATA, "writev")]
SYNCS = [(JOURNAL, "fdatasync"), (DATA, "sync_file_range"), (DATA, "fdatasync")]
MODES = ("always", "everysec", "no")
CODES = ("EIO", "ENOSPC")

if LONG:
    FAILURES = [(*call, mode, code) for call in [*WRITES, *SYNCS] for mode in MODES for code in CODES]
else:
    FAILURES = [
        (JOURNAL, "pwrite64", "always", "EIO"),
        (JOURNAL, "fdatasync", "always", "ENOSPC"),
        (JOURNAL, "fdatasync", "no", "EIO"),
        (DATA, "pwrite64", "always", "ENOSPC"),
        (DATA, "writev", "everysec", "EIO"),
        (DATA, "sync_file_range", "everysec", "EIO"),
        (DATA, "fdatasync", "no", "ENOSPC"),
    ]

REFUSALS = {errors.DISK_FAILED, errors.DISK_FULL}


class Counting(threading.Thread):
    """A client that counts its own keys up and notes what was answered; refused writes must leave no trace."""

    def __init__(self, daemon: Daemon, name: str) -> None:
        super().__init__(daemon=True)
        self.client = client_of(daemon)
        self.name_ = name
        self.held: Counter[str] = Counter()
        self.stopping = threading.Event()
        self.refusals: Counter[str] = Counter()
        self.unexpected: list[BaseException] = []

    def run(self) -> None:
        random = Random(self.name_)
        try:
            while not self.stopping.is_set():
                key = f"{self.name_}:{random.randrange(20)}"
                try:
                    assert self.client.incr(key) == self.held[key] + 1
                    self.held[key] += 1
                except redis.ResponseError as error:
                    self.refusals[str(error)] += 1
                assert int(self.client.get(key) or 0) == self.held[key]
        except BaseException as error:
            self.unexpected.append(error)

    def end(self) -> None:
        self.stopping.set()
        self.join(30)
        assert not self.is_alive()
        assert self.unexpected == []


def start_counting(daemon: Daemon, old: list[Counting]) -> list[Counting]:
    new = [Counting(daemon, f"client{number}") for number in range(CLIENTS)]
    for client, before in zip(new, old, strict=False):
        client.held = before.held
    for client in new:
        client.start()
    return new


def compare(daemon: Daemon, clients: list[Counting]) -> int:
    """Everything that was answered is there, and nothing else; how many keys there are."""
    reader = client_of(daemon)
    expected = {key.encode(): count for client in clients for key, count in client.held.items() if count}
    found = {key: int(reader.get(key) or 0) for key in reader.scan_iter(count=1000) if key != b"probe"}
    assert found == expected
    return len(found)


def takes_writes(daemon: Daemon) -> bool:
    try:
        return bool(client_of(daemon).set("probe", "x"))
    except redis.ResponseError as error:
        if str(error) in REFUSALS:
            return False
        raise


def write_widely(daemon: Daemon) -> None:
    """Changes many pages in one commit: where LMDB finds free ones in a row it writes them by one writev.

    Small commits in a small store may go round for ever without two pages in a row. The keys are in another database.
    """
    with suppress(redis.ResponseError):
        client_of(daemon, db=1).mset({f"wide:{number}": "x" * 1500 for number in range(60)})


def write_until_injected(daemon: Daemon, injector: Injector, call: str) -> None:
    def injected() -> int:
        write_widely(daemon)
        return injector.injected

    wait_until(injected, f"{call} to fail")


def wait_for_writes(clients: list[Counting]) -> None:
    wait_until(lambda: all(client.held for client in clients), "clients that write")


def wait_for_fault(injector: Injector) -> None:
    wait_until(lambda: injector.injected, "fdatasync to fail")


def wait_for_new_file(data_file: Path, inode: int) -> None:
    wait_until(lambda: data_file.stat().st_ino != inode, "a new file")


def persistence(daemon: Daemon) -> str:
    return str(client_of(daemon).info("persistence")["aof_last_write_status"])


@pytest.mark.parametrize(("name", "call", "mode", "code"), FAILURES)
def test_a_call_that_fails(tmp_path: Path, name: str, call: str, mode: str, code: str) -> None:
    """Once, at some moment; again and again, with a kill now and then."""
    random = Random(f"{name} {call} {mode} {code}")
    injected = refused = 0
    with daemon_on(tmp_path / "data", tmp_path, f"--fsync={mode}", SMALLEST) as daemon:
        daemon.start()
        clients: list[Counting] = []
        for round_ in range(ROUNDS_MAX):
            if round_ >= ROUNDS and refused:
                break
            clients = start_counting(daemon, clients)
            when = str(random.randrange(1, 30 if (name, call) in WRITES else 4 if LONG else 2))
            with Injector(daemon.pid, call, when, tmp_path / "strace", code, daemon.data_dir / name) as injector:
                write_until_injected(daemon, injector, call)
                wait_until(lambda: takes_writes(daemon), "writes to be accepted again")
                injected += injector.injected
            for client in clients:
                client.end()
                assert set(client.refusals) <= REFUSALS
                refused += client.refusals.total()
            keys = compare(daemon, clients)
            if round_ % 4 == 3:
                daemon.kill()
                daemon.check()
                daemon.start()
                compare(daemon, clients)
        assert refused
        assert "Traceback" not in daemon.log()
        daemon.kill()
        daemon.start()
        compare(daemon, clients)
        daemon.stop()
        daemon.check()
        print(
            f"\n{name} {call}: {injected} failed, {refused} refused, {keys} keys compared {ROUNDS} times, nothing lost"
        )


KILLED = [(name, call, code) for name, call in [*WRITES, SYNCS[0]] for code in (CODES if LONG else CODES[:1])]


@pytest.mark.parametrize(("name", "call", "code"), KILLED)
@pytest.mark.parametrize("when", ["1", "1+"] if LONG else ["1+"])
def test_a_refused_write_is_not_there_after_a_kill(tmp_path: Path, name: str, call: str, code: str, when: str) -> None:
    """Killed before anything could be put right."""
    with daemon_on(tmp_path / "data", tmp_path, "--fsync=always", SMALLEST) as daemon:
        for number in range(10 if LONG else 1):
            daemon.start()
            client = client_of(daemon)
            write_widely(daemon)
            client.set("k", number)
            with Injector(daemon.pid, call, when, tmp_path / "strace", code, daemon.data_dir / name):
                with pytest.raises(redis.ResponseError) as refusal:
                    refuse(daemon, call)
                assert str(refusal.value) in REFUSALS
                daemon.kill()
            daemon.check()
            daemon.start()
            assert client_of(daemon).get("k") == b"%d" % number
            assert client_of(daemon).exists("wrong") == 0
            assert takes_writes(daemon)
            daemon.stop()
        assert "Traceback" not in daemon.log()


def refuse(daemon: Daemon, call: str) -> None:
    """A write that meets the call which is to fail; until LMDB writes two pages in a row, where that is the one."""
    client = client_of(daemon)
    wrong = dict.fromkeys(("k", "wrong"), "wrong")
    if call != "writev":
        client.mset(wrong)
        return
    wait_until(lambda: write_and_undo(client, wrong), "writev to fail")


def write_and_undo(client: redis.Redis, wrong: dict[str, str]) -> bool:
    """Raises where the write is refused; else puts everything back, unless that is refused."""
    before = client.get("k") or b""
    client.mset(wrong)
    client.mset({"k": before, **{f"wide:{number}": "x" * 1500 for number in range(10)}})
    client.delete("wrong", *[f"wide:{number}" for number in range(10)])
    return False


LARGE = 200_000  # more than there is room for in the journal


@pytest.mark.parametrize("mode", MODES if LONG else MODES[:1])
@pytest.mark.parametrize(("name", "call"), SYNCS)
def test_a_large_write_that_is_refused_is_never_seen(tmp_path: Path, name: str, call: str, mode: str) -> None:
    """It is made durable by a checkpoint, when LMDB has it already: nobody reads it, neither then nor after a kill."""
    with daemon_on(tmp_path / "data", tmp_path, f"--fsync={mode}", SMALLEST) as daemon:
        daemon.start()
        client = client_of(daemon)
        client.mset({"k": "v", "other": "v"})
        for killed in (False, True):
            with Injector(daemon.pid, call, "1+", tmp_path / "strace", "EIO", daemon.data_dir / name):
                with pytest.raises(redis.ResponseError, match=errors.DISK_FAILED):
                    client.set("k", "x" * LARGE)
                assert client.mget("k", "other") == [b"v", b"v"]
                if killed:
                    daemon.kill()
            if killed:
                daemon.check()
                daemon.start()
            client = client_of(daemon)
            assert client.mget("k", "other") == [b"v", b"v"]
            wait_until(lambda: takes_writes(daemon), "writes to be accepted again")
            assert client.mget("k", "other") == [b"v", b"v"]
        assert client.set("k", "x" * LARGE)
        daemon.kill()
        daemon.start()
        assert client_of(daemon).get("k") == b"x" * LARGE
        assert "Traceback" not in daemon.log()
        daemon.stop()
        daemon.check()


@pytest.mark.parametrize(("name", "call"), [*WRITES, *SYNCS] if LONG else [WRITES[1], SYNCS[0], SYNCS[2]])
def test_a_disk_that_keeps_failing(tmp_path: Path, name: str, call: str) -> None:
    """Refused for as long as it lasts, with few words in the log; reads go on, and writes when it is over."""
    seconds = 20 if LONG else 1.2
    with daemon_on(tmp_path / "data", tmp_path, "--fsync=always", SMALLEST) as daemon:
        daemon.start()
        client = client_of(daemon)
        for number in range(100):
            client.set(f"k{number}", "v" * number)
        reads = writes = 0
        with Injector(daemon.pid, call, "1+", tmp_path / "strace", "EIO", daemon.data_dir / name) as injector:
            write_until_injected(daemon, injector, call)
            wait_until(lambda: persistence(daemon) == "err", "the failure to show")
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                with pytest.raises(redis.ResponseError, match=errors.DISK_FAILED):
                    client.set("k1", "wrong")
                assert client.get("k99") == b"v" * 99
                assert client.get("k1") == b"v"
                assert len(client.keys()) == 100
                assert persistence(daemon) == "err"
                reads, writes = reads + 3, writes + 1
            injected = injector.injected
        wait_until(lambda: takes_writes(daemon), "writes when the disk is well again", 90)
        assert persistence(daemon) == "ok"
        assert client.get("k1") == b"v"
        lines = daemon.log().count("not to be trusted")
        assert lines <= 7
        assert daemon.log().count("\n") < 40
        assert "Traceback" not in daemon.log()
        daemon.kill()
        daemon.check()
        daemon.start()
        assert client_of(daemon).get("k1") == b"v"
        daemon.stop()
        print(f"\n{name} {call} failed {injected} times in {seconds} s: {writes} refused, {reads} reads, {lines} lines")


def test_nothing_is_called_saved_that_may_not_be(tmp_path: Path) -> None:
    """Neither a second sync nor the end of the server proves anything after a sync that failed."""
    with daemon_on(tmp_path / "data", tmp_path, "--fsync=everysec") as daemon:
        daemon.start()
        client = client_of(daemon)
        client.set("k", "v")
        with Injector(daemon.pid, "fdatasync,fsync", "1+", tmp_path / "strace") as injector:
            wait_until(lambda: injector.injected, "fdatasync to fail")
            wait_until(lambda: persistence(daemon) == "err", "the failure to show")
            for _ in range(2):
                with pytest.raises(redis.ResponseError, match=errors.DISK_FAILED):
                    client.config_set("appendfsync", "always")
            with pytest.raises(redis.ResponseError, match="save failed"):
                client.save()
            assert client.info("persistence")["rdb_last_bgsave_status"] == "err"
            assert client.get("k") == b"v"
            with pytest.raises(AssertionError, match="exit status 1"):
                daemon.stop()
        assert "what was written last may not be on the disk" in daemon.log()
        assert "everything is on the disk" not in daemon.log()
        assert "Traceback" not in daemon.log()
        daemon.start()
        assert client_of(daemon).get("k") == b"v"
        daemon.stop()
        assert "everything is on the disk" in daemon.log()


def test_a_change_of_mode_that_fails_is_no_change(tmp_path: Path) -> None:
    """The journal could not be synced: there is a new one when writes are accepted again."""
    ring = tmp_path / "data" / JOURNAL
    with daemon_on(tmp_path / "data", tmp_path, "--fsync=no") as daemon:
        daemon.start()
        client = client_of(daemon)
        client.set("k", "v")
        inode = ring.stat().st_ino
        with Injector(daemon.pid, "fdatasync", "1", tmp_path / "strace", file=ring) as injector:
            with pytest.raises(redis.ResponseError, match=errors.DISK_FAILED):
                client.config_set("appendfsync", "always")
            assert client.config_get("appendfsync") == {"appendfsync": "no"}
            wait_until(lambda: injector.injected, "fdatasync to fail")
        with ring.open():  # held, so that the number is not given to the next
            wait_until(lambda: takes_writes(daemon), "writes to be accepted again")
            assert ring.stat().st_ino != inode
        assert client.config_set("appendfsync", "always")
        assert client.info("keyp")["fsync"] == "always"
        assert client.execute_command("WAITAOF", 1, 0, 0) == [1, 0]
        assert "Traceback" not in daemon.log()
        daemon.kill()
        daemon.check()
        daemon.start()
        assert client_of(daemon).get("k") == b"v"
        daemon.stop()


def test_the_end_of_the_server_puts_everything_right(tmp_path: Path) -> None:
    """A sync has failed, and it stops before it has tried again: it does so then."""
    ring = tmp_path / "data" / JOURNAL
    with daemon_on(tmp_path / "data", tmp_path, "--fsync=everysec") as daemon:
        daemon.start()
        client_of(daemon).set("k", "v")
        inode = ring.stat().st_ino
        with ring.open():
            with Injector(daemon.pid, "fdatasync", "1", tmp_path / "strace", file=ring) as injector:
                wait_until(lambda: injector.injected, "fdatasync to fail")
            daemon.stop()
            assert ring.stat().st_ino != inode
        assert "everything is on the disk" in daemon.log()
        daemon.start()
        assert client_of(daemon).get("k") == b"v"
        daemon.stop()
        daemon.check()
