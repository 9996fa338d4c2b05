"""Twisted's own launchers: which reactor runs where none was named, and where one was."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import redis

from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, Daemon, free_port, wait_until
from tests.integration.test_daemon import run

RUN = "from twisted.scripts.twistd import run; run()"
FOREGROUND = ("--nodaemon", "--pidfile=")
TWISTD = ("-c", RUN, *FOREGROUND, "keyp")


def reactor_of(daemon: Daemon) -> str:
    """Which reactor the server runs on; it is stopped as a client can, for twistd would pass a signal on to itself."""
    with redis.Redis(port=daemon.port) as client:
        reactor: str = client.info("keyp")["reactor"]
        client.shutdown(nosave=True)
    daemon.wait_for_exit()
    return reactor


@pytest.mark.parametrize(
    ("program", "reactor"),
    [
        (TWISTD, "KeypEPollReactor"),
        (("-c", RUN, *FOREGROUND, "--reactor=poll", "keyp"), "PollReactor"),
        (("-c", RUN, *FOREGROUND, "--reactor=epoll", "keyp"), "EPollReactor"),
        (("-m", "twisted", "keyp"), "KeypEPollReactor"),
        (("-m", "twisted", "--reactor=default", "keyp"), "EPollReactor"),
        (("-m", "keyp"), "KeypEPollReactor"),
    ],
    ids=["twistd", "twistd poll", "twistd epoll", "twist", "twist default", "keyp"],
)
def test_the_lean_reactor_runs_unless_another_is_named(
    server: StartServer, program: Sequence[str], reactor: str
) -> None:
    assert reactor_of(server(program=program)) == reactor


def test_without_epoll_twisted_chooses(server: StartServer) -> None:
    lacking = f"import select; del select.epoll, select.EPOLLIN; {RUN}"
    assert reactor_of(server(program=("-c", lacking, *FOREGROUND, "keyp"))) == "PollReactor"


def test_the_lean_reactor_survives_becoming_a_daemon(tmp_path: Path) -> None:
    port = free_port()
    own = ("--pidfile=keyp.pid", "--logfile=keyp.log")
    started = run(tmp_path, "-c", RUN, *own, "keyp", "--host=127.0.0.1", f"--port={port}")
    assert started.returncode == 0, started.stdout + started.stderr
    pid = int((tmp_path / "keyp.pid").read_text())
    try:
        with redis.Redis(port=port, socket_timeout=DEADLINE_S) as client:
            assert client.info("keyp")["reactor"] == "KeypEPollReactor"
            assert client.set("a", "1")
            assert client.blpop("nothing", 0.01) is None
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not (tmp_path / "keyp.pid").exists(), "the daemon's end")
    assert "Traceback" not in (tmp_path / "keyp.log").read_text()
