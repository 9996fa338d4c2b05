"""How the last run in a data directory ended, and the notes that tell the next one.

    keyp.lock    `running MODE BOOT` while a store is open, `closed CRC INODE TIME` when it was closed in order
    keyp.crash   there while a server runs; if a fatal signal ends it, Python's `faulthandler` writes here which

A process that is killed leaves a store that can be trusted, and so does a power cut with `--fsync always`. Where the
notes say otherwise there is reason to verify the store before it is opened.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
from contextlib import suppress
from typing import Final
from zlib import crc32

LOCK_FILE: Final = "keyp.lock"
CRASH_FILE: Final = "keyp.crash"

CRASH_BYTES: Final = 4096  # kept for the note, so that it can be written on a full disk


def doubt(lock_fd: int, data_file: str, safe_mode: str) -> str:
    """Why a store should be verified; empty where its last run gave no reason.

    `lock_fd` is the open `keyp.lock`; a machine that goes down does no harm where the mode of syncing is `safe_mode`.
    """
    crash = _read_crash(os.path.join(os.path.dirname(data_file), CRASH_FILE))
    if crash:
        return f"its last run ended with {crash!r}"
    words = os.pread(lock_fd, 200, 0).decode(errors="replace").split()
    if words[:1] == ["running"] and words[1:2] != [safe_mode] and words[2:] != [_boot()]:
        return "the machine went down while it was open and not synced"
    with suppress(OSError):
        closed = _closed(data_file).split()
        if words[:1] == ["closed"] and words[2:] == closed[2:] and words != closed:
            return "its head has changed since it was closed"
    return ""


def note_running(lock_fd: int, mode: str) -> None:
    """Notes that a store is open and how it is synced; the note is on the disk before anything else is."""
    _write(lock_fd, f"running {mode} {_boot()}\n")
    with suppress(OSError):
        os.fdatasync(lock_fd)


def note_closed(lock_fd: int, data_file: str) -> None:
    """Notes that a store is closed, and what it looked like then."""
    _write(lock_fd, _closed(data_file) + "\n")


def _write(lock_fd: int, line: str) -> None:
    with suppress(OSError):  # a full disk: there is nothing noted then
        os.ftruncate(lock_fd, 0)
        os.pwrite(lock_fd, line.encode(), 0)


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return "unknown"


def _closed(data_file: str) -> str:
    with open(data_file, "rb") as file:
        about = os.fstat(file.fileno())
        return f"closed {crc32(file.read(2 * mmap.PAGESIZE)):08x} {about.st_ino} {about.st_mtime_ns}"


def _read_crash(path: str) -> str:
    """The first line of what a fatal signal has left, empty where none has."""
    try:
        with open(path, "rb") as file:
            left = file.read(CRASH_BYTES).strip(b"\0")
    except OSError:
        return ""
    return left.partition(b"\n")[0].decode(errors="replace")


class CrashNote:
    """Has a fatal signal of this process noted in `directory`, from now until `remove`. Nothing here raises."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, CRASH_FILE)
        self._fd = -1
        self._was_enabled = faulthandler.is_enabled()
        with suppress(OSError):
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            faulthandler.enable(self._fd)
            os.posix_fallocate(self._fd, 0, CRASH_BYTES)

    def remove(self) -> None:
        """Ends it, and leaves no note behind."""
        if self._fd < 0:
            return
        faulthandler.disable()
        if self._was_enabled:
            with suppress(RuntimeError, ValueError, AttributeError):  # there may be no standard error any more
                faulthandler.enable()
        os.close(self._fd)
        self._fd = -1
        with suppress(OSError):
            os.unlink(self._path)
