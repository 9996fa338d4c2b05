"""A server that is killed while it writes all it can: what its next start replays, with a journal of any size."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import redis

from keyp.storage.journal.ring import FIRST, PAGE, ring_size
from tests.integration.conftest import StartServer
from tests.integration.daemon import Daemon, program, wait_until

MB = 1 << 20
CHECKPOINTS = 3  # before each kill, that of the start among them


def kill_under_load(daemon: Daemon) -> dict[str, Any]:
    """Kills the server when it has taken several checkpoints beside writers; what it told of itself just before."""
    command = [program("redis-benchmark"), "-p", str(daemon.port), "-q", "-c", "20", "-P", "4"]
    command += ["-n", "100000000", "-r", "10000", "-d", "40", "-t", "set"]
    load = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with redis.Redis(port=daemon.port) as r:

            def told() -> dict[str, Any]:
                found: dict[str, Any] = r.info("keyp")
                return found if found["checkpoints"] >= CHECKPOINTS and found["records_since_checkpoint"] > 2 else {}

            before = wait_until(told, "checkpoints beside the load")
            daemon.kill()
    finally:
        load.kill()
        load.wait()
    return before


@pytest.mark.parametrize("fsync", ["always", "no"])
def test_a_start_replays_at_most_what_the_journal_holds(server: StartServer, fsync: str) -> None:
    """Each start has a journal of another size; what it replays is in the one before."""
    daemon = server(f"--fsync={fsync}")
    options, size = daemon.options, MB
    for next_size in (64 << 10, 4 * MB, MB):
        before = kill_under_load(daemon)
        assert before["journal_size"] == ring_size(size)
        assert before["records_since_checkpoint"] <= (size - FIRST) // PAGE
        daemon.options = (*options, f"--journal-size={next_size}")
        daemon.start()
        with redis.Redis(port=daemon.port) as r:
            after = r.info("keyp")
            assert after["replayed_records"] <= (size - FIRST) // PAGE
            assert after["records_since_checkpoint"] == after["journal_used_bytes"] == 0
            assert after["journal_size"] == ring_size(next_size)
            assert r.dbsize() > 100
        if after["replayed_records"]:  # it may have been killed just after a checkpoint
            assert f"replayed {after['replayed_records']} records of the journal" in daemon.log()
        size = next_size
    daemon.stop()
    daemon.start()
    with redis.Redis(port=daemon.port) as r:
        assert r.info("keyp")["replayed_records"] == 0
