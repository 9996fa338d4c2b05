"""Whose a data directory is: modes and links that are refused, and what refusing leaves behind."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from keyp.storage.lmdb.environment import MADE_BESIDE, Environment
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.ownership import make_for
from keyp.storage.lmdb.store import DATA_FILE


def serve(path: Path) -> None:
    """Opens a store as a server does, and closes it."""
    Environment(str(path), note_crashes=True).close()


def refusal(path: Path) -> str:
    before = sorted(path.iterdir())
    with pytest.raises(StoreError) as refused:
        serve(path)
    assert sorted(path.iterdir()) == before
    return str(refused.value)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    serve(store)
    return store


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o702])
def test_others_may_not_write(store: Path, mode: int) -> None:
    store.chmod(mode)
    assert f"others can write to it (mode {mode:04o})" in refusal(store)
    store.chmod(0o755)
    serve(store)


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_an_empty_directory_is_made_private(tmp_path: Path, mode: int) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty").chmod(mode)
    serve(tmp_path / "empty")
    assert stat.S_IMODE((tmp_path / "empty").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", [DATA_FILE, *MADE_BESIDE])
def test_only_files_are_in_the_place_of_files(store: Path, tmp_path: Path, name: str) -> None:
    """A link is refused whether or not there is something at its end, which stays as it is."""
    file, elsewhere = store / name, tmp_path / "elsewhere"
    file.unlink(missing_ok=True)
    for text in ("", "mine"):
        if text:
            elsewhere.write_text(text)
        file.symlink_to(elsewhere)
        assert f"a link is in the place of a file of Keyp's: {file}" in refusal(store)
        file.unlink()
        assert elsewhere.exists() == bool(text)
    assert elsewhere.read_text() == "mine"
    os.mkfifo(file)
    assert "something that is no file is in the place of one of Keyp's" in refusal(store)


def test_files_become_private(store: Path) -> None:
    for file in store.iterdir():
        file.chmod(0o666)
    serve(store)
    assert {stat.S_IMODE(file.stat().st_mode) for file in store.iterdir()} == {0o600}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories away")
def test_a_directory_is_made_for_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "lib" / "keyp"
    mask = os.umask(0o077)
    try:
        make_for(str(path), 1234, 5678)
    finally:
        os.umask(mask)
    assert (path.stat().st_uid, path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) == (1234, 5678, 0o700)
    assert (path.parent.stat().st_uid, stat.S_IMODE(path.parent.stat().st_mode)) == (0, 0o755)
    path.chmod(0o750)
    make_for(str(path), 1, 1)
    assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (1234, 0o750)
