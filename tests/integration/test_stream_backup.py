"""Streams, their groups and what is pending in them: in backups of a server that delivers, after kills, in copies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import redis

from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, Daemon, wait_until
from tests.integration.test_backup import client_of, keyp

CONSUMERS = 3
GROUP = "group"
OLD = 1500  # entries that were trimmed before
FEW = 3


def make(client: redis.Redis) -> None:
    """A stream `work` with a group; and one whose ids have begun anew before the sweeper has cleared the old ones."""
    client.xgroup_create("work", GROUP, "0", mkstream=True)
    with client.pipeline(transaction=True) as pipeline:
        for number in range(1, OLD + 1):
            pipeline.xadd("again", {"f": "old"}, id=f"{number}-0")
        pipeline.xgroup_create("again", GROUP, "0")
        pipeline.xreadgroup(GROUP, "first", {"again": ">"}, count=FEW)
        pipeline.xtrim("again", maxlen=0, approximate=False)
        pipeline.execute_command("XSETID", "again", f"{FEW + 1}-0")
        pipeline.xadd("again", {"f": "new"}, id=f"{FEW + 2}-0")
        pipeline.xreadgroup(GROUP, "first", {"again": "0"})
        pipeline.execute()


@contextmanager
def at_work(daemon: Daemon) -> Iterator[list[int]]:
    """Consumers that add entries, are delivered them, claim them, and count what they acknowledge in a key `done`."""
    rounds = [0] * CONSUMERS
    ended = Event()
    failures: list[BaseException] = []

    def work(place: int) -> None:
        name = f"consumer{place}"
        try:
            with client_of(daemon) as client:
                while not ended.is_set():
                    client.xadd("work", {"by": name}, maxlen=200, approximate=True)
                    client.xadd("work", {"by": name})
                    client.xreadgroup(GROUP, name, {"work": ">"}, count=2)
                    client.xautoclaim("work", GROUP, name, min_idle_time=0, count=1, justid=False)
                    pending = client.xpending_range("work", GROUP, "-", "+", 1, name)
                    if pending:
                        script = "return redis.call('INCRBY', KEYS[2], redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]))"
                        client.eval(script, 2, "work", "done", GROUP, pending[0]["message_id"])
                    rounds[place] += 1
        except redis.ConnectionError:
            pass  # the server has been killed
        except BaseException as error:
            failures.append(error)

    threads = [Thread(target=work, args=(place,)) for place in range(CONSUMERS)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: all(count > FEW for count in rounds), "every consumer's first rounds", 4 * DEADLINE_S)
        yield rounds
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failures == []


def described(daemon: Daemon) -> Any:
    """All that there is of the streams. Of the first it must be one moment."""
    with client_of(daemon) as client:
        found = {key: client.execute_command("XINFO", "STREAM", key, "FULL", "COUNT", 0) for key in ("work", "again")}
        done = int(client.get("done") or 0)
        (group,) = found["work"]["groups"]
        claimed_away = group["entries-read"] - done - group["pel-count"]  # entries that were trimmed, if pending
        assert 0 <= claimed_away <= found["work"]["entries-added"] - found["work"]["length"]
        assert group["pel-count"] == sum(each["pel-count"] for each in group["consumers"])
        (again,) = found["again"]["groups"]
        assert [entry[0] for entry in found["again"]["entries"]] == [f"{FEW + 2}-0"]
        assert [[entry[0], entry[3]] for entry in again["pending"]] == [[f"{number}-0", 1] for number in (1, 2, 3)]
    return found, done


def test_backups_while_entries_are_delivered(server: StartServer, tmp_path: Path) -> None:
    daemon = server("--fsync=no")
    with client_of(daemon) as client:
        make(client)
        with at_work(daemon):
            keyp("backup", tmp_path / "hot", "-d", daemon.data_dir)
            client.bgsave()
            wait_until(lambda: client.info("persistence")["rdb_bgsave_in_progress"] == 0, "the background save")
    seen = [described(daemon)]
    keyp("backup", tmp_path / "still", "-d", daemon.data_dir)
    daemon.stop()
    shutil.copytree(daemon.data_dir / "backup", tmp_path / "saved")
    for backup in ("hot", "saved", "still"):
        assert "No problems found." in keyp("check", tmp_path / backup)
        keyp("restore", tmp_path / backup, "-d", daemon.data_dir, "--force")
        daemon.start()
        seen.append(described(daemon))
        daemon.stop()
    assert seen[-1] == seen[0]


def test_a_kill_keeps_who_has_what_and_how_often(server: StartServer) -> None:
    daemon = server("--fsync=always")
    with client_of(daemon) as client:
        make(client)
    with at_work(daemon):
        daemon.kill()
    daemon.start()
    before = described(daemon)
    daemon.kill()
    daemon.start()
    assert described(daemon) == before
    with client_of(daemon) as client:
        (group,) = before[0]["work"]["groups"]
        for message, _, _, deliveries in group["pending"][:5]:
            claimed = client.xclaim("work", GROUP, "other", 0, [message])
            found = client.xpending_range("work", GROUP, message, message, 1)
            assert [each["times_delivered"] for each in found] == [deliveries + 1] * len(claimed)
    assert "No problems found." in keyp("check", daemon.data_dir)
