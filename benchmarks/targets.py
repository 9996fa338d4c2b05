"""The few rows that stand for all: they make up the README's table and the chart of ratios."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.latency import WRITES
from benchmarks.results import Results, Row

LARGEST = "largest"  # in place of a fact: the row in which it is largest

READS, WRITES_GROUP, ON_DISK, SIZE = "reads", "writes, not synced", "writes, synced before the reply", "size"


@dataclass(frozen=True)
class Target:
    """A row of `section` by its name and facts, under a title and in a group."""

    title: str
    group: str
    section: str
    name: str
    facts: dict[str, Any] = field(default_factory=dict)

    def find(self, results: Results) -> Row | None:
        """The row; None where it was not measured."""
        section = results.sections.get(self.section)
        if section is None:
            return None
        sought = [fact for fact, value in self.facts.items() if value == LARGEST]
        given = {fact: value for fact, value in self.facts.items() if value != LARGEST}
        rows = [row for row in section.rows if row.name == self.name and given.items() <= row.facts.items()]
        return max(rows, key=lambda row: [row.facts[fact] for fact in sought]) if rows else None

    def title_of(self, row: Row) -> str:
        """The title, with the row's facts in it."""
        return self.title.format(**{name: _told(value) for name, value in row.facts.items()})


def _told(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _everyday(title: str, group: str, name: str, clients: int, pipeline: int = 1) -> Target:
    return Target(title, group, "commands", name, {"clients": clients, "pipeline": pipeline, "value": 3})


def _original(name: str, group: str) -> Target:
    return Target(f"{name}, 10 clients", group, "original", name, {"operations": LARGEST})


def _durable(clients: int) -> Target:
    title = f"SET, durable, {clients} client{'s' if clients > 1 else ''}"
    return Target(title, ON_DISK, "durable", "SET", {"clients": clients, "pipeline": 1})


TARGETS = (
    _everyday("GET, 10 clients", READS, "GET", 10),
    _everyday("GET, 50 clients", READS, "GET", 50),
    _everyday("GET, 10 clients, pipelines of 16", READS, "GET", 10, 16),
    _original("TTL", READS),
    Target("GET over TLS, 50 clients", READS, "tls", "GET", {"clients": 50, "pipeline": 1}),
    _everyday("SET, 10 clients", WRITES_GROUP, "SET", 10),
    _everyday("SET, 50 clients", WRITES_GROUP, "SET", 50),
    _everyday("SET, 10 clients, pipelines of 16", WRITES_GROUP, "SET", 10, 16),
    _original("DEL", WRITES_GROUP),
    _original("PERSIST", WRITES_GROUP),
    _original("EXPIRE", WRITES_GROUP),
    _durable(1),
    _durable(10),
    _durable(50),
    _durable(200),
    Target("GET while 25 clients write to the disk, p99", SIZE, "latency", WRITES, {"percentile": "p99"}),
    Target("Start with {keys} keys", SIZE, "growth", "restart", {"keys": LARGEST}),
    Target("Memory with {keys} keys", SIZE, "growth", "memory", {"keys": LARGEST}),
)
