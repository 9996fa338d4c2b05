"""A power cut while LMDB writes a meta page may leave anything there. The tools recover it as a start does."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from random import Random

import pytest

from keyp.storage.lmdb.store import DATA_FILE
from keyp.storage.types import strings
from keyp.tools.backup import backup
from tests.storage.conftest import Store

PAGE_BYTES = 4096
META_PAGES = 2


@pytest.mark.parametrize("page", range(META_PAGES))
@pytest.mark.parametrize("commits", [0, 1, 2])
@pytest.mark.parametrize("left", [Random(1).randbytes(512), bytes(512)], ids=["garbage", "zeros"])
def test_a_backup_is_made_whatever_is_in_a_meta_page(
    store: Store, tmp_path: Path, page: int, commits: int, left: bytes
) -> None:
    for number in range(commits):
        store.write(partial(strings.put, key=b"%d" % number, data=b"v"))
    store.environment.journal.checkpoint()
    killed = Path(shutil.copytree(store.path, tmp_path / "killed"))
    with (killed / DATA_FILE).open("r+b") as file:
        file.seek(page * PAGE_BYTES)
        file.write(left)
    assert backup(str(killed), str(tmp_path / "backup"), force=False).keys == commits
