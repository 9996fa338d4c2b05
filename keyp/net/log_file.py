"""The file that the setting `logfile` names: lines are put behind what it has, and nothing ever removes any.

Twisted's own log file moves itself away when it has grown to a megabyte, also where it is `/dev/null`.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import textFileLogObserver


class AppendedFile:
    """The file at `path`, made where it is missing. Raises OSError where it cannot be opened."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = self._open()

    def _open(self) -> Any:
        return open(self.path, "a", encoding="utf-8", errors="surrogateescape")

    def write(self, text: str) -> None:
        """Adds to the file."""
        self._file.write(text)

    def flush(self) -> None:
        """Called by Twisted after each event."""
        self._file.flush()

    def reopen(self) -> None:
        """Goes on in the file that the path names now (SIGHUP)."""
        file = self._open()
        self._file.close()
        self._file = file


def observer_to(path: str) -> Any:
    """What Twisted is to call with each event of the log. Raises OSError."""
    file: Any = AppendedFile(path)
    return textFileLogObserver(file)
