"""txredisapi, Twisted's own client, in a process and a reactor of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.integration.conftest import StartServer
from tests.integration.daemon import Daemon
from tests.integration.programs import play

SCENARIO = Path(__file__).with_name("txredisapi_scenario.py")
COLLECTIONS = Path(__file__).with_name("txredisapi_collections_scenario.py")


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


def test_collections_waits_and_channels(server: StartServer) -> None:
    daemon = server()
    play(daemon, [sys.executable, str(COLLECTIONS), str(daemon.port)])
