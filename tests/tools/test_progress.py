"""Progress bars: only on a terminal, and a hint where the library for them is missing."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from keyp.storage.check import PROGRESS_ENTRIES, check
from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb.reader import StoreReader
from keyp.storage.types import strings
from keyp.tools import progress
from keyp.tools.progress import WITHOUT_TQDM, Progress, file_growth
from tests.tools.conftest import write


class Terminal(io.StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def look_at_it(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Makes standard error a terminal."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_warned", [])
    return terminal


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    terminal = look_at_it(monkeypatch)
    with Progress("Checking", 10, " entries") as bar:
        bar.advance(4)
    assert "Checking" in terminal.getvalue()


def test_no_bar_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    with Progress("Checking", 10, " entries") as bar:
        bar.advance(4)
    assert file.getvalue() == ""


def test_without_the_library_it_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = look_at_it(monkeypatch)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    for _ in range(2):
        with Progress("Checking", 10, " entries") as bar:
            bar.advance(4)
    assert terminal.getvalue() == f"{WITHOUT_TQDM}\n"


def test_a_file_is_watched_until_the_work_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    look_at_it(monkeypatch)
    with pytest.raises(ZeroDivisionError), file_growth("Copying", str(tmp_path / "file"), 100):
        raise ZeroDivisionError


def test_a_check_tells_how_far_it_is(tmp_path: Path) -> None:
    def fill(keys: WritableKeyspace) -> None:
        for number in range(3 * PROGRESS_ENTRIES):
            strings.put(keys, b"%d" % number, b"v", 4_000_000_000_000 if number < PROGRESS_ENTRIES else 0)

    write(tmp_path, fill)
    seen: list[int] = []
    with StoreReader(str(tmp_path)) as store:
        assert check(store.snapshot, seen.append) == []
    assert sum(seen) == 4 * PROGRESS_ENTRIES
