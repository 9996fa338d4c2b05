"""A real server as a process of its own, beside which the programs run as well."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import redis

from tests.differential.servers import reference_program
from tests.integration.daemon import DEADLINE_S, free_port, wait_until


class RealServer:
    """A real server on 127.0.0.1 with `options`, its data in `directory`; skips the test where there is none."""

    def __init__(self, directory: Path, *options: str) -> None:
        program = reference_program()
        if program is None:
            pytest.skip("there is no real server")
        self.directory = directory
        self.port = free_port()
        self._command = [program, "--port", str(self.port), "--save", "", "--dir", str(directory), *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process's number; it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it; returns when it answers."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        wait_until(self._answers, "the real server answers")

    def _answers(self) -> bool:
        with redis.Redis(port=self.port) as r:
            try:
                return bool(r.ping())
            except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
                return False

    def kill(self) -> None:
        """Ends the process with no chance to do anything more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE_S)
