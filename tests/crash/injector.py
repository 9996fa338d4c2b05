"""System calls of a running process that fail as if a disk had failed: strace puts the error in place of the call."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from tests.crash.daemons import tool
from tests.integration.daemon import DEADLINE_S, wait_until


class Injector:
    """Lets `call` fail with an error in the process `pid`: the calls numbered `when` from now on, in strace's count.

    `when` is "3" for the third call of a thread, "3+" for that and all later ones; with `file` only calls on that file
    are counted and fail. Use it in a `with` statement.
    """

    def __init__(self, pid: int, call: str, when: str, log: Path, error: str = "EIO", file: Path | None = None) -> None:
        self._log = log
        self._log.write_text("")
        self._trace = log.with_suffix(".trace")
        self._trace.write_text("")
        self._command = [tool("strace", "strace"), "-f", "-p", str(pid), *(["-P", str(file)] if file else [])]
        self._command += ["-o", str(self._trace), "-e", f"trace={call}"]
        self._command += ["-e", f"inject={call}:error={error}:when={when}"]

    def __enter__(self) -> Injector:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stderr=log)
        wait_until(self._attached, "strace to attach")
        return self

    def _attached(self) -> bool:
        text = self._log.read_text()
        assert self._process.poll() is None, f"strace does not work here: {text}"
        return "attached" in text

    @property
    def injected(self) -> int:
        """How many calls have failed."""
        return self._trace.read_text().count("(INJECTED)")

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(DEADLINE_S)
