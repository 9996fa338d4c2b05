"""The tools on damaged stores, and a restore that is killed: an answer each time, and always one whole store.

What `keyp check` finds nothing wrong with, a server must be able to read to the last key.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

from keyp.storage.lmdb.store import DATA_FILE
from keyp.tools.check import examine
from tests.crash.damage import DIED, ERROR, MISSING, REFUSED, RIGHT, Flip, copy_store, in_a_process, names
from tests.integration.daemon import LONG, ROOT

FLIPS = 1500 if LONG else 8
KILLS = 60 if LONG else 3
LATEST_KILL_S = 1.5


def keyp(*arguments: str | Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "keyp", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def check_in_a_process(path: Path) -> int:
    """What `keyp check` exits with; in a child of this process, for that is quicker than a new one."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            for number in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            from keyp.tools.command_line import run

            status = run(["check", str(path)])
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status), f"the check died of signal {os.WTERMSIG(status)}"
    return os.WEXITSTATUS(status)


def test_what_the_check_finds_nothing_wrong_with_can_be_read(template: Path, tmp_path: Path, seed: str) -> None:
    data = (template / DATA_FILE).read_bytes()
    random = Random(f"{seed}/tools")
    path = tmp_path / "data"
    counts: Counter[str] = Counter()
    for number in range(FLIPS):
        shutil.rmtree(path, ignore_errors=True)
        flip = Flip(data, random)
        flip.apply(copy_store(template, path, closed=number % 2 == 0))
        status = check_in_a_process(path)
        assert status in (0, 1, 2), flip
        outcome = in_a_process(path)
        sound = not any(outcome.get(what) for what in (REFUSED, DIED, ERROR, MISSING))
        counts[f"check says {status}, the server {'reads all' if sound else 'does not'}"] += 1
        if status == 0:
            assert sound, (flip, outcome)
    print(f"\n{FLIPS} changed bytes and the check: {dict(counts)}")


def test_a_restore_that_is_killed_leaves_one_store_or_the_other(template: Path, tmp_path: Path, seed: str) -> None:
    random = Random(f"{seed}/restore")
    path, backup = tmp_path / "data", tmp_path / "backup"
    assert keyp("backup", backup, "-d", template).wait() == 0
    counts: Counter[str] = Counter()
    for _ in range(KILLS):
        shutil.rmtree(path, ignore_errors=True)
        inode = copy_store(template, path, closed=True).stat().st_ino
        process = keyp("restore", backup, "-d", path, "--force")
        time.sleep(random.uniform(0, LATEST_KILL_S))
        process.kill()
        process.communicate()
        counts["old" if (path / DATA_FILE).stat().st_ino == inode else "new"] += 1
        assert examine(str(path)).problems == []
        assert in_a_process(path)[RIGHT] == len(names())
    print(f"\n{KILLS} restores killed: {dict(counts)}")
