"""Celery with its messages and results in Keyp: a worker in a process of its own, and a restart of Keyp in the middle.

Waiting for a result is publish/subscribe: the worker sets the result and publishes it, in a transaction. Its transport
takes a lock when it starts, which it gives back by EVALSHA.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.conftest import StartServer
from tests.integration.daemon import Daemon, wait_until
from tests.integration.programs import service

APP = Path(__file__).with_name("celery_app.py")


@pytest.fixture
def daemon(server: StartServer) -> Daemon:
    return server()


@pytest.fixture
def app(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application, as a program that asks for tasks imports it; its worker runs."""
    shutil.copy(APP, daemon.directory)
    monkeypatch.setenv("KEYP_PORT", str(daemon.port))
    monkeypatch.syspath_prepend(str(daemon.directory))
    monkeypatch.chdir(daemon.directory)
    module = importlib.import_module("celery_app")
    command = [sys.executable, "-m", "celery", "--app", "celery_app", "worker", "--concurrency=2", "--loglevel=INFO"]
    with service("worker", command, daemon.directory):
        yield module
    module.app.close()
    del sys.modules["celery_app"]


def test_results(daemon: Daemon, app: Any) -> None:
    from celery import chain, chord, group

    assert app.add.delay(2, 3).get(timeout=20) == 5
    assert group(app.add.s(number, number) for number in range(20))().get(timeout=20) == list(range(0, 40, 2))
    last = chain(app.add.s(1, 2), app.add.s(10), app.add.s(100))()
    assert (last.get(timeout=20), last.parent.get(timeout=20)) == (113, 13)
    assert chord(app.add.s(number, number) for number in range(5))(app.total.s()).get(timeout=20) == 20
    assert app.fails_twice.delay().get(timeout=20) == 2
    with pytest.raises(ValueError, match="never mind"):
        app.fails.delay().get(timeout=20)
    states: list[str] = []
    reported = app.reports.delay("a long text")
    assert reported.get(timeout=20, on_message=lambda message: states.append(message["status"])) == "a long text"
    assert states[-1] == "SUCCESS"
    unread = app.add.delay(20, 22)
    wait_until(unread.ready, "the result is there")

    daemon.stop()
    daemon.start()
    with redis.Redis(port=daemon.port, db=1) as r:
        assert 900 < r.ttl(f"celery-task-meta-{unread.id}") <= 1000
    again = app.app.AsyncResult(unread.id)
    assert (again.get(timeout=20), again.state, again.name, again.args) == (42, "SUCCESS", "celery_app.add", [20, 22])
    assert app.add.delay(4, 5).get(timeout=20) == 9
    again.forget()
    assert app.app.AsyncResult(unread.id).state == "PENDING"
