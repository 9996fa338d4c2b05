"""huey: a consumer in a process of its own, queue, results, retries and schedule, and restarts of Keyp in the middle.

huey takes due tasks from its schedule by a script (EVALSHA).
"""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import redis
from huey.exceptions import TaskException

from tests.integration.conftest import StartServer
from tests.integration.daemon import Daemon, wait_until
from tests.integration.programs import service

APP = Path(__file__).with_name("huey_app.py")
CONSUMER = str(Path(sys.executable).with_name("huey_consumer"))

Consume = Callable[[], AbstractContextManager[Path]]


@pytest.fixture(params=["RedisHuey", "PriorityRedisHuey", "PriorityRedisExpireHuey"])
def kind(request: pytest.FixtureRequest) -> str:
    """Queues in lists and in sorted sets; results in a hash, and as keys that expire."""
    return str(request.param)


@pytest.fixture
def daemon(server: StartServer) -> Daemon:
    return server()


@pytest.fixture
def app(daemon: Daemon, kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application, as a program that asks for tasks imports it."""
    shutil.copy(APP, daemon.directory)
    monkeypatch.setenv("KEYP_PORT", str(daemon.port))
    monkeypatch.setenv("HUEY", kind)
    monkeypatch.syspath_prepend(str(daemon.directory))
    yield importlib.import_module("huey_app")
    del sys.modules["huey_app"]


@pytest.fixture
def consume(daemon: Daemon) -> Consume:
    command = [sys.executable, CONSUMER, "huey_app.huey", "--workers=2", "--delay=0.05", "--max-delay=0.2"]
    return lambda: service("consumer", command, daemon.directory)


def test_tasks(daemon: Daemon, app: Any, consume: Consume) -> None:
    early = [app.add(number, 1) for number in range(10)]
    assert app.huey.pending_count() == 10
    daemon.kill()
    daemon.start()
    assert app.huey.pending_count() == 10
    with consume():
        assert [result(blocking=True, timeout=20) for result in early] == list(range(1, 11))
        app.fails_twice("one")  # huey has a result of each try, so the number of tries shows it
        wait_until(lambda: app.tries.get("one") == b"3", "the third try")
        with pytest.raises(TaskException, match="never mind"):
            app.fails()(blocking=True, timeout=20)
        unread = app.add(20, 22)
        wait_until(lambda: app.huey.storage.has_data_for_key(unread.id), "the result is there")

        daemon.stop()
        daemon.start()
        assert unread(blocking=True, timeout=20) == 42
        app.fails_twice("two")
        wait_until(lambda: app.tries.get("two") == b"3", "the third try")
        chain = app.add.s(1, 2).then(app.add, 3)
        assert app.huey.enqueue(chain).get(blocking=True, timeout=20) == [3, 6]
    assert app.huey.pending_count() == 0


@pytest.mark.parametrize("kind", ["PriorityRedisHuey"], indirect=True)
def test_priorities(daemon: Daemon, app: Any, consume: Consume) -> None:
    for what, priority in (("low", -1), ("middle", 0), ("high", 10), ("also high", 10)):
        app.note(what, priority=priority)
    daemon.stop()
    daemon.start()
    command = [sys.executable, CONSUMER, "huey_app.huey", "--workers=1"]
    with service("consumer", command, daemon.directory), redis.Redis(port=daemon.port, db=1) as r:
        wait_until(lambda: r.llen("notes") == 4, "all tasks are done")
        assert r.lrange("notes", 0, -1) == [b"high", b"also high", b"middle", b"low"]


def test_delayed_tasks(daemon: Daemon, app: Any, consume: Consume) -> None:
    soon, late = app.add.schedule((1, 2), delay=3), app.add.schedule((3, 4), delay=1000)
    with consume():
        # Huey takes a task out of its queue first, and has it only in the worker until it is in the schedule.
        wait_until(
            lambda: {task.id for task in app.huey.scheduled()} == {soon.id, late.id},
            "a worker has put both into the schedule",
        )
        daemon.stop()
        daemon.start()
        assert soon(blocking=True, timeout=20) == 3
    assert [task.id for task in app.huey.scheduled()] == [late.id]
