"""The rows, on a real server and on Keyp, in RESP2 and in RESP3: reply for reply, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise, zip_longest
from typing import Any

import pytest

from keyp.command.registry import Registry
from keyp.command.spec import OWN
from keyp.commands.all import TABLES
from tests import wire
from tests.differential.agreement import EXACT, agree
from tests.differential.differences import DIFFERENCES, Difference
from tests.differential.row_files import Row, Step, rows
from tests.differential.servers import Keyp, KeypConnection, Reference, ReferenceConnection
from tests.differential.test_events import DIRECTORY as EVENTS
from tests.differential.test_forms import LIMITS, ROWS

CLIENTS = 2


class Conversation:
    """The same clients at both servers."""

    def __init__(self, reference: Reference, keyp: Keyp, protocol: int) -> None:
        reference.clear()
        keyp.clear()
        self.theirs = [reference.connect() for _ in range(CLIENTS)]
        self.ours = [keyp.connect() for _ in range(CLIENTS)]
        clients: list[ReferenceConnection | KeypConnection] = [*self.theirs, *self.ours]
        if protocol == 3:
            for client in clients:
                client.send(wire.request(b"HELLO", b"3"), 1)

    def say(self, step: Step) -> tuple[list[bytes], list[bytes]]:
        """Both servers' replies to one chunk."""
        if step.replies is None:
            self.theirs[step.client].send(step.data, 0)
            return self.theirs[step.client].hear(), self.ours[step.client].send(step.data, 0)
        theirs = self.theirs[step.client].send(step.data, step.replies)
        return theirs, self.ours[step.client].send(step.data, step.replies)

    def end(self) -> None:
        for one, other in zip(self.theirs, self.ours, strict=True):
            one.close()
            other.close()


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def conversation(reference: Reference, keyp: Keyp, request: pytest.FixtureRequest) -> Iterator[Conversation]:
    conversation = Conversation(reference, keyp, request.param)
    yield conversation
    conversation.end()


def assert_agreement(conversation: Conversation, steps: list[Step]) -> None:
    """Says all the steps; fails with a line for each reply that differs."""
    found: list[str] = []
    for step in steps:
        theirs, ours = conversation.say(step)
        calls = step.calls if step.replies is not None and step.calls else [[b""]] * max(len(theirs), len(ours))
        pairs: Iterable[tuple[Any, bytes, bytes]] = zip_longest(calls, theirs, ours, fillvalue=b"(nothing)")
        if len(theirs) != len(ours) or any(not agree(step.how, call, one, other) for call, one, other in pairs):
            found.append(f"{step.line}: they say {b''.join(theirs)[:400]!r}, we say {b''.join(ours)[:400]!r}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in rows()])
def test_row(conversation: Conversation, row: Row) -> None:
    assert_agreement(conversation, row.steps)
    for one, other in zip(conversation.theirs, conversation.ours, strict=True):
        if other.is_closed() or one.closed:
            assert one.is_closed() == other.is_closed(), "only one of them hangs up"


def test_every_command_has_a_row() -> None:
    registry = Registry(TABLES)
    steps = [step for row in rows() for step in row.steps]
    steps += [Step(line) for difference in DIFFERENCES for line in difference.row.splitlines()]
    called = {registry.find(call) for step in steps for call in step.calls}
    specs = [one for spec in registry.specs for one in (spec, *spec.subcommands.values()) if one.function is not None]
    missing = [spec.name for spec in specs if spec not in called]
    assert not missing, "no row in tests/differential/rows/ calls them; of our own: no entry in differences.py"


def calls_of_any_length() -> Iterator[str]:
    """Every command and subcommand, with no argument and with more and more of them, as long as we refuse it.

    Those that the reference is known not to refuse are among the differences.
    """
    known = {difference.row for difference in DIFFERENCES}
    for spec in Registry(TABLES).specs:
        for one in [spec, *spec.subcommands.values()]:
            name = one.name.replace("|", " ")
            words = len(name.split())
            for count in range(words, 9):
                line = " ".join([name, *["1"] * (count - words)])
                if not one.accepts(count) and line not in known and not one.flags & OWN:
                    yield line


def chunks(steps: Iterable[Step]) -> list[tuple[int, bytes]]:
    """Who says what, in turn: the set-up of a row and its last call."""
    return [(step.client, step.data) for step in steps]


def forms() -> Iterator[tuple[list[tuple[int, bytes]], str]]:
    """The rows of `test_forms.py`, which are too long for a file."""
    settings = [(name, [["CONFIG", "SET", setting, value], *calls]) for name, setting, value, calls in LIMITS]
    for name, calls in [*ROWS, *settings]:
        asked = [*calls, ["OBJECT", "ENCODING", "k"]]
        yield [(0, wire.request(*[word.encode() for word in call])) for call in asked], f"forms: {name}"


def test_every_row_stands_once() -> None:
    """None is another one, or the beginning of another, or one of the calls that every command is tested with."""
    told = [(chunks(row.steps), row.name) for row in rows()]
    told += [(chunks(Row("", one.row.splitlines()).steps), f"differences: {one.row}") for one in DIFFERENCES]
    told += [(chunks([Step(line)]), f"wrong number of arguments: {line}") for line in calls_of_any_length()]
    told += forms()
    assert twice(told) == []


def test_every_row_of_events_stands_once() -> None:
    assert twice([(chunks(row.steps), row.name) for row in rows(EVENTS)]) == []


def twice(told: list[tuple[list[tuple[int, bytes]], str]]) -> list[str]:
    """Those that are whole in another one; in order, the other one is the next."""
    return [f"{name}, in {where}" for (one, name), (other, where) in pairwise(sorted(told)) if other[: len(one)] == one]


@pytest.mark.parametrize("line", list(calls_of_any_length()))
def test_wrong_number_of_arguments(reference: Reference, keyp: Keyp, line: str) -> None:
    conversation = Conversation(reference, keyp, 2)
    assert_agreement(conversation, [Step(line), Step(line.lower())])
    conversation.end()


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.row.splitlines()[-1])
def test_difference(reference: Reference, keyp: Keyp, difference: Difference) -> None:
    if difference.valkey_only and not reference.version.startswith("valkey"):
        pytest.skip("only Valkey differs")
    conversation = Conversation(reference, keyp, 2)
    *before, last = Row("", difference.row.splitlines()).steps
    assert_agreement(conversation, before)
    theirs, ours = conversation.say(last)
    conversation.end()
    assert re.fullmatch(difference.theirs, b"".join(theirs), re.S), theirs
    assert re.fullmatch(difference.ours, b"".join(ours), re.S), ours
    assert last.how == EXACT
