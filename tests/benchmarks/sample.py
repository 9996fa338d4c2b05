"""Results as a benchmark would have written them, with figures that are easy to reckon with."""

from __future__ import annotations

from benchmarks.results import KEYS, MEGABYTES, MILLISECONDS, REQUESTS, SECONDS, Facts, Results, SectionResult

OWN, OTHER = "Keyp", "redis-server"
ENVIRONMENT: Facts = {
    "system": "Linux 6.1 x86_64",
    "processor": "A Processor",
    "processors": 2,
    "memory_gigabytes": 8.2,
    "file_system": "ext4",
    "versions": {OWN: "0.1.0", OTHER: "7.0.15"},
    "keyp": {"compiled": "yes", "reactor": "AReactor", "python": "3.11.7", "twisted": "26.10", "lmdb": "0.9"},
    "load_generator": "redis-benchmark 7.0.15",
}


def section(promise: str = "none", **measured: object) -> SectionResult:
    """A section without rows."""
    facts = {"date": "2026-01-02", "promise": promise, "rounds": 3, "scale": 1.0, "complete": True}
    return SectionResult({**facts, **measured})


def add(result: SectionResult, name: str, unit: str, own: list[float], other: list[float], **facts: object) -> None:
    """Adds a row with what both servers did in each round."""
    for number, values in enumerate(zip(own, other, strict=True)):
        for server, value in zip((OWN, OTHER), values, strict=True):
            result.put(name, unit, facts, number, server, value)


def results() -> Results:
    """A few rows of every section that has a chart."""
    commands, durable, growth, latency = section(), section("always"), section("everysec"), section("always")
    for clients, own in ((10, 50_000), (50, 60_000)):
        rates = [own, own * 1.1, own * 0.9]
        add(commands, "GET", REQUESTS, rates, [100_000] * 3, clients=clients, pipeline=1, value=3)
    add(commands, "GET", REQUESTS, [900, 1100], [2000, 2000], clients=50, pipeline=1, value=64 * 1024)
    for clients in (1, 10, 50, 200):
        add(durable, "SET", REQUESTS, [clients * 500] * 3, [clients * 1000] * 3, clients=clients, pipeline=1)
    for keys in (10_000, 1_000_000, 5_000_000):
        add(growth, "SCAN", KEYS, [300_000], [600_000], keys=keys)
        add(growth, "restart", SECONDS, [0.25, 0.25], [keys / 1e6, keys / 1e6], keys=keys)
        add(growth, "memory", MEGABYTES, [30.0, 31.0], [keys / 1e4, keys / 1e4], keys=keys)
    for condition in ("quiet", "25 clients write"):
        for share, ms in (("p50", 0.1), ("p99", 0.4), ("p99.9", 2.5)):
            add(latency, condition, MILLISECONDS, [ms, ms], [ms / 2, ms / 2], percentile=share)
    sections = {"commands": commands, "durable": durable, "growth": growth, "latency": latency}
    return Results(ENVIRONMENT, [OWN, OTHER], sections)
