"""The file that the setting `pidfile` names: the process's number, while it serves.

As in Redis it is for those who look for the server, and keeps nobody from starting: what it had before is replaced,
also the number of a process that lives. Numbers are given again, in a container the server has the same one each time.
Two servers on one store are kept apart by the store's lock.
"""

from __future__ import annotations

import os

from twisted.logger import Logger

log = Logger(__name__)


class PidFile:
    """The file at `path`, which is below the directory that is current now. Without a path there is none."""

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path) if path else ""

    def write(self) -> None:
        """Writes the number of this process. Where that fails the log says so, and the server goes on."""
        if not self._path:
            return
        try:
            with open(self._path, "w", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
        except OSError as error:
            log.warn("Failed to write PID file: {reason} ({path})", reason=error.strerror, path=self._path)

    def remove(self) -> None:
        """Removes the file, unless it is another process's by now."""
        if not self._path:
            return
        try:
            with open(self._path, "rb") as file:
                if file.read(32).strip() != b"%d" % os.getpid():
                    return
            os.unlink(self._path)
        except FileNotFoundError:
            return
        except OSError as error:
            log.warn("{path} stays: {reason}", path=self._path, reason=error.strerror)
