"""Keyspace events: what a listener hears of each command, from a real server and from Keyp.

The rows are in `events/`, a file a family, written like those of `row_files.py`. A client listens to all events, of new
keys and of keys that were missed too; behind every step both servers must have published the same, in the same order.
Of the replies nothing is compared here, that is the business of the rows. A line `... 20` lets 20 ms go by.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import wire
from tests.differential.row_files import Row, rows
from tests.differential.servers import Keyp, KeypConnection, Reference, ReferenceConnection, played

DIRECTORY = Path(__file__).parent / "events"
CLIENTS = 2
PATTERN = b"__key*__:*"
ALL = b"AKEmn"


class Side:
    """One server with its clients and a listener."""

    def __init__(self, server: Reference | Keyp, protocol: int) -> None:
        server.clear()
        self.clients: list[ReferenceConnection | KeypConnection] = [server.connect() for _ in range(CLIENTS)]
        self.listener = server.connect()
        self.clients[0].send(wire.request(b"CONFIG", b"SET", b"notify-keyspace-events", ALL), 1)
        self.listener.send(wire.request(b"HELLO", b"%d" % protocol), 1)
        self.listener.send(wire.request(b"PSUBSCRIBE", PATTERN), 1)

    def hear(self) -> list[str]:
        """What the listener has received since the last call, a line each: channel and text."""
        published = [wire.parse(message) for message in self.listener.hear()]
        assert all(message[:2] == [b"pmessage", PATTERN] for message in published), published
        return [f"{channel.decode('latin-1')} {text.decode('latin-1')}" for _, _, channel, text in published]

    def end(self) -> None:
        self.clients[0].send(wire.request(b"CONFIG", b"SET", b"notify-keyspace-events", b""), 1)
        for client in [*self.clients, self.listener]:
            client.close()


Sides = tuple[Side, Side]


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def sides(reference: Reference, keyp: Keyp, request: pytest.FixtureRequest) -> Iterator[Sides]:
    sides = Side(reference, request.param), Side(keyp, request.param)
    yield sides
    for side in sides:
        side.end()


def play(sides: Sides, row: Row) -> Iterator[tuple[str, list[str], list[str]]]:
    """Each step with what the real server and Keyp have published for it."""
    for step in played(row, [side.clients for side in sides]):
        yield step.line, sides[0].hear(), sides[1].hear()


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in rows(DIRECTORY)])
def test_row(sides: Sides, row: Row) -> None:
    different = [
        f"{line}: Redis publishes {one}, Keyp {other}" for line, one, other in play(sides, row) if one != other
    ]
    assert not different, "\n".join(different)


# What is published differently, on purpose: the row, what Redis and Keyp publish for its last step, and why. Valkey 9
# removes a key whose new deadline has passed as one that has expired; in Redis 7.2 EXPIRE and GETEX delete it, and SET
# stores it.
DIFFERENCES: list[tuple[str, list[str], list[str]]] = [
    ("SET k v\nEXPIRE k 0", ["expired k"], ["del k"]),
    ("SET k v\nEXPIRE k -1", ["expired k"], ["del k"]),
    ("SET k v\nPEXPIRE k -1", ["expired k"], ["del k"]),
    ("SET k v\nEXPIREAT k 1", ["expired k"], ["del k"]),
    ("SET k v\nPEXPIREAT k 1", ["expired k"], ["del k"]),
    ("SET k v\nGETEX k EXAT 1", ["expired k"], ["del k"]),
    ("SET k v\nGETEX k PXAT 1", ["expired k"], ["del k"]),
    ("SET k v\nSET k w EXAT 1", ["expired k"], ["set k", "expire k"]),
    ("SET k w PXAT 1", [], ["new k", "set k", "expire k"]),
    # A read of Keyp's changes nothing: that a key has expired is published when the sweeper or a write removes it.
    ("SET k v PX 1\n... 5\nGET k", ["expired k", "keymiss k"], ["keymiss k"]),
    ("SET k v PX 1\n... 5\nEXISTS k", ["expired k", "keymiss k"], ["keymiss k"]),
    ("SET k v PX 1\n... 5\nSCAN 0", ["expired k"], []),
]


@pytest.mark.parametrize(("text", "theirs", "ours"), DIFFERENCES, ids=[text for text, _, _ in DIFFERENCES])
def test_difference(reference: Reference, sides: Sides, text: str, theirs: list[str], ours: list[str]) -> None:
    if not reference.version.startswith("valkey"):
        pytest.skip("what others publish is not written down")
    _, one, other = list(play(sides, Row("", text.splitlines())))[-1]
    assert (_by_event(one), _by_event(other)) == (theirs, ours)


def _by_event(published: list[str]) -> list[str]:
    return [line.removeprefix("__keyevent@0__:") for line in published if line.startswith("__keyevent")]
