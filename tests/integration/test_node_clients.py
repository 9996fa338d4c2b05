"""ioredis and node-redis, the two clients of Node.js, from npm, with default options: only with KEYP_LONG=1.

And what stands on them and sends scripts or reads streams: queues (Bull, BullMQ, bee-queue), locks, limits, and
socket.io's adapter. Each scenario runs on Keyp and on a real server, but for those of the clients alone, which restart
the server.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.conftest import StartServer
from tests.integration.daemon import LONG
from tests.integration.node import fetch, program
from tests.integration.programs import finish, play

PACKAGES = (
    *("ioredis", "redis"),
    *("bull", "bullmq", "bee-queue"),
    *("redlock@4", "rate-limiter-flexible", "rate-limit-redis", "express-rate-limit", "express"),
    *("socket.io", "socket.io-client", "@socket.io/redis-streams-adapter"),
)
HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(not LONG, reason="fetches packages from npm: only with KEYP_LONG=1")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where Node.js finds both clients and the scenarios."""
    folder = tmp_path_factory.mktemp("node")
    fetch(folder, *PACKAGES)
    for scenario in HERE.glob("node_*.js"):
        shutil.copy(scenario, folder)
    return folder


@pytest.mark.parametrize("scenario", ["node_scenario.js", "node_collections_scenario.js"])
def test_node_clients(server: StartServer, packages: Path, scenario: str) -> None:
    daemon = server()
    play(daemon, [program("node"), str(packages / scenario), str(daemon.port)])


@pytest.mark.parametrize(
    "scenario", ["node_scripts_scenario.js", "node_bullmq_scenario.js", "node_streams_scenario.js"]
)
def test_programs(port: int, packages: Path, scenario: str) -> None:
    assert finish([program("node"), str(packages / scenario), str(port)], packages, seconds=90) == "done\n"
