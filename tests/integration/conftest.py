"""Real daemons for tests. `server` starts as many as a test wants; `daemon` is one for all the tests of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from tests.integration.daemon import Daemon
from tests.integration.real_server import RealServer

StartServer = Callable[..., Daemon]
Connect = Callable[..., Any]  # redis-py says of each reply all that it could be under any protocol

NEVER_AGAIN = Retry(ConstantBackoff(0), 0)  # redis-py's default tries for seconds


def _end(daemons: list[Daemon]) -> None:
    """Stops all of them before any is judged."""
    running = [daemon for daemon in daemons if daemon.running]
    try:
        for daemon in running:
            daemon.stop()
    finally:
        for daemon in running:
            if daemon.running:
                daemon.kill()
    for daemon in daemons:
        daemon.check()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StartServer]:
    """A function that starts a daemon with the options given, on a free port and new data; ended after the test."""
    daemons: list[Daemon] = []

    def start(*options: str, launcher: Sequence[str] = (), program: Sequence[str] = ()) -> Daemon:
        directory = tmp_path / f"server{len(daemons)}"
        directory.mkdir()
        daemon = Daemon(directory, *options)
        daemon.launcher = list(launcher)
        daemon.program = list(program) or daemon.program
        daemons.append(daemon)
        daemon.start()
        return daemon

    yield start
    _end(daemons)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The module's own daemon, also on the Unix socket `socket` in its directory; tests clean up before they start.

    It does not sync: that its replies wait for the disk is for tests with a `server` to show.
    """
    directory = tmp_path_factory.mktemp("daemon")
    daemon = Daemon(directory, f"--endpoint=unix:{directory / 'socket'}", "--fsync=no")
    daemon.start()
    yield daemon
    _end([daemon])


@pytest.fixture(scope="module")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """The module's own real server; it keeps nothing on the disk."""
    real = RealServer(tmp_path_factory.mktemp("real"))
    try:
        real.start()
        yield real
    finally:
        real.kill()


@pytest.fixture(params=["keyp", "real server"])
def port(request: pytest.FixtureRequest) -> int:
    """The port of the module's server, then that of a real one; both are empty. What a test asserts holds on both."""
    server = request.getfixturevalue("daemon" if request.param == "keyp" else "real_server")
    with redis.Redis(port=server.port) as r:
        r.flushall()
        r.script_flush()
    return int(server.port)


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def connect(daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[Connect]:
    """A function that makes a redis-py client of the module's server, which is empty; closed after the test."""
    clients: list[redis.Redis] = []

    def connect(**options: Any) -> redis.Redis:
        client = redis.Redis(**{"port": daemon.port, "protocol": request.param, **options})
        clients.append(client)
        return client

    connect().flushall()
    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def r(connect: Connect) -> Any:
    """A redis-py client of the module's server with default options."""
    return connect()
