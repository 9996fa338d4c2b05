"""Scripts that run for too long in a real daemon, and how others fare meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import redis

from tests.integration.conftest import NEVER_AGAIN, StartServer
from tests.integration.daemon import DEADLINE_S, Daemon, wait_until

FOR_EVER = "while true do end"
WRITES_FOR_EVER = "redis.call('set', 'written', 1) while true do end"


class Running:
    """A call that a client waits for; `error` is what it has got in the end."""

    def __init__(self, port: int, call: Callable[[redis.Redis], Any]) -> None:
        self.error = ""
        self._port = port
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with redis.Redis(port=self._port, retry=NEVER_AGAIN) as r:
            try:
                self._call(r)
            except redis.RedisError as error:
                self.error = str(error)

    def end(self) -> str:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        return self.error


@pytest.fixture
def daemon(server: StartServer) -> Daemon:
    daemon = server()
    with redis.Redis(port=daemon.port) as r:
        r.config_set("busy-reply-threshold", 100)
        r.set("k", "v")
    return daemon


def kill(r: redis.Redis) -> bool:
    with suppress(redis.ResponseError):
        return bool(r.script_kill())
    return False


def is_busy(r: redis.Redis) -> bool:
    try:
        r.get("k")
    except redis.ResponseError as error:
        return str(error).startswith("BUSY") or "busy running a script" in str(error)
    return False


def test_a_script_that_only_reads_keeps_nobody_waiting(daemon: Daemon) -> None:
    running = Running(daemon.port, lambda r: r.eval_ro(FOR_EVER, 0))
    with redis.Redis(port=daemon.port) as r:
        while not kill(r):
            assert r.get("k") == b"v"
            assert r.set("other", "w")
    assert "Script killed by user" in running.end()


def test_a_script_that_is_overdue_makes_others_busy_until_it_is_killed(daemon: Daemon) -> None:
    running = Running(daemon.port, lambda r: r.eval(FOR_EVER, 0))
    with redis.Redis(port=daemon.port) as r:
        wait_until(lambda: is_busy(r), "others are answered BUSY")
        waits = Running(daemon.port, lambda r: r.set("k", "w"))
        assert "busy running a script" in waits.end()
        assert kill(r)
        assert "Script killed by user" in running.end()
        assert r.get("k") == b"v"


def test_everybody_is_answered_while_a_script_is_overdue(daemon: Daemon) -> None:
    """Those as well whose calls came together with the script."""
    over = threading.Event()
    counts = [0] * 6

    def ask(number: int) -> Callable[[redis.Redis], None]:
        def call(r: redis.Redis) -> None:
            while not over.is_set():
                try:
                    r.incr(f"n{number}")
                except redis.ResponseError:
                    counts[number] += 1

        return call

    askers = [Running(daemon.port, ask(number)) for number in range(len(counts))]
    running = Running(daemon.port, lambda r: r.eval(FOR_EVER, 0))
    with redis.Redis(port=daemon.port) as r:
        wait_until(lambda: min(counts) >= 20, "all are answered BUSY")
        assert kill(r)
    assert "Script killed by user" in running.end()
    over.set()
    assert [asker.end() for asker in askers] == [""] * len(counts)


def test_many_endless_scripts_that_only_read_keep_nobody_else_waiting(daemon: Daemon) -> None:
    endless = [Running(daemon.port, lambda r: r.eval_ro(FOR_EVER, 0)) for _ in range(4)]
    with redis.Redis(port=daemon.port) as r:
        wait_until(lambda: sum([bool(running.error) for running in endless]) == 2, "two of them are refused")
        assert r.keys() == [b"k"]
        assert r.set("k", "w")
        assert r.bgsave()
        assert r.config_set("appendfsync", "everysec")
        assert r.function_stats()
        assert kill(r)
    errors = [running.end() for running in endless]
    assert sum(["Script killed by user" in error for error in errors]) == 2


def test_a_script_that_has_written_ends_with_the_server(daemon: Daemon) -> None:
    running = Running(daemon.port, lambda r: r.eval(WRITES_FOR_EVER, 0))
    with redis.Redis(port=daemon.port, retry=NEVER_AGAIN) as r:
        wait_until(lambda: is_busy(r), "others are answered BUSY")
        with pytest.raises(redis.ResponseError, match="already executed write commands"):
            r.script_kill()
        with suppress(redis.ConnectionError):
            r.execute_command("SHUTDOWN", "NOSAVE")
    assert running.end()
    daemon.wait_for_exit()
    daemon.start()
    with redis.Redis(port=daemon.port) as r:
        assert r.get("written") is None


def test_a_stop_does_not_wait_for_a_script_that_is_overdue(daemon: Daemon) -> None:
    running = Running(daemon.port, lambda r: r.eval_ro(FOR_EVER, 0))
    with redis.Redis(port=daemon.port) as r:
        wait_until(lambda: int(r.info("memory")["used_memory_lua"]) > 0, "the script runs")
    daemon.stop()
    assert running.end()
