"""Programs that Debian packages and that live on scripts: Sidekiq, and PHP's sessions with locks. With KEYP_LONG=1.

They need ruby-sidekiq, php-cli and php-redis.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import redis

from tests.integration.daemon import DEADLINE_S, LONG
from tests.integration.programs import finish, service

HERE = Path(__file__).parent
VISITORS = 4
ROUNDS = 25

pytestmark = pytest.mark.skipif(not LONG, reason="needs packages of Debian: only with KEYP_LONG=1")


def program(name: str, package: str) -> str:
    path = shutil.which(name)
    assert path, f"{name} is missing: apt-get install {package}"
    return path


def test_sidekiq(port: int, tmp_path: Path) -> None:
    """A script takes due jobs out of the schedule and out of the retries."""
    shutil.copy(HERE / "sidekiq_jobs.rb", tmp_path)
    environment = {"KEYP_PORT": str(port), "RUBYOPT": "-W0"}
    command = [program("sidekiq", "ruby-sidekiq"), "-r", "./sidekiq_jobs.rb", "-c", "2"]
    with service("sidekiq", command, tmp_path, environment):
        assert finish([program("ruby", "ruby"), "sidekiq_jobs.rb"], tmp_path, environment, seconds=90) == "done\n"


def test_sessions_of_php(port: int) -> None:
    """No visit is lost of visitors who come at once: each waits for the session's lock."""
    command = [program("php", "php-cli php-redis"), str(HERE / "session_lock.php"), str(port), str(ROUNDS)]
    with redis.Redis(port=port) as r:
        r.config_resetstat()
    visits = [subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) for _ in range(VISITORS)]
    try:
        assert [visit.communicate(timeout=DEADLINE_S)[0] for visit in visits] == [b"done\n"] * VISITORS
    finally:
        for visit in visits:
            visit.kill()
            visit.wait()
    with redis.Redis(port=port) as r:
        assert r.keys() == [b"session:visitor"]
        assert r.get("session:visitor") == b"visits|i:%d;" % (VISITORS * ROUNDS)
        assert r.info("commandstats")["cmdstat_evalsha"]["calls"] >= VISITORS * ROUNDS
