"""How long a GET takes while something else goes on."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.disturb import KEYS, SAVE, disturbed
from benchmarks.load import Load, going_on
from benchmarks.probe import SHARES, Watch, percentile, probe
from benchmarks.results import MILLISECONDS, SECONDS
from benchmarks.rounds import Bench, Section
from benchmarks.servers import ALWAYS, Server

QUIET = "quiet"
WRITES = "25 clients write"
EXPIRY = "a million keys expire"
LISTING = "KEYS *"
SAVING = "BGSAVE"
CONDITIONS = (QUIET, WRITES, LISTING, SAVING, EXPIRY)

PROBES = 10_000
BASE_KEYS = 1_000_000
WRITERS = 25
HEAD_START_S = 0.3
BEFORE_S = 0.2
AT_MOST_S = 30.0


def latency(bench: Bench) -> None:
    """GETs of one client under each of the conditions, and how long the expired keys take to be gone."""
    keys = bench.scaled(BASE_KEYS)
    probes = bench.sampled(PROBES)
    with bench.servers() as servers:
        took = {}
        for server in servers:
            began = time.monotonic()
            bench.fill(server, range(keys), title=f"latency: {server.name} to {keys:,} keys")
            took[server.name] = time.monotonic() - began
        for server in bench.turns(servers, "latency"):
            server.settle()

            def measure(condition: str, enough: Callable[[int], bool], server: Server = server) -> None:
                times = sorted(probe(server.port, keys, enough))
                for share in SHARES:
                    value = percentile(times, share) / 1e6
                    bench.record(condition, MILLISECONDS, value, percentile=f"p{share:g}")

            def all_sent(count: int) -> bool:
                return count >= probes

            measure(QUIET, all_sent)
            with going_on(server.port, Load(("SET", "KEY", "x" * 50), 1_000_000, WRITERS, keys)):
                time.sleep(HEAD_START_S)
                measure(WRITES, all_sent)
            for condition, disturbance in ((LISTING, KEYS), (SAVING, SAVE)):
                with disturbed(server.port, disturbance):
                    time.sleep(HEAD_START_S)
                    measure(condition, all_sent)
                server.settle()
            _expiry(bench, server, keys, took[server.name], measure)


def _expiry(
    bench: Bench, server: Server, keys: int, took_s: float, measure: Callable[[str, Callable[[int], bool]], None]
) -> None:
    """As many keys as there are get the same deadline; probes until the last of them is gone."""
    while True:
        deadline_s = time.time() + 1.5 * took_s + 2
        bench.fill(server, range(keys), options=("PXAT", int(deadline_s * 1000)), prefix="dying:")
        if time.time() < deadline_s - BEFORE_S:
            break
        took_s *= 2  # the machine has become slower: the first of them are dead before the last are made
    time.sleep(max(0.0, deadline_s - BEFORE_S - time.time()))
    watch = Watch(server.port, keys, deadline_s + AT_MOST_S)
    watch.start()
    measure(EXPIRY, lambda _: watch.over_s is not None)
    watch.join()
    bench.record("until they are gone", SECONDS, max(0.0, (watch.over_s or 0) - deadline_s), percentile="")


LATENCY = Section(
    "latency",
    "GET while something else goes on",
    ALWAYS,
    "One client sends 2,000 GETs a second, 10,000 in each round, on a million keys, at that pace whether or not "
    "replies are there: a server that stands still is late for all requests of that time. Beside it: nothing; "
    f"{WRITERS} clients that SET without a pause; KEYS * again and again; BGSAVE again and again; a million further "
    f"keys whose deadline comes at the same moment, until the last of them is gone ({AT_MOST_S:.0f} s at most).",
    ("percentile",),
    latency,
)
