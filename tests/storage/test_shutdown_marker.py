"""What the last run left behind: an end in order, a kill, a power cut, a fatal signal."""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyp.storage.lmdb import shutdown_marker
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.store import DATA_FILE


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    Environment(str(tmp_path)).close()
    (tmp_path / shutdown_marker.LOCK_FILE).write_bytes(b"")
    fd = os.open(tmp_path / shutdown_marker.LOCK_FILE, os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def reason_to_verify(path: Path) -> str:
    return shutdown_marker.reason_to_verify(str(path / DATA_FILE))


def test_the_first_run_has_no_past(lock: int, tmp_path: Path) -> None:
    assert reason_to_verify(tmp_path) == ""


def test_a_kill_does_no_harm(lock: int, tmp_path: Path) -> None:
    shutdown_marker.mark_running(lock)
    assert reason_to_verify(tmp_path) == ""


def boot_anew(lock: int) -> None:
    """Makes the note that of a process which ran before this machine was started."""
    *words, this_boot = os.pread(lock, 200, 0).split()
    assert this_boot
    os.ftruncate(lock, 0)
    os.pwrite(lock, b" ".join([*words, b"another"]) + b"\n", 0)


def test_a_power_cut_does_no_harm(lock: int, tmp_path: Path) -> None:
    """The journal knows where the store was whole, in every mode of syncing."""
    shutdown_marker.mark_running(lock)
    boot_anew(lock)
    assert reason_to_verify(tmp_path) == ""
    shutdown_marker.mark_closed(lock, str(tmp_path / DATA_FILE))
    assert reason_to_verify(tmp_path) == ""


@pytest.mark.parametrize("mode", ["always", "everysec", "no"])
def test_a_power_cut_without_a_journal_was_harmless_only_where_every_commit_was_synced(
    lock: int, tmp_path: Path, mode: str
) -> None:
    """A store of format 1, of which the note says how it was synced."""
    os.pwrite(lock, f"running {mode} the-boot-before\n".encode(), 0)
    assert bool(reason_to_verify(tmp_path)) == (mode != "always")


def test_a_head_that_has_changed_since_the_end(lock: int, tmp_path: Path) -> None:
    data_file = tmp_path / DATA_FILE
    shutdown_marker.mark_closed(lock, str(data_file))
    about = data_file.stat()
    with data_file.open("r+b") as file:
        file.seek(4096 + 128)  # the last page, as the second head has it
        file.write(b"x")
    assert (
        reason_to_verify(tmp_path) == ""
    )  # another process has written it since, and may have put another store there
    os.utime(data_file, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert reason_to_verify(tmp_path) == "its head has changed since it was closed"


def test_a_fatal_signal_is_noted(lock: int, tmp_path: Path) -> None:
    was_enabled = faulthandler.is_enabled()
    note = shutdown_marker.CrashMarker(str(tmp_path))
    assert reason_to_verify(tmp_path) == ""
    with (tmp_path / shutdown_marker.CRASH_FILE).open("r+b") as file:
        file.write(b"Fatal Python error: Bus error\n\nCurrent thread\n")
    assert reason_to_verify(tmp_path) == "its last run ended with 'Fatal Python error: Bus error'"
    note.remove()
    note.remove()
    assert reason_to_verify(tmp_path) == ""
    assert faulthandler.is_enabled() == was_enabled
    assert not (tmp_path / shutdown_marker.CRASH_FILE).exists()
