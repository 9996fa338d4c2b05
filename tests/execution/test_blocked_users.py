"""Clients that wait while their users' rules change: refused when their turn comes, and noted as any other refusal."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import keyp.execution.executor
from keyp.command.registry import Registry
from keyp.commands.all import TABLES
from tests.execution.test_blocked_clients import FAULTY, REFUSED, popped, waiting
from tests.fakes import Connection, Lab
from tests.wire import parse

REFUSED_KEY = b"-NOPERM No permissions to access a key\r\n"


def ann_waits(lab: Lab, line: str) -> Connection:
    """A client of ann's whose command waits."""
    ann = lab.connect()
    assert ann.call("AUTH ann x", line) == b"+OK\r\n"
    assert ann.connection.client.waiting
    return ann


def noted(admin: Connection) -> list[tuple[int | bytes, ...]]:
    """Of each entry in ACL LOG: how often, why, where, what and who."""
    entries = parse(admin.call("ACL LOG"))
    return [tuple(entry[1:10:2]) for entry in entries]


def test_who_is_refused_is_noted_once(lab: Lab) -> None:
    admin = lab.connect()
    admin.call("ACL SETUSER ann on nopass +@all ~*")
    ann = ann_waits(lab, "BLPOP l 0")
    bob = waiting(lab, "BLPOP l 0")
    admin.call("ACL SETUSER ann resetkeys ~other")
    assert noted(admin) == []
    admin.call("RPUSH l a")
    assert ann.transport.sent.endswith(REFUSED_KEY)
    assert bob.transport.sent == popped("l", "a")
    assert noted(admin) == [(1, b"key", b"toplevel", b"l", b"ann")]
    (entry,) = parse(admin.call("ACL LOG 1"))
    assert b" cmd=blpop user=ann " in dict(zip(entry[::2], entry[1::2], strict=True))[b"client-info"]


def test_also_where_the_sweeper_brings_it(lab: Lab) -> None:
    admin = lab.connect()
    admin.call("XGROUP CREATE s g 0 MKSTREAM", "ACL SETUSER ann on nopass +@all ~*", "PEXPIRE s 10")
    ann = ann_waits(lab, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >")
    admin.call("ACL SETUSER ann -xreadgroup")
    lab.advance_ms(20)
    lab.sweep()
    assert b"-NOPERM User ann has no permissions to run the 'xreadgroup' command\r\n" in ann.transport.sent
    assert noted(admin) == [(1, b"command", b"toplevel", b"xreadgroup", b"ann")]


def test_what_is_undone_is_not_noted(lab: Lab) -> None:
    lab.server.state.registry = Registry([*TABLES, FAULTY])
    admin = lab.connect()
    admin.call("ACL SETUSER ann on nopass +@all ~*")
    ann = ann_waits(lab, "BLPOP l 0")
    admin.call("ACL SETUSER ann resetkeys ~other")
    assert admin.call("RPUSH l a", "STUMBLE") == REFUSED * 2
    assert ann.connection.client.waiting
    assert noted(admin) == []
    admin.call("ACL SETUSER ann allkeys", "RPUSH l b")
    assert ann.transport.sent.endswith(popped("l", "b"))
    assert noted(admin) == []


@pytest.mark.skipif(not str(keyp.execution.executor.__file__).endswith(".py"), reason="compiled calls are not seen")
@pytest.mark.parametrize(("lines", "looks"), [(["SORT a"], 1), (["MULTI", "SORT a", "EXEC"], 4)])
def test_rules_are_looked_up_once_for_each_call(lab: Lab, lines: list[str], looks: int) -> None:
    """In MULTI a call is looked at when it is queued and when it runs."""
    lab.connect().call("ACL SETUSER ann on nopass +@all ~a*")
    ann = lab.connect()
    ann.call("AUTH ann x")
    seen = 0

    def count(frame: Any, event: str, arg: object) -> None:
        nonlocal seen
        seen += event == "call" and frame.f_code.co_name == "restricted"

    sys.setprofile(count)
    try:
        ann.call(*lines)
    finally:
        sys.setprofile(None)
    assert seen == looks
