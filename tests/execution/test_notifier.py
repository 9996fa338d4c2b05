"""Messages and events: after the commit, in the order in which things happened, never of what was undone."""

from __future__ import annotations

from typing import Any

import pytest

from keyp.command.registry import Registry
from keyp.command.table import CommandTable
from keyp.commands.all import TABLES
from keyp.storage.types import strings
from tests import wire
from tests.counting import CountingLmdb
from tests.fakes import Connection, Lab

FAULTY = CommandTable(group="string")


@FAULTY.write("HALFWAY", arity=2, since="0", summary="Writes and tells of it, then meets a defect.")
def halfway(context: Any, args: list[bytes]) -> str:
    strings.put(context.keys, args[1], b"half")
    context.keys.notify(1 << 3, "halfway", args[1])
    raise ZeroDivisionError("a defect")


def heard(client: Connection) -> list[Any]:
    """What the client has been sent, as values; the next look begins behind it."""
    sent, client.transport.sent = client.transport.sent, b""
    return wire.parse_all(sent)


def told(client: Connection) -> list[str]:
    """The events among it, as `database:event key`."""
    events: list[str] = []
    for message in heard(client):
        _, _, channel, key = message
        database, _, name = channel.decode().removeprefix("__keyevent@").partition("__:")
        events.append(f"{database}:{name} {key.decode('latin-1')}")
    return events


@pytest.fixture
def listener(lab: Lab) -> Connection:
    """A client that hears of all events."""
    client = lab.connect()
    client.call("CONFIG SET notify-keyspace-events AEmn", "PSUBSCRIBE __keyevent@*")
    client.transport.sent = b""
    return client


def test_nothing_is_heard_before_the_commit(lab: Lab, listener: Connection) -> None:
    client = lab.connect()
    lab.writer_thread.held = True
    client.send(b"SET k v\r\nPUBLISH __keyevent@me x\r\n")
    assert heard(listener) == []
    lab.writer_thread.work()
    lab.settle()
    assert told(listener) == ["0:new k", "0:set k", "me: x"]


def test_events_and_messages_come_in_the_order_of_the_calls(lab: Lab, listener: Connection) -> None:
    one, other = lab.connect(), lab.connect()
    listener.call("SUBSCRIBE a")
    heard(listener)
    one.protocol.dataReceived(
        b"SET k 1\r\nPUBLISH a 1\r\nDEL k\r\nMULTI\r\nSET k 2\r\nPUBLISH a 2\r\nDEL k\r\nEXEC\r\n"
    )
    other.protocol.dataReceived(b"SET l 1\r\nPUBLISH a 3\r\n")
    lab.settle()
    assert lab.server.state.metrics.commit_groups == 1
    assert [message[-1] if message[0] == b"message" else message[-2][15:] for message in heard(listener)] == [
        *(b"new", b"set", b"1", b"del"),
        *(b"new", b"set", b"2", b"del"),
        *(b"new", b"set", b"3"),
    ]


def test_what_was_undone_is_never_heard_of(lab: Lab, listener: Connection) -> None:
    lab.server.state.registry = Registry([*TABLES, FAULTY])
    one, other = lab.connect(), lab.connect()
    one.protocol.dataReceived(b"SET k 1\r\nPUBLISH __keyevent@0__:x k\r\n")
    other.protocol.dataReceived(b"SET l 1\r\nPUBLISH __keyevent@0__:x l\r\nHALFWAY l\r\n")
    lab.settle()
    assert told(listener) == ["0:new k", "0:set k", "0:x k"]


def test_a_batch_that_is_undone_has_not_subscribed(lab: Lab) -> None:
    lab.server.state.registry = Registry([*TABLES, FAULTY])
    client = lab.connect()
    client.call("HELLO 3")
    client.call("SUBSCRIBE a", "HALFWAY k")
    assert not lab.server.state.pubsub.has_listeners
    assert client.connection.client.state.subscriptions == (0, 0, 0)
    assert client.call("PING") == b"+PONG\r\n"


def test_a_batch_that_runs_twice_subscribes_and_publishes_once(lab: Lab) -> None:
    lab.server.state.registry = Registry([*TABLES, FAULTY])
    client, bad = lab.connect(), lab.connect()
    client.call("HELLO 3")
    client.transport.sent = b""
    client.protocol.dataReceived(b"SUBSCRIBE a\r\nSET k v\r\nPUBLISH a x\r\n")
    bad.protocol.dataReceived(b"HALFWAY k\r\n")
    lab.settle()
    assert heard(client) == [[b"subscribe", b"a", 1], "OK", 1, [b"message", b"a", b"x"]]


def test_a_read_that_needs_the_writer_tells_of_a_miss_once(lab: Lab, listener: Connection) -> None:
    lab.connect().call("GET nosuch", "MULTI", "GET nosuch2", "SET k v", "EXEC", "GET nosuch3")
    assert told(listener) == ["0:keymiss nosuch", "0:keymiss nosuch2", "0:new k", "0:set k", "0:keymiss nosuch3"]


def test_misses_are_told_from_every_way_a_read_can_take(lab: Lab, listener: Connection) -> None:
    client = lab.connect()
    client.call("GET on-the-reactor")
    client.call("LCS walking walking2")
    client.call("MGET " + " ".join(["many"] * 1100))
    client.call("SET k v", "GET beside-a-write")
    events = told(listener)
    assert events[:3] == ["0:keymiss on-the-reactor", "0:keymiss walking", "0:keymiss walking2"]
    assert events[3:-3] == ["0:keymiss many"] * 1100
    assert events[-3:] == ["0:new k", "0:set k", "0:keymiss beside-a-write"]


def test_the_sweeper_tells_of_what_has_expired(lab: Lab, listener: Connection) -> None:
    client = lab.connect()
    long_name = "x" * 600
    client.call("SELECT 3", "SET a 1 PX 10", f"SET {long_name} 1 PX 20", "SET b 1 PX 1000")
    told(listener)
    lab.advance_ms(25)
    lab.server.dispatcher.sweep_if_due()
    lab.settle()
    assert told(listener) == ["3:expired a", f"3:expired {long_name}"]
    lab.advance_ms(1000)
    client.call("SET b 2")
    assert told(listener) == ["3:expired b", "3:new b", "3:set b"]


def test_an_expired_key_is_told_of_once(lab: Lab, listener: Connection) -> None:
    client = lab.connect()
    client.call("SET a 1 PX 10")
    told(listener)
    lab.advance_ms(25)
    client.call("GET a")
    lab.server.dispatcher.sweep_if_due()
    lab.settle()
    lab.advance_ms(100)
    lab.server.dispatcher.sweep_if_due()
    lab.settle()
    assert told(listener) == ["0:keymiss a", "0:expired a"]


def test_on_both_kinds_of_channels(lab: Lab) -> None:
    client, listener = lab.connect(), lab.connect()
    listener.call("PSUBSCRIBE *", "SUBSCRIBE __keyspace@2__:k")
    listener.transport.sent = b""
    client.call("CONFIG SET notify-keyspace-events KE$", "SELECT 2", "SET k v EX 100")
    assert heard(listener) == [
        [b"message", b"__keyspace@2__:k", b"set"],
        [b"pmessage", b"*", b"__keyspace@2__:k", b"set"],
        [b"pmessage", b"*", b"__keyevent@2__:set", b"k"],
    ]


def test_neither_kind_of_channel_is_no_event(lab: Lab, listener: Connection) -> None:
    client = lab.connect()
    client.call("CONFIG SET notify-keyspace-events A", "SET k v")
    assert (lab.server.dispatcher.shared.wanted_events, heard(listener)) == (0, [])


def test_a_setting_counts_from_the_next_call_on(lab: Lab, listener: Connection) -> None:
    client = lab.connect()
    client.call("CONFIG SET notify-keyspace-events Eg", "SET a 1", "DEL a", "CONFIG SET notify-keyspace-events E$")
    client.call("SET b 1", "CONFIG SET notify-keyspace-events K$", "SET c 1", "DEL b")
    assert told(listener) == ["0:del a", "0:set b"]


def test_an_error_and_its_effects_stay_in_their_places(
    lab: Lab, listener: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that fails replaces the reply of its own call; the message stays behind its own."""
    client = lab.connect()
    client.call("HELLO 3", "SUBSCRIBE a")
    client.transport.sent = b""
    monkeypatch.setattr(lab.server, "sync", _failing_sync)
    client.call("PUBLISH a 1", "WAITAOF 1 0 0", "PUBLISH a 2", "PING")
    assert heard(client) == [
        1,
        [b"message", b"a", b"1"],
        "ERR the server could not do this; see its log",
        1,
        [b"message", b"a", b"2"],
        "PONG",
    ]


def _failing_sync() -> Any:
    from twisted.internet.defer import fail

    return fail(ZeroDivisionError("a defect"))


def test_without_listeners_and_events_nothing_is_done(lab: Lab) -> None:
    """No call of LMDB more, no effect, no event; a message to nobody costs a snapshot, like any command."""
    client = lab.connect()
    client.call("SET k v")
    real = lab.environment.lmdb
    counting: Any = CountingLmdb(real)
    lab.environment.lmdb = counting
    client.call("PUBLISH a x", "SUBSCRIBE a", "UNSUBSCRIBE a")
    lab.environment.lmdb = real
    assert counting.counts == {"begin": 1}
