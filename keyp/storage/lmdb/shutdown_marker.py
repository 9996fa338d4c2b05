"""How the last run in a data directory ended, and the markers that say so to the next one.

    keyp.lock    `running journal BOOT` while a store is open,
                 `closed TRANSACTION CRC INODE TIME` when it was closed in order
    keyp.crash   there while a server runs; if a fatal signal ends it, Python's `faulthandler` writes here which

A process that is killed leaves a store that can be trusted, and so does a power cut: the journal knows where it is
whole. Before there was one (format 1) the second word was the mode of syncing, and only `always` was safe. Where the
markers say otherwise the store is verified before it is opened.
"""

from __future__ import annotations

import faulthandler
import os
from contextlib import suppress
from struct import error
from typing import Final

from keyp.storage.lmdb.disk_reserve import allocate
from keyp.storage.lmdb.meta_pages import DataFile, MetaPage

LOCK_FILE: Final = "keyp.lock"
CRASH_FILE: Final = "keyp.crash"

CRASH_BYTES: Final = 4096  # kept for the marker, so that it can be written on a full disk

# What stands for `MODE` where a machine that goes down does no harm.
JOURNAL: Final = "journal"
UNKNOWN_BOOT: Final = "unknown"
SAFE_MODES: Final = (["always"], [JOURNAL])


def reason_to_verify(data_file: str) -> str:
    """Why a store should be verified; empty where its last run gave no reason."""
    crash = _read_crash(os.path.join(os.path.dirname(data_file), CRASH_FILE))
    if crash:
        return f"its last run ended with {crash!r}"
    if not kept_write_order(data_file):
        return "the machine went down while it was open and not synced"
    with suppress(OSError, error), DataFile(data_file) as file:
        return change_since_shutdown(data_file, file.newest)
    return ""


def had_data_file(data_file: str) -> bool:
    """Whether there has been a data file: its name is on the disk before the marker is written."""
    return _marker(data_file)[:1] in (["running"], ["closed"])


def kept_write_order(data_file: str) -> bool:
    """Whether all that was written to the data file is there, as far as is known: commits stand in their order then."""
    words = _marker(data_file)
    return words[:1] != ["running"] or words[1:2] in SAFE_MODES or words[2:] == [_boot()]


def machine_was_down(data_file: str) -> bool:
    """Whether the machine may have been down since the last run, which has not ended in order."""
    words, boot = _marker(data_file), _boot()
    return words[:1] != ["closed"] and (boot == UNKNOWN_BOOT or words[2:] != [boot])


def change_since_shutdown(data_file: str, newest: MetaPage) -> str:
    """How the newest meta page differs from the one that the store was closed with; empty where it does not."""
    words = _marker(data_file)
    if words[:1] != ["closed"] or len(words) != 5:
        return ""
    about = os.stat(data_file)
    same_file = words[3:] == [str(about.st_ino), str(about.st_mtime_ns)]
    if same_file and words[1:3] != [str(newest.transaction), f"{newest.digest:08x}"]:
        return "its head has changed since it was closed"
    return ""


def _marker(data_file: str) -> list[str]:
    """The words in `keyp.lock` beside a data file; none where there is no such file, or none that can be read."""
    with suppress(OSError), open(os.path.join(os.path.dirname(data_file), LOCK_FILE), "rb") as file:
        return file.read(200).decode(errors="replace").split()
    return []


def mark_running(lock_fd: int) -> None:
    """Marks a store as open; the marker is on the disk before anything else is."""
    _write(lock_fd, f"running {JOURNAL} {_boot()}\n")
    with suppress(OSError):
        getattr(os, "fdatasync", os.fsync)(lock_fd)


def mark_closed(lock_fd: int, data_file: str) -> None:
    """Marks a store as closed, with its newest meta page and the state of its file."""
    _write(lock_fd, _closed(data_file) + "\n")


def _write(lock_fd: int, line: str) -> None:
    with suppress(OSError):  # a full disk: there is no marker then
        os.ftruncate(lock_fd, 0)
        os.pwrite(lock_fd, line.encode(), 0)


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return UNKNOWN_BOOT


def _closed(data_file: str) -> str:
    with DataFile(data_file) as file:
        about = os.stat(data_file)
        newest = file.newest
        return f"closed {newest.transaction} {newest.digest:08x} {about.st_ino} {about.st_mtime_ns}"


def _read_crash(path: str) -> str:
    """The first line that a fatal signal has left, empty where none has."""
    try:
        with open(path, "rb") as file:
            left = file.read(CRASH_BYTES).strip(b"\0")
    except OSError:
        return ""
    return left.partition(b"\n")[0].decode(errors="replace")


class CrashMarker:
    """Has a fatal signal of this process recorded in `directory`, from now until `remove`. Nothing here raises."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, CRASH_FILE)
        self._fd = -1
        self._was_enabled = faulthandler.is_enabled()
        with suppress(OSError):
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            faulthandler.enable(self._fd)
            allocate(self._fd, CRASH_BYTES)

    def remove(self) -> None:
        """Ends it and removes the file."""
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
