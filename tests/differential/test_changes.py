"""What counts as a change: `rdb_changes_since_last_save` of a real server and of Keyp, behind every step of a row.

The rows are those of the events, and of the families that write and have none there. What changes nothing has to be
free in Keyp (`tests/execution/test_writes_for_nothing.py`); here it is shown that both mean the same by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from keyp.command.registry import Registry
from keyp.command.spec import OWN, WRITE
from keyp.commands.all import TABLES
from tests import wire
from tests.differential.row_files import DIRECTORY, Row, rows
from tests.differential.servers import Keyp, KeypConnection, Reference, ReferenceConnection, played

CLIENTS = 2
FAMILIES = ("bits", "databases", "geo", "hyperloglog", "transactions")
ROWS = [*rows(DIRECTORY.parent / "events"), *[row for row in rows() if row.name.split(":")[0] in FAMILIES]]
CHANGES = re.compile(rb"rdb_changes_since_last_save:(\d+)\r\n")

# The reference stores what PFCOUNT finds in the string that it has counted, and counts that as a change; a read of
# Keyp's changes nothing. Valkey 9 does not store what has a deadline in the past, Redis 7.2 and Keyp do.
COUNTED_OTHERWISE = re.compile(r"PFCOUNT .*|SET k 1 (?:EX|PX)AT 1|SET k w (?:EX|PX)AT 1")


class Side:
    """One server with its clients, and another client that asks for the count."""

    def __init__(self, server: Reference | Keyp) -> None:
        server.clear()
        self.clients: list[ReferenceConnection | KeypConnection] = [server.connect() for _ in range(CLIENTS)]
        self.observer = server.connect()
        self.seen = self.count()

    def count(self) -> int:
        found = CHANGES.search(self.observer.send(wire.request(b"INFO", b"persistence"), 1)[0])
        assert found is not None
        return int(found[1])

    def new(self) -> int:
        """How many changes have been counted since the last look."""
        before, self.seen = self.seen, self.count()
        return self.seen - before

    def end(self) -> None:
        for client in [*self.clients, self.observer]:
            client.close()


Sides = tuple[Side, Side]


@pytest.fixture
def sides(reference: Reference, keyp: Keyp) -> Iterator[Sides]:
    sides = Side(reference), Side(keyp)
    yield sides
    for side in sides:
        side.end()


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
def test_row(sides: Sides, row: Row) -> None:
    different: list[str] = []
    for step in played(row, [side.clients for side in sides]):
        theirs, ours = [side.new() for side in sides]
        if theirs != ours and not COUNTED_OTHERWISE.search(step.line):
            different.append(f"{step.line}: they count {theirs}, we count {ours}")
    assert not different, "\n".join(different)


def test_every_write_command_has_a_row() -> None:
    registry = Registry(TABLES)
    called = {registry.find(call) for row in ROWS for step in row.steps for call in step.calls}
    writes = [spec for spec in registry.specs if spec.access == WRITE and not spec.flags & OWN]
    missing = [spec.name for spec in writes if spec not in called]
    assert not missing, "no row in tests/differential/events/ calls them"
