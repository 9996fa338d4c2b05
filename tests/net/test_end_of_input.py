"""Clients that end their input, or leave: what has arrived runs, its replies leave, and nothing else remains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from keyp.execution.executor import REPLIES_MAX
from keyp.net.backlog import WAITING_MAX
from tests import wire
from tests.fakes import Connection, Lab

PUSH = wire.request(b"RPUSH", b"l", b"x")


def pushed(lab: Lab) -> int:
    length = wire.parse(lab.connect().call("LLEN l"))
    assert isinstance(length, int)
    return length


def is_over(client: Connection) -> bool:
    """Whether the server has let go of a client: closed it where it was still there, and forgotten it."""
    if not client.transport.disconnected:
        assert client.transport.disconnecting
        client.lose()
        client.lab.settle()
    return client.lab.server.state.clients.get(client.connection.client.id) is None


def test_a_client_at_rest_that_ends_its_input_is_closed_at_once(lab: Lab) -> None:
    client = lab.connect()
    client.call("PING")
    client.end_input()
    assert client.transport.disconnected  # without another round of the reactor
    assert is_over(client)


@pytest.mark.parametrize("held", [False, True])
def test_what_was_sent_before_the_end_is_answered(lab: Lab, held: bool) -> None:
    lab.writer_thread.held = held
    client = lab.connect()
    client.send(b"SET a 1\r\nGET a\r\n")
    client.send(b"GET a\r\nGET")  # of which the last never ends
    client.end_input()
    while lab.writer_thread.line:
        assert not client.transport.disconnecting
        lab.writer_thread.work()
        lab.settle()
    assert client.transport.sent == b"+OK\r\n$1\r\n1\r\n$1\r\n1\r\n"
    assert is_over(client)


def test_nothing_is_read_any_more_after_the_end(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reactor that went on reading would find the end again and again."""
    lab.writer_thread.held = True
    client = lab.connect()
    for _ in range(2 * WAITING_MAX // len(PUSH * 1000)):
        client.send(PUSH * 1000)
    client.end_input()
    asked: list[None] = []
    monkeypatch.setattr(client.transport, "resumeProducing", lambda: asked.append(None))
    while lab.writer_thread.line:
        lab.writer_thread.work()
        lab.settle()
    assert asked == []
    assert is_over(client)


def test_a_transaction_is_run_and_an_open_one_is_not(lab: Lab) -> None:
    lab.writer_thread.held = True
    client, other = lab.connect(), lab.connect()
    client.send(b"MULTI\r\nSET a 1\r\nEXEC\r\n")
    client.send(b"MULTI\r\nSET a 2\r\n")
    client.end_input()
    lab.writer_thread.work()
    lab.settle()
    assert client.transport.sent == b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n+OK\r\n+QUEUED\r\n"
    assert other.call("GET a") == b"$1\r\n1\r\n"
    assert is_over(client)


def test_a_walk_on_a_readers_thread_is_answered(lab: Lab) -> None:
    lab.reader_threads.held = True
    client = lab.connect()
    client.call("SET a 1")
    client.send(b"KEYS *\r\n")
    client.end_input()
    lab.reader_threads.work()
    lab.settle()
    assert client.transport.sent == b"+OK\r\n*1\r\n$1\r\na\r\n"
    assert is_over(client)


def test_replies_that_wait_for_an_effect_or_a_pause_leave(lab: Lab) -> None:
    sleeper, paused, admin = lab.connect(), lab.connect(), lab.connect()
    sleeper.call("DEBUG SLEEP 0.5")
    sleeper.end_input()
    admin.call("CLIENT PAUSE 600 WRITE")
    paused.call("SET a 1")
    paused.end_input()
    assert sleeper.transport.sent == paused.transport.sent == b""
    lab.advance_ms(700)
    assert sleeper.transport.sent == paused.transport.sent == b"+OK\r\n"
    assert is_over(sleeper)
    assert is_over(paused)


def test_replies_larger_than_the_socket_takes_leave_as_it_takes_them(lab: Lab) -> None:
    client = lab.connect()
    value = b"v" * (REPLIES_MAX // 3)
    client.send(wire.request(b"SET", b"a", value))
    lab.writer_thread.held = True
    client.send(b"SET b 1\r\n")
    client.send(b"GET a\r\n" * 20)
    client.end_input()
    client.transport.socket.room = 0
    lab.writer_thread.work()
    lab.settle()
    for _ in range(40):
        assert not client.transport.disconnected
        client.transport.drain()
        client.transport.socket.room = 1000
        lab.settle()
    client.transport.drain()
    assert client.transport.sent == b"+OK\r\n" * 2 + (b"$%d\r\n%b\r\n" % (len(value), value)) * 20
    assert is_over(client)


def test_a_broken_request_is_answered_before_the_end(lab: Lab) -> None:
    lab.writer_thread.held = True
    client = lab.connect()
    client.send(b"SET a 1\r\n")
    client.send(b"*x\r\n")
    client.end_input()
    lab.writer_thread.work()
    lab.settle()
    assert client.transport.sent == b"+OK\r\n-ERR Protocol error: invalid multibulk length\r\n"
    assert is_over(client)


def test_who_listens_to_channels_is_closed(lab: Lab) -> None:
    client, other = lab.connect(), lab.connect()
    client.call("SUBSCRIBE a")
    client.end_input()
    assert other.call("PUBLISH a x") == b":0\r\n"
    assert is_over(client)


# Clients that wait for a key.


@pytest.mark.parametrize("leaves", [Connection.end_input, Connection.lose])
@pytest.mark.parametrize("busy", [False, True])
def test_who_leaves_while_it_waits_takes_nothing_and_what_stands_behind_does_not_run(
    lab: Lab, leaves: Callable[[Connection], None], busy: bool
) -> None:
    client, other = lab.connect(), lab.connect()
    client.send(b"PING\r\nBLPOP q 0\r\nSET behind 1\r\n")
    client.send(b"SET behind 1\r\n")
    lab.writer_thread.held = busy
    other.send(b"SET something 1\r\n")
    leaves(client)
    if busy:
        lab.writer_thread.work()
        lab.writer_thread.held = False
    lab.settle()
    assert client.transport.sent == b"+PONG\r\n"
    assert is_over(client)
    assert other.call("RPUSH q x", "LLEN q", "EXISTS behind") == b":1\r\n:1\r\n:0\r\n"
    assert b"blocked_clients:0\r\n" in other.call("INFO clients")


def test_an_end_that_came_before_the_waiting_began_ends_it(lab: Lab) -> None:
    lab.writer_thread.held = True
    client, other = lab.connect(), lab.connect()
    client.send(b"SET a 1\r\n")
    client.send(b"BLPOP q 0\r\nSET behind 1\r\n")
    client.end_input()
    lab.writer_thread.work()
    lab.settle()
    lab.writer_thread.work()
    lab.settle()
    lab.writer_thread.held = False
    assert client.transport.sent == b"+OK\r\n"
    assert is_over(client)
    assert other.call("RPUSH q x", "LLEN q", "EXISTS behind") == b":1\r\n:1\r\n:0\r\n"


def test_who_was_served_before_its_end_showed_is_answered(lab: Lab) -> None:
    client, other = lab.connect(), lab.connect()
    client.send(b"BLPOP q 0\r\n")
    lab.writer_thread.held = True
    other.send(b"RPUSH q x\r\n")
    function, argument, result = lab.writer_thread.line.pop()
    report = function(argument)
    client.end_input()
    result.callback(report)
    lab.settle()
    lab.writer_thread.held = False
    assert client.transport.sent == b"*2\r\n$1\r\nq\r\n$1\r\nx\r\n"
    assert is_over(client)


def test_who_is_killed_while_it_waits_takes_nothing(lab: Lab) -> None:
    client, other = lab.connect(), lab.connect()
    client.send(b"BLPOP q 0\r\n")
    other.call(f"CLIENT KILL ID {client.connection.client.id}")
    assert other.call("RPUSH q x", "LLEN q") == b":1\r\n:1\r\n"
    assert is_over(client)


def test_who_waits_is_read_on_however_much_it_sends(lab: Lab) -> None:
    """Only so its end shows. What it sends is not parsed meanwhile: requests take more room than their bytes."""
    client, other = lab.connect(), lab.connect()
    client.send(b"BLPOP q 0\r\n")
    sent = 0
    while sent < 3 * WAITING_MAX // len(PUSH):
        client.send(PUSH * 5000)
        sent += 5000
        assert client.transport.producerState == "producing"
    assert client.connection.client.input_buffered == sent * len(PUSH)
    other.call("RPUSH q x")
    assert client.transport.sent.count(b":") == sent == pushed(lab)
    assert client.transport.producerState == "producing"
    assert client.connection.client.input_buffered == 0


def test_who_waits_is_read_again_when_it_has_taken_the_replies_before(lab: Lab) -> None:
    client = lab.connect()
    client.transport.socket.room = 0
    client.send(b"PING\r\nBLPOP q 0\r\n")
    assert client.transport.producerState == "paused"
    client.transport.drain()
    assert client.transport.producerState == "producing"
    client.end_input()
    assert client.transport.sent == b"+PONG\r\n"
    assert is_over(client)


def test_who_waits_and_sends_more_than_the_limit_is_closed(lab: Lab) -> None:
    client, other = lab.connect(), lab.connect()
    other.call("CONFIG SET client-query-buffer-limit 1mb")
    client.send(b"BLPOP q 0\r\n")
    client.send(PUSH * 20_000)
    assert not client.transport.disconnecting
    client.send(PUSH * 20_000)
    assert client.transport.sent == b""
    assert is_over(client)
    assert other.call("RPUSH q x", "LLEN q", "EXISTS l") == b":1\r\n:1\r\n:0\r\n"


# Clients that are gone.


def test_what_a_client_that_is_gone_has_sent_runs(lab: Lab) -> None:
    """Also what the kernel has received and nobody has read, because the client did not take its replies."""
    lab.writer_thread.held = True
    client = lab.connect()
    client.send(PUSH)
    client.send(PUSH * 10)
    client.transport.socket.unread = PUSH * 100_000 + PUSH[:5]
    client.lose()
    while lab.writer_thread.line:
        lab.writer_thread.work()
        lab.settle()
    lab.writer_thread.held = False
    assert client.transport.sent == b""
    assert pushed(lab) == 100_011
    assert is_over(client)


def test_reads_for_nobody_do_not_run(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET a " + "v" * 50_000)
    client.transport.socket.room = 0
    client.send(b"GET a\r\n" * 100)
    client.transport.socket.unread = b"GET a\r\n" * 5000
    calls = lab.server.state.metrics.commands["get"].calls
    client.lose()
    lab.settle()
    assert lab.server.state.metrics.commands["get"].calls == calls
    assert is_over(client)


def test_a_client_that_was_told_to_go_does_not_run_what_is_unread(lab: Lab) -> None:
    client = lab.connect()
    client.call("QUIT")
    client.transport.socket.unread = PUSH
    client.lose()
    lab.settle()
    assert pushed(lab) == 0


def test_a_stop_ends_what_clients_that_are_gone_have_left(lab: Lab) -> None:
    lab.writer_thread.held = True
    client = lab.connect()
    client.send(PUSH)
    client.send(PUSH)
    client.lose()
    gone: list[None] = []
    lab.server.finish_clients().addCallback(gone.append)
    assert gone == []
    lab.writer_thread.work()
    lab.settle()
    assert gone == [None]
    assert lab.writer_thread.line == []


# More than the connection keeps at once.


def test_a_large_request_behind_a_slow_one_does_not_stop_the_reading_for_ever(lab: Lab) -> None:
    lab.writer_thread.held = True
    client = lab.connect()
    client.send(b"SET a 1\r\n")
    large = wire.request(b"SET", b"b", b"v" * (4 * WAITING_MAX))
    for start in range(0, len(large), WAITING_MAX // 4):
        assert client.transport.producerState == "producing"
        client.send(large[start : start + WAITING_MAX // 4])
        if start == 2 * WAITING_MAX:
            lab.writer_thread.work()
            lab.settle()
    assert client.transport.producerState == "producing"
    lab.writer_thread.work()
    assert client.transport.sent == b"+OK\r\n" * 2


def test_what_is_left_of_a_batch_does_not_let_more_and_more_come_in(lab: Lab) -> None:
    """A batch ends early again and again, its client goes on sending: no more waits than may."""
    client = lab.connect()
    client.call("SET a " + "v" * 60_000)
    turns: list[Any] = []
    server: Any = lab.server
    server.call_soon = client.connection._call_soon = lambda function: turns.append(function)
    client.protocol.dataReceived(b"GET a\r\n" * 1000)
    while client.transport.producerState == "producing":
        client.protocol.dataReceived((b"GET" + b" " * 600 + b"a\r\n") * 1000)
        turns.pop()()
        assert client.connection._backlog.waiting_bytes < 2 * WAITING_MAX
    assert client.connection._backlog.waiting_bytes > WAITING_MAX
