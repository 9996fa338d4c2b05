"""walrus, and pottery: streams as containers, consumer groups with workers in processes of their own, queues.

A worker and the server are killed in the middle: every entry is done at least once, and acknowledged in the end.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import redis
from pottery import RedisSimpleQueue
from walrus import Database

from tests.integration.conftest import StartServer
from tests.integration.daemon import Daemon, wait_until
from tests.integration.programs import service

CONSUMER = str(Path(__file__).with_name("walrus_consumer.py"))
JOBS = 150


@pytest.fixture
def daemon(server: StartServer) -> Daemon:
    return server()


@pytest.fixture
def database(daemon: Daemon) -> Any:
    return Database(port=daemon.port)


def add(database: Any, count: int) -> set[bytes]:
    stream = database.Stream("jobs")
    return {stream.add({"number": number}) for number in range(count)}


def test_streams(daemon: Daemon, database: Any) -> None:
    stream = database.Stream("s")
    ids = [stream.add({"number": number}) for number in range(10)]
    daemon.kill()
    daemon.start()
    assert len(stream) == 10
    assert [entry_id for entry_id, _ in stream] == ids
    assert stream[ids[3] : ids[5]] == [(ids[number], {b"number": b"%d" % number}) for number in (3, 4, 5)]
    assert stream[ids[7]] == (ids[7], {b"number": b"7"})
    assert stream.delete(ids[0]) == 1
    assert stream.trim(4, approximate=False) == 5
    assert stream.read(count=2, last_id=ids[7]) == [(ids[8], {b"number": b"8"}), (ids[9], {b"number": b"9"})]
    info = stream.info()
    assert (info["length"], info["entries-added"], info["last-generated-id"]) == (4, 10, ids[9])


def test_several_streams_in_a_group(daemon: Daemon, database: Any) -> None:
    group = database.consumer_group("g", ["one", "other"])
    group.create()
    group.set_id("$")
    first, second = group.one.add({"a": "1"}), group.other.add({"b": "2"})
    got = {bytes(name): [entry_id for entry_id, _ in entries] for name, entries in group.read()}
    assert got == {b"one": [first], b"other": [second]}
    daemon.kill()
    daemon.start()
    another = group.consumer("another")
    assert another.one.claim(first) == [(first, {b"a": b"1"})]
    ((pending),) = group.one.pending()
    assert (pending["consumer"], pending["times_delivered"]) == (b"another", 2)
    assert another.one.ack(first) == 1
    assert another.other.autoclaim("another", 0)[1] == [(second, {b"b": b"2"})]
    assert group.other.ack(second) == 1
    group.destroy()
    assert database.Stream("one").groups_info() == []


def test_workers_and_the_server_are_killed(daemon: Daemon, database: Any) -> None:
    database.consumer_group("workers", ["jobs"]).create(ensure_keys_exist=True)
    with redis.Redis(port=daemon.port) as r:
        command = [sys.executable, CONSUMER, str(daemon.port)]
        victim = subprocess.Popen([*command, "victim"])
        ids = add(database, JOBS)
        wait_until(lambda: r.llen("done") >= 20, "some jobs are done")
        victim.kill()
        victim.wait()
        daemon.kill()
        daemon.start()
        with (
            service("heir", [*command, "victim"], daemon.directory, end=signal.SIGKILL),
            service("another", [*command, "another"], daemon.directory, end=signal.SIGKILL),
        ):
            ids |= add(database, JOBS)
            wait_until(lambda: r.llen("done") >= 2 * JOBS and not r.xpending("jobs", "workers")["pending"], "all")
        done = Counter(r.lrange("done", 0, -1))
        assert done.keys() == ids
        assert sum(done.values()) <= len(ids) + 1  # the entry that was done and not acknowledged
        groups = r.xinfo_groups("jobs")
        assert [(group["pending"], group["lag"]) for group in groups] == [(0, 0)]


def test_simple_queues(daemon: Daemon) -> None:
    with redis.Redis(port=daemon.port) as r:
        queue = RedisSimpleQueue(redis=r, key="queue")
        items: list[Any] = [{"a": [1, None]}, "text", 2]
        for item in items:
            queue.put(item)
        daemon.kill()
        daemon.start()
        assert queue.qsize() == 3
        assert [queue.get() for _ in items] == items
        assert queue.empty()
