"""Disks that fill up under a real server: nothing answered is lost, nothing refused is there, room brings writes back.

The disks are file systems of their own, in memory and ext4 in a file. Several clients write until they are refused;
their replies are compared with what the store holds, also after a kill and a new start.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
import redis

from keyp import errors
from keyp.storage.lmdb.disk_reserve import RESERVE_BYTES
from tests.crash.daemons import client_of, daemon_on, fill, mounted, read_only
from tests.integration.daemon import LONG, Daemon, wait_until

DISK_MB = 40
CLIENTS = 4
CYCLES = 25 if LONG else 1

DISK_FULL = errors.DISK_FULL
OOM = "command not allowed when used memory > 'maxmemory'."

KINDS = [("tmpfs", 6000, "always"), ("ext4", 1_000_000, "always")]
DISKS = ["tmpfs", "ext4"] if LONG else ["ext4"]
if LONG:
    SIZES, MODES = (100, 6000, 70_000, 1_000_000), ("always", "everysec", "no")
    KINDS = [(kind, size, mode) for kind in ("tmpfs", "ext4") for size in SIZES for mode in MODES]


class Filler(threading.Thread):
    """A client with keys of its own, and what each of them must hold by what the server has answered."""

    def __init__(self, daemon: Daemon, number: int, size: int) -> None:
        super().__init__(daemon=True)
        self.daemon_process = daemon
        self.number = number
        self.size = size
        self.held: dict[bytes, bytes] = {}
        self.refused = 0
        self.unexpected: list[BaseException] = []
        self._random = Random(number)
        self._count = 0

    def run(self) -> None:
        client = client_of(self.daemon_process)
        try:
            while not self._write(client):
                pass
            assert client.ping()  # the connection is the one that was refused
            some = next(iter(self.held), b"none")
            assert client.get(some) == self.held.get(some)
        except BaseException as error:
            self.unexpected.append(error)

    def _write(self, client: redis.Redis) -> int:
        """Sends some writes at once; how many were refused for want of room."""
        pairs = []
        with client.pipeline(transaction=False) as pipe:
            for _ in range(max(1, min(50, 200_000 // self.size))):
                self._count += 1
                new = b"%d:%d" % (self.number, self._count)
                key = self._random.choice(list(self.held)) if self._count % 7 == 0 and self.held else new
                value = b"%d " % self._count + self._random.randbytes(8) * (self.size // 8)
                pairs.append((key, value))
                pipe.set(key, value)
            replies = pipe.execute(raise_on_error=False)
        refused = 0
        for (key, value), reply in zip(pairs, replies, strict=True):
            if reply is True:
                self.held[key] = value
            else:
                assert str(reply) == DISK_FULL, reply
                refused += 1
        self.refused += refused
        return refused


def fill_up(daemon: Daemon, fillers: list[Filler] | None, size: int) -> list[Filler]:
    """Has clients write until each has been refused."""
    new = [Filler(daemon, number, size) for number in range(CLIENTS)]
    for filler, old in zip(new, fillers or [], strict=False):
        filler.held, filler._count = old.held, old._count
    for filler in new:
        filler.start()
    for filler in new:
        filler.join(120)
        assert not filler.is_alive()
        assert filler.unexpected == []
        assert filler.refused
    return new


def compare(daemon: Daemon, fillers: list[Filler]) -> int:
    """Every key holds what was answered, and there is no other key; how many there are."""
    client = client_of(daemon)
    expected = {key: value for filler in fillers for key, value in filler.held.items()}
    found = set(client.scan_iter(count=1000))
    assert found == set(expected), found ^ set(expected)
    for key, value in expected.items():
        assert client.get(key) == value, key
    return len(expected)


def compare_after_kill(daemon: Daemon, fillers: list[Filler]) -> int:
    daemon.kill()
    daemon.check()
    daemon.start()
    return compare(daemon, fillers)


def takes_writes(daemon: Daemon) -> bool:
    try:
        client_of(daemon).set("probe", b"x" * 100)
    except redis.ResponseError as error:
        if str(error) == DISK_FULL:
            return False
        raise
    return bool(client_of(daemon).delete("probe"))


def delete_some(daemon: Daemon, fillers: list[Filler], share: float, at_once: int) -> None:
    client = client_of(daemon)
    for filler in fillers:
        keys = list(filler.held)[: int(len(filler.held) * share)]
        for start in range(0, len(keys), at_once):
            some = keys[start : start + at_once]
            assert client.delete(*some) == len(some)
            for key in some:
                del filler.held[key]


@pytest.mark.parametrize(("kind", "size", "mode"), KINDS)
def test_a_disk_fills_up_and_gets_room_again(tmp_path: Path, kind: str, size: int, mode: str) -> None:
    with mounted(kind, DISK_MB, tmp_path) as disk, daemon_on(disk / "data", tmp_path, f"--fsync={mode}") as daemon:
        (disk / "foreign").write_bytes(bytes(18 << 20))
        daemon.start()
        client = client_of(daemon)
        fillers = fill_up(daemon, None, size)
        assert client.info("persistence")["aof_last_write_status"] == "err"
        compare(daemon, fillers)
        compare_after_kill(daemon, fillers)
        client = client_of(daemon)
        some = next(iter(fillers[0].held))
        assert client.pexpire(some, 10**9)
        assert client.persist(some)
        assert client.rename(some, some + b"!")
        fillers[0].held[some + b"!"] = fillers[0].held.pop(some)

        (disk / "foreign").unlink()  # room from outside
        wait_until(lambda: takes_writes(daemon), "writes after a foreign file has gone")
        assert client.info("persistence")["aof_last_write_status"] == "ok"
        assert (disk / "data" / "keyp.reserve").stat().st_size == RESERVE_BYTES
        fillers = fill_up(daemon, fillers, size)
        compare(daemon, fillers)

        delete_some(daemon, fillers, 0.8, 1 if size > 1000 else 20)  # room from inside
        wait_until(lambda: takes_writes(daemon), "writes after most keys have been deleted")
        fillers = fill_up(daemon, fillers, size)
        number = compare_after_kill(daemon, fillers)

        assert client_of(daemon).flushall()
        assert client_of(daemon).dbsize() == 0
        wait_until(lambda: takes_writes(daemon), "writes after FLUSHALL")
        assert "Traceback" not in daemon.log()
        assert daemon.log().count("the disk is full") < 12
        daemon.stop()
        daemon.check()
        print(f"\n{kind}, values of {size} bytes, fsync {mode}: three times full, {number} keys compared, nothing lost")


@pytest.mark.parametrize("kind", DISKS if LONG else ["tmpfs"])
def test_many_times_full(tmp_path: Path, kind: str) -> None:
    """The reserve does not wear out, whatever makes room."""
    random = Random(kind)
    with mounted(kind, DISK_MB, tmp_path) as disk, daemon_on(disk / "data", tmp_path, "--fsync=no") as daemon:
        (disk / "foreign").write_bytes(bytes(10 << 20))
        daemon.start()
        fillers: list[Filler] = []
        ways: list[str] = []
        for cycle in range(CYCLES):
            fillers = fill_up(daemon, fillers, random.choice((300, 2500, 20_000, 200_000)))
            way = random.choice(("small deletes", "big deletes", "flushall", "deadlines"))
            if way == "small deletes":
                delete_some(daemon, fillers, 0.9, 1)
            elif way == "big deletes":
                delete_some(daemon, fillers, 0.9, 300)
            elif way == "flushall":
                assert client_of(daemon).flushall()
                for filler in fillers:
                    filler.held.clear()
            else:
                expire_all(daemon, fillers)
            ways.append(way)
            wait_until(lambda: takes_writes(daemon), f"writes after {way}", 60)
            if cycle % 3 == 0:
                compare_after_kill(daemon, fillers)
            else:
                compare(daemon, fillers)
        assert "Traceback" not in daemon.log()
        daemon.stop()
        daemon.check()
        print(f"\n{kind}: {CYCLES} times full and empty again: {ways}")


def expire_all(daemon: Daemon, fillers: list[Filler]) -> None:
    """Gives every key a deadline in the past, or one that the sweeper finds."""
    client = client_of(daemon)
    for filler in fillers:
        for number, key in enumerate(filler.held):
            assert client.pexpire(key, -1 if number % 2 else 1)
        filler.held.clear()
    wait_until(lambda: client.dbsize() == 0, "the sweeper at work on a full disk")


def stopped_on_a_full_disk(daemon: Daemon, disk: Path, prepare: Callable[[], object]) -> bytes:
    """Stops a server that holds something, and takes all room; what the key `old` holds."""
    daemon.start()
    value = os.urandom(300_000)
    client_of(daemon).set("old", value)
    client_of(daemon).set("other", "1")
    daemon.stop()
    prepare()
    fill(disk / "foreign")
    return value


@pytest.mark.parametrize("kind", DISKS)
def test_a_start_on_a_full_disk(tmp_path: Path, kind: str) -> None:
    with mounted(kind, DISK_MB, tmp_path) as disk, daemon_on(disk / "data", tmp_path) as daemon:
        value = stopped_on_a_full_disk(daemon, disk, lambda: None)
        daemon.start()
        client = client_of(daemon)
        assert client.get("old") == value
        assert client.delete("other") == 1
        if not takes_writes(daemon):  # the first write finds the disk full, if a removal has not
            assert client.delete("nothing") == 0
        daemon.kill()
        daemon.start()
        assert client_of(daemon).mget("old", "other") == [value, None]
        (disk / "foreign").unlink()
        wait_until(lambda: takes_writes(daemon), "writes when there is room")
        assert "Traceback" not in daemon.log()
        daemon.stop()


@pytest.mark.parametrize("kind", DISKS)
def test_a_start_on_a_full_disk_without_a_reserve(tmp_path: Path, kind: str) -> None:
    """Reads go on. A removal needs a few pages, which may not be there; it is refused then, and nothing is lost."""
    with mounted(kind, DISK_MB, tmp_path) as disk, daemon_on(disk / "data", tmp_path) as daemon:
        value = stopped_on_a_full_disk(daemon, disk, lambda: (disk / "data" / "keyp.reserve").unlink())
        daemon.start()
        client = client_of(daemon)
        assert not takes_writes(daemon)
        assert client.get("old") == value
        with suppress(redis.ResponseError):
            client.delete("nothing", "probe")
        daemon.kill()
        daemon.start()
        assert client_of(daemon).mget("old", "other", "probe") == [value, b"1", None]
        (disk / "foreign").unlink()
        wait_until(lambda: takes_writes(daemon), "writes when there is room")
        daemon.stop()


def test_a_start_where_not_even_locks_have_room(tmp_path: Path) -> None:
    """LMDB maps its lock file; a page that the disk cannot give it would be a signal that ends the server."""
    with mounted("tmpfs", DISK_MB, tmp_path) as disk, daemon_on(disk / "data", tmp_path) as daemon:
        value = stopped_on_a_full_disk(daemon, disk, lambda: (disk / "data" / "lock.mdb").unlink())
        daemon.start()  # with what the reserve held
        assert client_of(daemon).get("old") == value
        assert client_of(daemon).delete("other") == 1
        daemon.stop()
        for name in ("lock.mdb", "keyp.reserve"):
            (disk / "data" / name).unlink()
        fill(disk / "more")
        text = daemon.start_in_vain()
        assert "keyp: cannot open the store: No space left on device: " in text
        assert "Traceback" not in daemon.log()
        (disk / "more").unlink()
        daemon.start()
        assert client_of(daemon).get("old") == value
        daemon.stop()


@pytest.mark.parametrize("kind", DISKS)
def test_no_room_for_a_new_store(tmp_path: Path, kind: str) -> None:
    with mounted(kind, DISK_MB, tmp_path) as disk, daemon_on(disk / "data", tmp_path) as daemon:
        (disk / "data").mkdir()
        fill(disk / "foreign")
        text = daemon.start_in_vain()
        assert "keyp: cannot open the store: " in text
        assert "Traceback" not in text
        assert os.listdir(disk / "data") == []
        (disk / "foreign").unlink()
        daemon.start()
        assert takes_writes(daemon)
        daemon.stop()


def test_a_place_where_no_reserve_can_be_made(tmp_path: Path) -> None:
    """A server without a reserve still detects a full disk, and takes writes again when there is room."""
    with mounted("tmpfs", DISK_MB, tmp_path) as disk, daemon_on(disk / "data", tmp_path) as daemon:
        reserve = disk / "data" / "keyp.reserve"
        reserve.parent.mkdir()
        reserve.touch()
        (disk / "foreign").write_bytes(bytes(20 << 20))
        with read_only(reserve):
            daemon.start()
            assert takes_writes(daemon)
            fillers = fill_up(daemon, None, 6000)
            assert not takes_writes(daemon)
            compare_after_kill(daemon, fillers)
            (disk / "foreign").unlink()
            wait_until(lambda: takes_writes(daemon), "writes when there is room")
            daemon.stop()


def test_a_limit_of_the_size(tmp_path: Path) -> None:
    with daemon_on(tmp_path / "data", tmp_path, "--max-size=8mb", "--fsync=no") as daemon:
        daemon.start()
        client = client_of(daemon)
        assert client.info("memory")["maxmemory"] == 8 << 20
        written = 0
        refused = ""
        while not refused and written < 1000:
            try:
                client.set(f"k{written}", bytes(50_000))
                written += 1
            except redis.exceptions.OutOfMemoryError as error:
                refused = str(error)
        assert OOM in refused
        assert 100 < written < 200
        assert client.get("k0") == bytes(50_000)
        with pytest.raises(redis.ResponseError, match=OOM):
            client.append("k0", "more")
        assert client.delete(*[f"k{number}" for number in range(20)]) == 20
        wait_until(lambda: writes_within_the_limit(client), "writes after DEL")
        assert client.config_set("maxmemory", "2mb")
        assert client.info("memory")["maxmemory"] == 2 << 20
        assert not writes_within_the_limit(client)
        assert client.config_set("maxmemory", "1gb")
        assert writes_within_the_limit(client)
        assert client.config_set("maxmemory", 1 << 20)
        assert client.flushall()
        wait_until(lambda: writes_within_the_limit(client), "writes after FLUSHALL")
        started = time.monotonic()
        daemon.kill()
        daemon.start()
        assert time.monotonic() - started < 20
        assert client_of(daemon).info("memory")["maxmemory"] == 8 << 20
        daemon.stop()
        daemon.check()


def writes_within_the_limit(client: redis.Redis) -> bool:
    try:
        return bool(client.set("probe", "x"))
    except redis.exceptions.OutOfMemoryError:
        return False
