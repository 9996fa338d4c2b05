"""Real daemons for tests. `server` starts as many as a test wants; `daemon` is one for all the tests of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.daemon import Daemon

StartServer = Callable[..., Daemon]


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

    def start(*options: str) -> Daemon:
        directory = tmp_path / f"server{len(daemons)}"
        directory.mkdir()
        daemon = Daemon(directory, *options)
        daemons.append(daemon)
        daemon.start()
        return daemon

    yield start
    _end(daemons)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The module's own daemon, also on the Unix socket `socket` in its directory; tests clean up before they start."""
    directory = tmp_path_factory.mktemp("daemon")
    daemon = Daemon(directory, f"--endpoint=unix:{directory / 'socket'}", "--fsync=no")
    daemon.start()
    yield daemon
    _end([daemon])
