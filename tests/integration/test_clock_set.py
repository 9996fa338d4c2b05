"""The machine's time is set back and forth while the server runs: whatever waits goes on, deadlines of keys follow.

libfaketime gives the server a time that the test sets; the clock that is never set is left alone.
"""

from __future__ import annotations

import glob
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, wait_until
from tests.integration.test_daemon import KEYP, TWISTD

LIBRARIES = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")

pytestmark = pytest.mark.skipif(not LIBRARIES, reason="libfaketime is missing: apt-get install faketime")

HOUR_BACK = "-3600"
MONTH_FORTH = "+30d"
STEPS = {HOUR_BACK: -3600, "-30d": -30 * 86_400, MONTH_FORTH: 30 * 86_400}  # in seconds

STOCK = [(*TWISTD, f"--reactor={reactor}", "--nodaemon", "--pidfile=", "keyp") for reactor in ("epoll", "asyncio")]


class Machine:
    """A server, and the time of the machine it believes to run on."""

    def __init__(self, server: StartServer, directory: Path, program: tuple[str, ...] = KEYP) -> None:
        self._file = directory / "time"
        self.set("+0")
        settings = [f"LD_PRELOAD={LIBRARIES[0]}", f"FAKETIME_TIMESTAMP_FILE={self._file}", "FAKETIME_NO_CACHE=1"]
        alone = ["DONT_FAKE_MONOTONIC=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"]
        self.daemon = server("--fsync=everysec", launcher=("env", *settings, *alone), program=program)

    def set(self, offset: str) -> None:
        """How far the machine's time is from the true one."""
        self._file.write_text(offset + "\n")

    def connect(self) -> redis.Redis:
        return redis.Redis(port=self.daemon.port, socket_timeout=DEADLINE_S)


def threaded(function: Callable[..., object], *args: object) -> tuple[threading.Thread, list[object]]:
    """Calls a function on a thread of its own; its result is the one element of the list when the thread has ended."""
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(function(*args)))
    thread.start()
    return thread, found


def wait_for_time(r: Any, at: int) -> None:
    wait_until(lambda: abs(r.time()[0] - at) < DEADLINE_S, "the new time")


def wait_for_sweep(r: Any, swept_before: int) -> None:
    wait_until(lambda: r.info("keyp")["swept_keys"] > swept_before, "the sweeper to take a key")


def wait_for_sync(r: Any, synced_at: int) -> None:
    wait_until(lambda: abs(r.info("keyp")["last_sync_time"] - synced_at) > DEADLINE_S, "a sync")


@pytest.mark.parametrize("program", [KEYP, *STOCK], ids=["lean", "epoll", "asyncio"])
def test_what_waits_ends(server: StartServer, tmp_path: Path, program: tuple[str, ...]) -> None:
    machine = Machine(server, tmp_path, program)
    r, waiting = machine.connect(), machine.connect()
    started_at = r.time()[0]
    for offset, step_s in STEPS.items():
        swept, synced = r.info("keyp")["swept_keys"], r.info("keyp")["last_sync_time"]
        thread, popped = threaded(waiting.blpop, "q", 0.5)
        wait_until(lambda: r.info("clients")["blocked_clients"] == 1, "the BLPOP to wait")
        machine.set(offset)
        # asyncio runs what is due now behind the requests that have come: they may share the time of the one before.
        stepped = started_at + step_s
        wait_for_time(r, stepped)
        thread.join(DEADLINE_S)
        assert popped == [None]
        assert r.blpop("q", 0.1) is None
        r.client_pause(100)
        assert r.ping()
        r.set("k", "v", px=1)
        wait_for_sweep(r, swept)
        wait_for_sync(r, synced)
        assert r.info("server")["uptime_in_seconds"] < DEADLINE_S
        assert all(int(client["age"]) < DEADLINE_S for client in r.client_list())
    assert "Error" not in machine.daemon.log()
    r.shutdown(nosave=True)
    machine.daemon.wait_for_exit()


def test_deadlines_of_keys_follow_the_machine_s_time(server: StartServer, tmp_path: Path) -> None:
    machine = Machine(server, tmp_path)
    r = machine.connect()
    r.set("short", "v", ex=1000)
    r.set("long", "v", ex=40 * 86_400)
    machine.set(HOUR_BACK)
    assert r.ttl("short") > 1000
    machine.set(MONTH_FORTH)
    assert r.get("short") is None
    assert 0 < r.ttl("long") < 11 * 86_400
    r.close()


def test_silent_clients_are_closed_in_their_time(server: StartServer, tmp_path: Path) -> None:
    machine = Machine(server, tmp_path)
    r, silent = machine.connect(), machine.connect()
    assert silent.ping()
    machine.set(MONTH_FORTH)
    r.config_set("timeout", 100)
    ticks = r.info("server")["uptime_in_seconds"]
    wait_until(lambda: r.info("server")["uptime_in_seconds"] > ticks + 1, "a look at silent clients")
    assert len(r.client_list()) == 2  # who was seen a moment ago has not been silent for a month
    machine.set(HOUR_BACK)
    r.config_set("timeout", 1)
    wait_until(lambda: r.ping() and len(r.client_list()) == 1, "the silent client to be closed")
    silent.close()
    r.close()


def test_the_time_is_really_set(server: StartServer, tmp_path: Path) -> None:
    """What the others rely on: the server's time is what the file says."""
    machine = Machine(server, tmp_path)
    machine.set(HOUR_BACK)
    r = machine.connect()
    real = int(subprocess.check_output(["date", "+%s"]))
    assert abs(real - 3600 - r.time()[0]) < DEADLINE_S
    r.close()
