"""A real daemon in a process of its own: started, stopped, killed and started again on the same port and data.

What a test may rely on: `start` returns when the server answers; `stop` has asked it to stop in order and seen it
exit with status 0. When a test is over, the log must hold no traceback and the store must pass its check.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from keyp.storage.check import check
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.transaction import ReadTransaction

ROOT = Path(__file__).resolve().parents[2]
LONG = os.environ.get("KEYP_LONG") == "1"
COMPILED = os.environ.get("KEYP_COMPILED") == "1"  # whether this run is the one on compiled modules
DEADLINE_S = 30.0
SMALL_JOURNAL = "1mb"  # which each new store writes once

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, seconds: float = DEADLINE_S) -> T:
    """Asks again and again until `condition` gives something true, which is returned; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        time.sleep(0.01)


class Ports:
    """TCP ports for servers, below those that the kernel gives to outgoing connections.

    A port that has been given belongs to this process for as long as it lives, also while no server listens on it:
    one is started again on the same port, or not started yet. Tests that run at the same time, in this checkout or in
    another, agree by locks on the bytes of a file, the byte at a port's number for that port.
    """

    RANGE = range(20000, 32000)

    def __init__(self) -> None:
        path = Path(tempfile.gettempdir()) / f"keyp-test-ports-{os.getuid()}"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._given: set[int] = set()

    def give(self) -> int:
        """A port that nobody listens on and nobody else has been given."""
        while True:
            port = random.SystemRandom().choice(self.RANGE)
            if port not in self._given and self._lock(port):
                self._given.add(port)
                if _is_free(port):
                    return port

    def _lock(self, port: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


PORTS = Ports()


def free_port() -> int:
    """A TCP port nobody listens on, for this process alone."""
    return PORTS.give()


def program(name: str) -> str:
    """The path of a program that the tests cannot do without; fails with what to install."""
    path = shutil.which(name)
    assert path, f"{name} is missing: install Debian's package redis-tools (apt-get install redis-tools)"
    return path


class Daemon:
    """One server: `python -m keyp` on 127.0.0.1 with `options` added, its data in `directory`/data."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.log_path = directory / "log"
        self.port = free_port()
        self.options = options
        self.environment: dict[str, str] = {}
        self.program: list[str] = ["-m", "keyp"]  # what Python is to run
        self.launcher: list[str] = []  # a program, with its arguments, that turns into the server's process
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """All that the server has printed since it was first started."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def memory(self) -> int:
        """Bytes that belong to the process alone."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon:"))

    def start(self) -> None:
        """Starts the server; returns when it answers."""
        assert not self.running
        command = [*self.launcher, sys.executable, *self.program, "--host=127.0.0.1", f"--port={self.port}"]
        command.append("--enable-debug-command=local")  # tests hold up clients by DEBUG SLEEP
        command += [f"--data-dir={self.data_dir}", f"--journal-size={SMALL_JOURNAL}", *self.options]
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.directory,
                env={**os.environ, "PYTHONPATH": path, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(self._answers, "the server's first answer")
        except BaseException:
            self.kill()
            raise

    def start_in_vain(self) -> str:
        """Starts a server that cannot serve and must exit with status 1; what it has printed."""
        printed = len(self.log())
        try:
            self.start()
        except AssertionError:
            assert self._process is not None
            assert self._process.returncode == 1, (self._process.returncode, self.log()[printed:])
            return self.log()[printed:]
        raise AssertionError("the server has started")

    def _answers(self) -> bool:
        assert self.running, f"the server has exited:\n{self.log()}"
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(100) in (b"+PONG\r\n", b"-NOAUTH Authentication required.\r\n")
        except OSError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Sends the server a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """Stops the server in order."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self.wait_for_exit()

    def wait_for_exit(self) -> None:
        """Waits until the server, which is stopping, is gone; it must have gone without an error."""
        assert self._process is not None
        status = self._process.wait(DEADLINE_S)
        assert status == 0, f"exit status {status}:\n{self.log()}"

    def wait_for_death(self) -> int:
        """Waits until the server has died of a signal; which one."""
        assert self._process is not None
        status = self._process.wait(DEADLINE_S)
        assert status < 0, f"exit status {status}:\n{self.log()}"
        return -status

    def kill(self) -> None:
        """Ends the process with no chance to do anything more."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(DEADLINE_S)

    def check(self) -> None:
        """What must be true when a test is over: nothing went wrong unseen, and the store is whole."""
        for word in ("Traceback", "Unhandled"):
            assert word not in self.log(), self.log()
        environment = Environment(str(self.data_dir), fsync="no")
        try:
            with ReadTransaction(environment, time.time_ns() // 1_000_000) as transaction:
                assert check(transaction) == []
        finally:
            environment.close()
