"""ioredis and node-redis, the two clients of Node.js, from npm, with default options: only with KEYP_LONG=1.

And what stands on ioredis and sends scripts: queues (Bull, bee-queue), locks and limits.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import StartServer
from tests.integration.daemon import LONG
from tests.integration.programs import play

PACKAGES = ("ioredis", "redis", "bull", "bee-queue", "redlock@4", "rate-limiter-flexible")
HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(not LONG, reason="fetches packages from npm: only with KEYP_LONG=1")


def program(name: str) -> str:
    path = shutil.which(name)
    assert path, f"{name} is missing: install Node.js (apt-get install nodejs npm)"
    return path


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where Node.js finds both clients and the scenarios."""
    folder = tmp_path_factory.mktemp("node")
    command = [program("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for scenario in HERE.glob("node_*.js"):
        shutil.copy(scenario, folder)
    return folder


@pytest.mark.parametrize("scenario", ["node_scenario.js", "node_collections_scenario.js", "node_scripts_scenario.js"])
def test_node_clients(server: StartServer, packages: Path, scenario: str) -> None:
    daemon = server()
    play(daemon, [program("node"), str(packages / scenario), str(daemon.port)])
