"""Signals that do not end the server: SIGHUP reopens the log, as log rotation expects, the others do nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, free_port, wait_until
from tests.integration.test_daemon import KEYP, TWISTD, Connection, ask, environment, exists

REOPENED = "the log was opened anew"
STOPPED = "Keyp has stopped"


def holds(path: Path, text: str) -> bool:
    return path.exists() and text in path.read_text()


def rotate(log: Path, pid: int) -> None:
    """Moves the log away as logrotate does, and waits until the server has noticed."""
    moved = log.with_name(log.name + ".1")
    written = log.read_text()
    log.rename(moved)
    os.kill(pid, signal.SIGHUP)
    wait_until(lambda: holds(log, REOPENED), "a new log")
    assert moved.read_text().count(REOPENED) == written.count(REOPENED)


@pytest.mark.parametrize("program", [KEYP, (*TWISTD, "--nodaemon", "--pidfile=", "keyp")], ids=["keyp", "twistd"])
def test_output_that_was_moved_away_goes_on_in_a_new_file(server: StartServer, program: tuple[str, ...]) -> None:
    daemon = server(program=program)
    connection = Connection(daemon.port)
    for _ in range(2):
        rotate(daemon.log_path, daemon.pid)
        assert connection.call("SET k v") == ["+OK"]
        assert daemon.log_path.stat().st_mode == daemon.log_path.with_name("log.1").stat().st_mode
    connection.close()
    ask(daemon.port, "SHUTDOWN")
    daemon.wait_for_exit()
    assert STOPPED in daemon.log()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_no_such_signal_ends_it(server: StartServer, number: signal.Signals) -> None:
    daemon = server(launcher=("env", "--default-signal=HUP,USR1,USR2"))
    connection = Connection(daemon.port)
    for _ in range(20):
        os.kill(daemon.pid, number)
        assert connection.call("PING") == ["+PONG"]
    connection.close()
    daemon.stop()


def test_a_daemon_s_log_file(tmp_path: Path) -> None:
    """SIGUSR1 is twistd's own here: it rotates the log by itself."""
    port, log, pid_file = free_port(), tmp_path / "log", tmp_path / "pid"
    command = [sys.executable, *TWISTD, f"--pidfile={pid_file}", f"--logfile={log}", "keyp", f"--port={port}"]
    subprocess.run(
        [*command, f"--data-dir={tmp_path / 'data'}"], cwd=tmp_path, env=environment(), timeout=DEADLINE_S, check=True
    )
    pid = int(wait_until(lambda: pid_file.exists() and pid_file.read_text(), "the pid file"))
    try:
        rotate(log, pid)
        os.kill(pid, signal.SIGUSR2)
        os.kill(pid, signal.SIGUSR1)
        wait_until(lambda: log.exists() and not holds(log, REOPENED), "twistd's own rotation")
        assert ask(port, "PING") == ["+PONG"]
        rotate(log, pid)
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not exists(pid), "the end of the daemon")
        assert holds(log, STOPPED)
    finally:
        if exists(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_log_that_cannot_be_opened_stays_where_it_was(server: StartServer) -> None:
    daemon = server()
    moved = daemon.log_path.with_name("moved")
    daemon.log_path.rename(moved)
    daemon.log_path.mkdir()
    os.kill(daemon.pid, signal.SIGHUP)
    wait_until(lambda: holds(moved, "cannot be opened"), "the complaint")
    assert ask(daemon.port, "PING") == ["+PONG"]
    daemon.log_path.rmdir()
    moved.rename(daemon.log_path)
    daemon.stop()


@pytest.mark.parametrize("program", [KEYP, (*TWISTD, "--nodaemon", "--pidfile=", "keyp")], ids=["keyp", "twistd"])
def test_nothing_but_warnings_reaches_the_log_where_loglevel_says_so(
    server: StartServer, program: tuple[str, ...]
) -> None:
    daemon = server(program=program)
    connection = Connection(daemon.port)
    before = daemon.log()
    assert connection.call("CONFIG SET loglevel warning") == ["+OK"]
    connection.call("POST / HTTP/1.1")
    wait_until(lambda: len(daemon.log()) > len(before), "the warning")
    connection.close()
    ask(daemon.port, "SHUTDOWN")  # of which Keyp and Twisted log several lines otherwise
    daemon.wait_for_exit()
    (line,) = daemon.log()[len(before) :].splitlines()
    assert "#warn] possible attack" in line
