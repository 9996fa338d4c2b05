"""Signals that do not end the server: SIGHUP reopens the log and has certificates read again, others are ignored.

A log rotation moves the file away and sends SIGHUP; what is written then goes to a new file under the old name. That
file is the one that twistd was given (`--logfile`), or the one that a shell has put behind the program's output. SIGINT
and SIGTERM are handled by the reactor, and SIGUSR1 by twistd where it rotates the log by it.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable
from typing import Any, Final

from twisted.logger import Logger

from keyp.net.log_level import bare_observers

log = Logger(__name__)

OUTPUTS: Final = (1, 2)  # the descriptors of the program's output and of its errors


class LogFiles:
    """The files that the log goes to, as they are named when this is made."""

    def __init__(self) -> None:
        self._outputs = {fd: path for fd in OUTPUTS if (path := _file_behind(fd))}

    def reopen(self) -> None:
        """Reopens the files under their names, made where they are missing."""
        log.info("SIGHUP: the log is opened anew")
        for fd, path in self._outputs.items():
            _try(path, lambda fd=fd, path=path: _exchange(fd, path))
        for observer in bare_observers():
            file: Any = getattr(observer, "_outFile", None)
            if hasattr(file, "reopen") and hasattr(file, "path"):
                _try(file.path, lambda file=file: _reopen(file))
        log.info("SIGHUP: the log was opened anew")


def follow(reactor: Any, hung_up: Callable[[], None]) -> None:
    """Handles the signals from now on, except those that have a handler already; SIGHUP calls `hung_up` as well.

    Only the main thread of a process may set handlers; on another one nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    files = LogFiles()

    def hang_up() -> None:
        files.reopen()
        hung_up()

    if signal.getsignal(signal.SIGHUP) in (signal.SIG_DFL, signal.SIG_IGN):
        signal.signal(signal.SIGHUP, lambda number, frame: reactor.callFromThread(hang_up))
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.SIG_IGN)


def _file_behind(fd: int) -> str:
    """The path of the regular file that a descriptor writes to; empty where it is none, or unknown."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}") if stat.S_ISREG(os.fstat(fd).st_mode) else ""
    except OSError:
        return ""


def _exchange(fd: int, path: str) -> None:
    mode = stat.S_IMODE(os.fstat(fd).st_mode)
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
    os.dup2(opened, fd)
    os.close(opened)


def _reopen(file: Any) -> None:
    """Twisted closes the old file first, so what cannot be opened must be known before."""
    os.close(os.open(file.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))
    file.reopen()


def _try(path: str, function: Any) -> None:
    try:
        function()
    except OSError as error:
        log.error("the log stays where it was, {path} cannot be opened: {reason}", path=path, reason=error.strerror)
