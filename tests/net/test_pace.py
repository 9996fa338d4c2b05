"""The pace of replies: bursts, batches that end early, and who is served meanwhile. No socket, no thread, no time."""

from __future__ import annotations

from typing import Any

import pytest

from keyp.execution.executor import REPLIES_MAX
from keyp.net.connection import BURST_MAX
from keyp.net.outbox import Outbox
from keyp.net.read_size import READ_SIZES, SMALL_READS
from tests.fakes import Lab

GET = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"


def collect(lab: Lab) -> list[Any]:
    """Makes connections send in bursts, as on our own reactor; what it would call at the end of an iteration."""
    lab.server.outbox.is_prompt = True
    return lab.loop.hold(Outbox)


def test_replies_of_one_iteration_leave_in_one_burst(lab: Lab) -> None:
    soon = collect(lab)
    one, other = lab.connect(), lab.connect()
    for client in (one, other, one):
        client.protocol.dataReceived(b"PING\r\n")
    assert one.transport.sent == other.transport.sent == b""
    assert len(soon) == 1
    soon.pop()()
    assert one.transport.sent == b"+PONG\r\n" * 2
    assert other.transport.sent == b"+PONG\r\n"
    assert one.transport.socket.sends == other.transport.socket.sends == 1


def test_large_replies_do_not_wait_for_the_burst(lab: Lab) -> None:
    soon = collect(lab)
    client = lab.connect()
    client.send(b"ECHO " + b"x" * (BURST_MAX - 100) + b"\r\n")
    assert client.transport.sent == b""
    client.send(b"ECHO " + b"y" * 100 + b"\r\n")
    assert client.transport.sent.endswith(b"y\r\n")
    soon.pop()()
    assert client.transport.socket.sends == 1


def test_a_connection_that_ends_sends_first_what_waits(lab: Lab) -> None:
    collect(lab)
    client = lab.connect()
    client.send(b"PING\r\nQUIT\r\n")
    assert client.transport.sent == b"+PONG\r\n+OK\r\n"
    assert client.transport.disconnecting


def test_a_connection_that_is_gone_sends_nothing(lab: Lab) -> None:
    soon = collect(lab)
    client = lab.connect()
    client.send(b"PING\r\n")
    client.lose()
    soon.pop()()
    assert client.transport.sent == b""


def test_writes_are_answered_when_their_group_is_done_without_another_iteration(lab: Lab) -> None:
    collect(lab)
    client = lab.connect()
    assert client.call("SET a 1") == b"+OK\r\n"


def test_a_batch_with_many_bytes_of_replies_ends_early_and_goes_on_behind_the_others(lab: Lab) -> None:
    client, other = lab.connect(), lab.connect()
    value = b"v" * (REPLIES_MAX // 4)
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n%b\r\n" % (len(value), value))
    reply = b"$%d\r\n%b\r\n" % (len(value), value)
    before = len(client.transport.sent)
    client.protocol.dataReceived(GET * 40)
    assert client.transport.sent[before:] == reply * 4
    assert other.call("PING") == b"+PONG\r\n"
    lab.settle()
    assert client.transport.sent[before:] == reply * 40


def test_a_client_that_does_not_read_is_given_no_more_than_one_batch(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET a " + "v" * 50_000)
    client.transport.socket.room = 0
    client.send(GET * 5000)  # a quarter of a gigabyte of replies
    assert len(client.transport.value()) < 2 * REPLIES_MAX
    assert client.transport.producerState == "paused"


def test_what_is_left_of_a_batch_keeps_its_place(lab: Lab) -> None:
    """Behind it waits what has come meanwhile; a MULTI may be cut in two."""
    client = lab.connect()
    client.call("SET a " + "v" * 60_000)
    big = b"GET a\r\n" * (REPLIES_MAX // 60_000 + 2)
    before = len(client.transport.sent)
    client.protocol.dataReceived(b"MULTI\r\nINCR n\r\nEXEC\r\n" + big + b"INCR n\r\nMULTI\r\nINCR n\r\n")
    client.protocol.dataReceived(b"EXEC\r\nGET n\r\n")
    lab.settle()
    sent = client.transport.sent[before:]
    assert sent.startswith(b"+OK\r\n+QUEUED\r\n*1\r\n:1\r\n$60000\r\n")
    assert sent.endswith(b"vv\r\n:2\r\n+OK\r\n+QUEUED\r\n*1\r\n:3\r\n$1\r\n3\r\n")


def test_a_server_that_stops_finishes_what_is_under_way_and_no_more(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET a " + "v" * 60_000)
    client.protocol.dataReceived(GET * 100)
    lab.server.finish_clients()
    assert not client.transport.disconnecting
    lab.settle()
    assert client.transport.disconnecting


def test_the_amount_read_at_once_follows_what_comes(lab: Lab) -> None:
    client = lab.connect()
    few, more, many = READ_SIZES
    assert client.transport.bufferSize == few
    client.send(b"*1\r\n$30000\r\n" + b"x" * (few - 12))
    assert client.transport.bufferSize == more
    client.send(b"x" * more)
    assert client.transport.bufferSize == many
    client.send(b"x" * (30000 - more - few + 12) + b"\r\n")
    for sizes in ((more, many), (few, more)):
        for _ in range(SMALL_READS):
            assert client.transport.bufferSize == sizes[1]
            client.send(b"PING\r\n")
        assert client.transport.bufferSize == sizes[0]


def test_one_small_request_among_larger_ones_changes_nothing(lab: Lab) -> None:
    client = lab.connect()
    client.send(b"x" * (READ_SIZES[0] - 2) + b"\r\n")
    for _ in range(SMALL_READS):
        client.send(b"PING\r\n")
        client.send(b"x" * (READ_SIZES[0] - 2) + b"\r\n")
    assert client.transport.bufferSize == READ_SIZES[1]


def test_a_connection_that_cannot_send_holds_up_no_other(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    soon = collect(lab)
    broken, sound = lab.connect(), lab.connect()
    broken.transport.socket.room = 0
    monkeypatch.setattr(broken.transport, "write", None)
    for client in (broken, sound):
        client.send(b"PING\r\n")
    soon.pop()()
    assert sound.transport.sent == b"+PONG\r\n"


def test_replies_of_a_group_leave_together_and_ask_for_no_other_round(lab: Lab) -> None:
    soon = collect(lab)
    lab.writer_thread.held = True
    clients = [lab.connect() for _ in range(3)]
    for client in clients:
        client.protocol.dataReceived(b"INCR a\r\n")
    lab.settle()
    lab.writer_thread.work()
    assert [client.transport.sent for client in clients] == [b":1\r\n", b":2\r\n", b":3\r\n"]
    assert soon == []


def test_a_defect_while_a_group_is_published_holds_nobodys_replies_back(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = collect(lab)
    monkeypatch.setattr(lab.server, "resume_clients", _fail)
    lab.writer_thread.held = True
    one, other = lab.connect(), lab.connect()
    one.protocol.dataReceived(b"SET a 1\r\n")
    other.protocol.dataReceived(b"SET b 1\r\nCLIENT UNPAUSE\r\n")
    lab.settle()
    lab.writer_thread.work()
    assert one.transport.sent == b"+OK\r\n"
    one.protocol.dataReceived(b"PING\r\n")
    assert len(soon) == 1
    soon.pop()()
    assert one.transport.sent == b"+OK\r\n+PONG\r\n"


def _fail() -> None:
    raise AssertionError("a defect")
