"""txredisapi, Twisted's own client, in a process and a reactor of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.integration.daemon import Daemon

SCENARIO = Path(__file__).with_name("txredisapi_scenario.py")


def test_txredisapi(daemon: Daemon) -> None:
    done = subprocess.run(
        [sys.executable, str(SCENARIO), str(daemon.port), str(daemon.directory / "socket")],
        cwd=daemon.directory,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "done\n"
