"""What the reads of one turn of the reactor share, and when they must not share it any longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from keyp.command.registry import Registry
from keyp.command.table import CommandTable
from keyp.commands.all import TABLES
from keyp.execution.shared_snapshot import SharedSnapshot
from tests.counting import CountingLmdb
from tests.fakes import Lab


@pytest.fixture
def over(lab: Lab) -> Callable[[], None]:
    """A lab whose turns end only when the test says so."""
    ends = lab.loop.hold(SharedSnapshot)

    def end_all() -> None:
        while ends:
            ends.pop()()

    return end_all


def begun(lab: Lab, action: Callable[[], object]) -> int:
    """How many transactions of LMDB begin while something is done."""
    real = lab.environment.lmdb
    counting: Any = CountingLmdb(real)
    lab.environment.lmdb = counting
    try:
        action()
    finally:
        lab.environment.lmdb = real
    begun: int = counting.counts["begin"]
    return begun


def test_the_reads_of_a_turn_share_a_snapshot(lab: Lab, over: Callable[[], None]) -> None:
    clients = [lab.connect() for _ in range(20)]

    def read() -> None:
        for number, client in enumerate(clients):
            client.protocol.dataReceived(b"SELECT %d\r\nGET a\r\nDBSIZE\r\n" % (number % 3))

    assert begun(lab, read) == 1
    assert begun(lab, read) == 0
    over()
    assert begun(lab, read) == 1


def test_a_write_is_seen_by_who_asks_after_its_reply_even_in_the_same_turn(lab: Lab, over: Callable[[], None]) -> None:
    reader, writer = lab.connect(), lab.connect()
    assert reader.call("GET a") == b"$-1\r\n"
    assert writer.call("SET a 1") == b"+OK\r\n"
    assert reader.call("GET a") == b"$1\r\n1\r\n"
    assert writer.call("DEL a", "GET a") == b":1\r\n$-1\r\n"
    assert reader.call("GET a", "EXISTS a") == b"$-1\r\n:0\r\n"


def test_what_the_sweeper_has_removed_is_seen_in_the_same_turn(lab: Lab, over: Callable[[], None]) -> None:
    client = lab.connect()
    client.call("SET a 1 PX 10")
    lab.advance_ms(11)
    assert client.call("DBSIZE") == b":1\r\n"
    lab.server.dispatcher.sweep_if_due()
    lab.settle()
    assert client.call("DBSIZE") == b":0\r\n"


def test_a_turn_has_one_moment(lab: Lab, over: Callable[[], None]) -> None:
    client = lab.connect()
    client.call("SET a 1 PX 100")
    assert client.call("PTTL a") == b":100\r\n"
    lab.advance_ms(40)
    assert client.call("PTTL a") == b":100\r\n"
    over()
    assert client.call("PTTL a") == b":60\r\n"


def test_a_key_does_not_live_longer_than_its_deadline_because_a_turn_began_before_it_was_set(
    lab: Lab, over: Callable[[], None]
) -> None:
    client = lab.connect()
    client.call("GET a")
    lab.advance_ms(5)
    assert client.call("SET a 1 PX 100", "PTTL a") == b"+OK\r\n:100\r\n"
    assert client.call("PTTL a") == b":100\r\n"


def test_a_read_that_fails_ends_the_turn(lab: Lab, over: Callable[[], None]) -> None:
    stumbling = CommandTable(group="string")

    @stumbling.read("STUMBLE", arity=1, since="0", summary="Meets a defect while reading.")
    def stumble(context: Any, args: list[bytes]) -> str:
        raise ZeroDivisionError("a defect")

    lab.server.state.registry = Registry([*TABLES, stumbling])
    client = lab.connect()
    client.call("GET a")
    executor = lab.server.dispatcher.snapshot.executor()
    assert lab.server.dispatcher.snapshot.executor() is executor
    assert client.call("STUMBLE").startswith(b"-ERR internal error")
    assert lab.server.dispatcher.snapshot.executor() is not executor


def test_a_setting_is_in_force_for_the_next_read_of_the_same_turn(lab: Lab, over: Callable[[], None]) -> None:
    listener, client = lab.connect(), lab.connect()
    listener.call("SUBSCRIBE __keyevent@0__:keymiss")
    before = len(listener.transport.sent)
    assert client.call("GET a") == b"$-1\r\n"
    assert (
        client.call("CONFIG SET notify-keyspace-events KEA", "CONFIG SET notify-keyspace-events Em") == b"+OK\r\n" * 2
    )
    assert client.call("GET a") == b"$-1\r\n"
    assert listener.transport.sent[before:].endswith(b"$1\r\na\r\n")
    assert client.call("CONFIG SET notify-keyspace-events ''", "GET a") == b"+OK\r\n$-1\r\n"
    assert listener.transport.sent[before:].count(b"keymiss") == 1


def test_the_store_is_opened_anew_only_when_no_snapshot_is_open(lab: Lab, over: Callable[[], None]) -> None:
    client = lab.connect()
    client.call("SET a 1")
    assert client.call("GET a", "CONFIG SET appendfsync always", "GET a") == b"$1\r\n1\r\n+OK\r\n$1\r\n1\r\n"
    assert client.call("GET a", "SET a 2", "GET a") == b"$1\r\n1\r\n+OK\r\n$1\r\n2\r\n"
