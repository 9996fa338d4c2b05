"""Programs in processes of their own, as their users run them, and a server that is restarted in the middle.

A scenario ends with the line `done` and status 0. It may print `restart` before: then the server is stopped and started
again on its data, and the scenario, which waits for a line on its standard input, goes on. A service goes on until the
test is over; what it prints goes into a file. A worker is killed, with all the processes that it has started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.integration.daemon import DEADLINE_S, ROOT, Daemon

PATH = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))


def play(daemon: Daemon, command: Sequence[str], seconds: float = 60.0) -> None:
    """Runs a scenario to its end, which must come within `seconds`, and restarts the server when it asks for that."""
    errors = daemon.directory / "errors"
    with errors.open("w") as stderr:
        scenario = subprocess.Popen(
            command,
            cwd=daemon.directory,
            env={**os.environ, "PYTHONPATH": PATH},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    limit = threading.Timer(seconds, scenario.kill)
    limit.start()
    printed = []
    try:
        assert scenario.stdin is not None
        assert scenario.stdout is not None
        for line in scenario.stdout:
            printed.append(line)
            if line == "restart\n":
                daemon.stop()
                daemon.start()
                scenario.stdin.write("\n")
                scenario.stdin.flush()
        status = scenario.wait()
    finally:
        limit.cancel()
        scenario.kill()
        scenario.communicate()
    assert status == 0, "".join(printed) + errors.read_text()
    assert printed[-1:] == ["done\n"], printed


def finish(
    command: Sequence[str], directory: Path, environment: dict[str, str] | None = None, seconds: float = DEADLINE_S
) -> str:
    """Runs a command that ends by itself within `seconds`, with status 0; what it has printed."""
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": PATH, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@contextmanager
def service(
    name: str,
    command: Sequence[str],
    directory: Path,
    environment: dict[str, str] | None = None,
    end: signal.Signals = signal.SIGTERM,
) -> Iterator[Path]:
    """A program that runs as long as the block does, in `directory`; its output is in the file given.

    The signal `end` ends it, which it must obey.
    """
    path = directory / f"{name}.log"
    with path.open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, "PYTHONPATH": PATH, "PYTHONUNBUFFERED": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # in the background it is ignored
        )
    try:
        yield path
        assert process.poll() is None, f"{name} has exited:\n{path.read_text()}"
        process.send_signal(end)
        process.wait(DEADLINE_S)
    except BaseException as error:
        error.add_note(f"{name} has printed:\n{path.read_text()}")
        raise
    finally:
        process.kill()
        process.wait()


class Worker:
    """A program that runs in `directory`, with processes of its own; all die together.

    It need not obey a signal. What it prints is in the file `log`.
    """

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        self.log = directory / "worker.log"
        self._command = command
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env={**os.environ, "PYTHONPATH": PATH, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Ends it with no chance to do anything more."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(DEADLINE_S)
            self._process = None

    def __enter__(self) -> Worker:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.kill()
        if error is not None:
            error.add_note(f"the worker has printed:\n{self.log.read_text()[-20_000:]}")
