"""RQ: jobs, whose results are entries of streams, workers in processes of their own, and a server that is killed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Queue, Repeat, Retry
from rq.results import Result

from tests.integration.conftest import StartServer
from tests.integration.daemon import Daemon, wait_until
from tests.integration.programs import finish, service

APP = Path(__file__).with_name("rq_app.py")
WORKER = str(Path(sys.executable).with_name("rq"))


@pytest.fixture
def daemon(server: StartServer) -> Daemon:
    daemon = server()
    shutil.copy(APP, daemon.directory)
    return daemon


@pytest.fixture
def connection(daemon: Daemon) -> Iterator[Any]:
    with redis.Redis(port=daemon.port) as connection:
        yield connection


def worker(port: int, *options: str) -> list[str]:
    return [sys.executable, WORKER, "worker", "--url", f"redis://127.0.0.1:{port}", "--path", ".", *options]


def work(daemon: Daemon, *options: str) -> None:
    """A worker that ends when there is nothing left to do."""
    finish(worker(daemon.port, "--burst", *options), daemon.directory, {"KEYP_PORT": str(daemon.port)})


def test_jobs(daemon: Daemon, connection: Any) -> None:
    queue = Queue(connection=connection)
    jobs = [queue.enqueue("rq_app.double", number) for number in range(6)]
    failing = queue.enqueue("rq_app.fail")
    work(daemon, "--max-jobs", "3")
    daemon.kill()
    daemon.start()
    work(daemon, "--worker-class", "rq.worker.SimpleWorker")
    assert sorted(map(int, connection.lrange("ran", 0, -1))) == list(range(6))
    assert [job.return_value(refresh=True) for job in jobs] == [0, 2, 4, 6, 8, 10]
    for job in jobs:
        result = job.latest_result()
        assert result is not None
        assert (result.type, result.return_value) == (Result.Type.SUCCESSFUL, job.args[0] * 2)
        assert connection.type(f"rq:results:{job.id}") == b"stream"
    result = failing.latest_result()
    assert result is not None
    assert result.type == Result.Type.FAILED
    assert result.exc_string is not None
    assert "never mind" in result.exc_string


def test_a_result_is_waited_for(daemon: Daemon, connection: Any) -> None:
    """`latest_result` with a timeout is an XREAD that blocks."""
    queue = Queue(connection=connection, is_async=True)
    job = queue.enqueue("rq_app.double", 21)
    assert job.latest_result(timeout=1) is None
    work(daemon)
    result = job.latest_result(timeout=20)
    assert result is not None
    assert result.return_value == 42


def test_scheduler(port: int, tmp_path: Path) -> None:
    """It holds a lock for each queue, which a script takes and refreshes; so may only one of two workers schedule."""
    shutil.copy(APP, tmp_path)
    environment = {"KEYP_PORT": str(port)}
    command = worker(port, "--with-scheduler")
    with redis.Redis(port=port) as connection:
        queue = Queue(connection=connection)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        late = queue.enqueue_at(tomorrow, "rq_app.double", 100)
        soon = [queue.enqueue_in(timedelta(milliseconds=200), "rq_app.double", number) for number in range(3)]
        repeated = queue.enqueue("rq_app.double", 50, repeat=Repeat(times=2, interval=1))
        tried = queue.enqueue("rq_app.fail_twice", retry=Retry(max=2, interval=1))
        with service("one", command, tmp_path, environment), service("other", command, tmp_path, environment):
            wait_until(lambda: len(repeated.results()) == 3, "the last repetition")
            wait_until(lambda: all(job.is_finished for job in soon), "all that is due has run")
            wait_until(lambda: tried.is_finished, "the third try")
            assert connection.get("tries") == b"3"
            lock = connection.get("rq:scheduler-lock:default")
            assert lock
        ran = sorted(map(int, connection.lrange("ran", 0, -1)))
        assert ran == [0, 1, 2, 50, 50, 50]
        assert [job.return_value(refresh=True) for job in [*soon, repeated]] == [0, 2, 4, 100]
        assert queue.scheduled_job_registry.get_job_ids() == [late.id]
        wait_until(lambda: not connection.exists("rq:scheduler-lock:default"), "the lock is given back")
