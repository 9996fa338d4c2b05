"""How long others wait while one client's script runs for ten seconds."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from benchmarks.probe import percentile
from benchmarks.results import MILLISECONDS
from benchmarks.rounds import Bench, Section
from benchmarks.servers import EVERYSEC
from benchmarks.wire import Connection, Refused, key

SCRIPT_S = 10.0
BUSY_AFTER_S = 5.0  # the default of `busy-reply-threshold`
KEYS = 10_000
ASKERS = 4
FOR_EVER = "while true do redis.pcall('get', KEYS[1]) end"
PERCENTILES = (99.0, 100.0)
SCRIPTS = {"beside EVAL": "EVAL", "beside EVAL_RO": "EVAL_RO"}


class Asker(threading.Thread):
    """Sends one call after the other, each when the reply to the last is there; BUSY is a reply."""

    def __init__(self, port: int, command: str, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.times: list[int] = []
        self._port = port
        self._command = command
        self._over = over
        self.start()

    def run(self) -> None:
        """Called by the thread."""
        value = ("x",) if self._command == "SET" else ()
        with Connection(self._port) as connection:
            while not self._over.is_set():
                began = time.perf_counter_ns()
                with suppress(Refused):
                    connection.call(self._command, key(len(self.times) % KEYS), *value)
                self.times.append(time.perf_counter_ns() - began)


def slow_script(bench: Bench) -> None:
    """Askers beside a script that is ended by SCRIPT KILL."""
    share = bench.sampled(10_000) / 10_000
    with bench.servers() as servers:
        for server in servers:
            bench.fill(server, range(KEYS))
        for server in bench.turns(servers, "slow script"):
            with Connection(server.port) as control:
                control.call("CONFIG", "SET", "busy-reply-threshold", int(BUSY_AFTER_S * share * 1000))
                for condition, command in SCRIPTS.items():
                    times = _beside(server.port, control, command, SCRIPT_S * share)
                    for percent in PERCENTILES:
                        value = percentile(times, percent) / 1e6
                        bench.record(condition, MILLISECONDS, value, percentile=f"p{percent:g}")


def _beside(port: int, control: Connection, command: str, seconds: float) -> list[int]:
    """Nanoseconds that the askers' calls took while a script ran, in order."""
    over = threading.Event()
    askers = [Asker(port, ("GET", "SET")[number % 2], over) for number in range(ASKERS)]

    def run() -> None:
        with Connection(port) as connection, suppress(Refused):
            connection.call(command, FOR_EVER, 1, key(0))

    script = threading.Thread(target=run, daemon=True)
    script.start()
    time.sleep(seconds)
    control.call("SCRIPT", "KILL")
    script.join()
    over.set()
    for asker in askers:
        asker.join()
    return sorted(taken for asker in askers for taken in asker.times)


SLOW_SCRIPT = Section(
    "slow-script",
    "Others beside a script of ten seconds",
    EVERYSEC,
    f"{ASKERS} clients GET and SET, each when its last reply is there, while another's script calls GET for "
    f"{SCRIPT_S:.0f} s. A reply of BUSY counts as a reply. After {BUSY_AFTER_S:.0f} s without one, both servers give "
    "it; beside a script that only reads Keyp answers as ever.",
    ("percentile",),
    slow_script,
)
