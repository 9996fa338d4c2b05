"""Messages on their way out: behind what waits already, in their order, and not without end."""

from __future__ import annotations

from typing import Any

import pytest

from keyp.execution.executor import MESSAGES_BEYOND, MESSAGES_MAX
from keyp.net.connection import BURST_MAX
from keyp.net.late_messages import LATE_AT_ONCE
from keyp.server.pubsub import COMPARED_AT_ONCE
from tests import wire
from tests.fakes import Connection, Lab

MESSAGE_BYTES = 1 << 16


@pytest.fixture
def listener(lab: Lab) -> Connection:
    client = lab.connect()
    client.call("SUBSCRIBE a")
    client.transport.sent = b""
    return client


@pytest.fixture
def speaker(lab: Lab) -> Connection:
    return lab.connect()


def publish(speaker: Connection, *texts: bytes) -> None:
    speaker.send(b"".join([wire.request(b"PUBLISH", b"a", text) for text in texts]))


def texts(sent: bytes) -> list[Any]:
    """The texts of the messages among what was sent."""
    return [message[2] for message in wire.parse_all(sent) if message[0] == b"message"]


def numbered(count: int, size: int = MESSAGE_BYTES) -> list[bytes]:
    return [b"%d" % number + bytes(size) for number in range(count)]


def waiting(client: Connection) -> int:
    return client.connection.client.output_buffered


def test_messages_of_one_iteration_leave_in_one_send(lab: Lab, listener: Connection, speaker: Connection) -> None:
    lab.server.outbox.is_prompt = True
    before = listener.transport.socket.sends
    publish(speaker, b"1", b"2", b"3")
    assert texts(listener.transport.sent) == [b"1", b"2", b"3"]
    assert listener.transport.socket.sends == before + 1


def test_many_messages_do_not_wait_for_the_burst(lab: Lab, listener: Connection, speaker: Connection) -> None:
    speaker.protocol.dataReceived(wire.request(b"PUBLISH", b"a", bytes(BURST_MAX)))
    assert len(listener.transport.sent) > BURST_MAX


def test_what_the_socket_does_not_take_comes_later_and_in_order(
    lab: Lab, listener: Connection, speaker: Connection
) -> None:
    messages = numbered(100)
    listener.transport.socket.room = 1000
    publish(speaker, *messages)
    assert len(listener.transport.sent) == 1000
    assert len(listener.transport.value()) < LATE_AT_ONCE
    assert waiting(listener) > 99 * MESSAGE_BYTES
    while len(listener.transport.sent) < 100 * MESSAGE_BYTES:
        left = waiting(listener)
        listener.transport.drain()
        lab.settle()
        assert waiting(listener) < left
    assert texts(listener.transport.sent) == messages
    assert waiting(listener) == 0


def test_a_socket_that_takes_a_little_at_a_time(lab: Lab, listener: Connection, speaker: Connection) -> None:
    messages = numbered(40)
    listener.transport.socket.room = 0
    publish(speaker, *messages)
    for _ in range(200):
        listener.transport.drain()
        listener.transport.socket.room = 100_000
        lab.settle()
    assert texts(listener.transport.sent) == messages
    assert waiting(listener) == 0


def test_replies_of_who_listens_keep_their_place(lab: Lab, speaker: Connection) -> None:
    listener = lab.connect()
    listener.call("HELLO 3", "SUBSCRIBE a")
    listener.transport.sent = b""
    lab.writer_thread.held = True
    listener.send(b"SET k v\r\nUNSUBSCRIBE a\r\n")
    listener.transport.socket.room = 0
    publish(speaker, b"1", b"2")
    publish(speaker, b"3")
    lab.writer_thread.work()
    lab.settle()
    publish(speaker, b"4")
    listener.transport.drain()
    lab.settle()
    assert wire.parse_all(listener.transport.sent) == [
        *[[b"message", b"a", text] for text in (b"1", b"2", b"3")],
        "OK",
        [b"unsubscribe", b"a", 0],
    ]


def test_a_message_waits_behind_replies_that_wait_for_an_effect(lab: Lab, speaker: Connection) -> None:
    listener = lab.connect()
    listener.send(b"HELLO 3\r\nSUBSCRIBE a\r\nDEBUG SLEEP 1\r\nPING\r\n")
    publish(speaker, b"1", b"2")
    lab.settle()
    assert listener.transport.sent == b""
    lab.advance_ms(1000)
    assert wire.parse_all(listener.transport.sent)[1:] == [
        [b"subscribe", b"a", 1],
        "OK",
        "PONG",
        [b"message", b"a", b"1"],
        [b"message", b"a", b"2"],
    ]
    assert waiting(listener) == 0
    publish(speaker, b"3")
    assert texts(listener.transport.sent[-100:][listener.transport.sent[-100:].index(b">") :])[-1] == b"3"


def test_who_does_not_read_is_cut_off(lab: Lab, listener: Connection, speaker: Connection) -> None:
    speaker.call('CONFIG SET client-output-buffer-limit "pubsub 1mb 0 0"')
    listener.transport.socket.room = 0
    publish(speaker, *numbered(15))
    assert not listener.transport.aborted
    publish(speaker, *numbered(3))
    assert listener.transport.aborted
    assert speaker.call("PUBLISH a x") == b":0\r\n"
    listener.lose()


def test_who_reads_slowly_stays_connected(lab: Lab, listener: Connection, speaker: Connection) -> None:
    """What has left counts no more: only what waits at once is limited."""
    speaker.call('CONFIG SET client-output-buffer-limit "pubsub 3mb 0 0"')
    for _ in range(20):
        listener.transport.socket.room = 0
        publish(speaker, *numbered(16))
        listener.transport.drain()
        lab.settle()
    assert not listener.transport.aborted
    assert len(texts(listener.transport.sent)) == 320


def test_too_much_for_too_long(lab: Lab, listener: Connection, speaker: Connection) -> None:
    speaker.call('CONFIG SET client-output-buffer-limit "pubsub 0 1mb 5"')
    listener.transport.socket.room = 0
    publish(speaker, *numbered(20))
    for _ in range(5):
        lab.advance_ms(1000)
        lab.server.each_second()
        assert not listener.transport.aborted
    lab.advance_ms(1000)
    lab.server.each_second()
    assert not listener.transport.aborted
    lab.advance_ms(1000)
    lab.server.each_second()
    assert listener.transport.aborted


def test_not_for_that_long(lab: Lab, listener: Connection, speaker: Connection) -> None:
    speaker.call('CONFIG SET client-output-buffer-limit "pubsub 0 1mb 5"')
    for _ in range(4):
        listener.transport.socket.room = 0
        publish(speaker, *numbered(20))
        for _ in range(4):
            lab.advance_ms(1000)
            lab.server.each_second()
        while waiting(listener):
            listener.transport.drain()
            lab.settle()
        lab.advance_ms(1000)
        lab.server.each_second()
    assert not listener.transport.aborted


def test_a_limit_that_is_lowered_counts_at_once(lab: Lab, listener: Connection, speaker: Connection) -> None:
    listener.transport.socket.room = 0
    publish(speaker, *numbered(20))
    speaker.call('CONFIG SET client-output-buffer-limit "pubsub 1mb 0 0"')
    lab.server.each_second()
    assert listener.transport.aborted


def test_normal_clients_have_limits_of_their_own(lab: Lab, speaker: Connection) -> None:
    reader = lab.connect()
    speaker.send(wire.request(b"SET", b"k", bytes(1 << 20)))
    reader.transport.socket.room = 0
    reader.send(b"GET k\r\nGET k\r\n")
    assert not reader.transport.aborted
    speaker.call('CONFIG SET client-output-buffer-limit "normal 1mb 0 0"')
    lab.server.each_second()
    assert reader.transport.aborted
    other = lab.connect()
    other.transport.socket.room = 0
    other.send(b"GET k\r\n")
    assert other.transport.aborted


def test_a_client_that_is_closed_gets_what_waits(lab: Lab, listener: Connection, speaker: Connection) -> None:
    listener.transport.socket.room = 0
    publish(speaker, b"1")
    publish(speaker, b"2")
    listener.connection.finish()
    publish(speaker, b"3")
    assert texts(listener.transport.value()) == [b"1", b"2"]
    assert listener.transport.disconnecting


def test_a_thousand_listeners(lab: Lab, speaker: Connection) -> None:
    listeners = [lab.connect() for _ in range(1000)]
    for client in listeners:
        client.protocol.dataReceived(b"SUBSCRIBE a\r\n")
    lab.settle()
    assert speaker.call("PUBLISH a x") == b":1000\r\n"
    assert all(client.transport.sent.endswith(b"$1\r\nx\r\n") for client in listeners)


def test_who_publishes_much_lets_others_have_their_turn(lab: Lab, speaker: Connection) -> None:
    listeners = [lab.connect() for _ in range(50)]
    for client in listeners:
        client.transport.socket.room = 0
        client.call("SUBSCRIBE a")
    texts_sent = numbered(200, 10)
    speaker.protocol.dataReceived(b"".join([wire.request(b"PUBLISH", b"a", text) for text in texts_sent]))
    heard = [client.connection.client.output_buffered for client in listeners]
    other = lab.connect()
    other.protocol.dataReceived(b"PING\r\n")
    lab.server.outbox.flush()
    assert other.transport.sent == b"+PONG\r\n"
    assert [client.connection.client.output_buffered for client in listeners] == heard
    one = len(wire.request(b"message", b"a", texts_sent[0]))
    assert MESSAGES_MAX * one // 2 < sum(heard) < 2 * MESSAGES_MAX * one  # the room it takes is about that of a request
    lab.settle()
    assert wire.parse_all(speaker.transport.sent) == [50] * 200
    for client in listeners:
        client.transport.drain()
        lab.settle()
        assert texts(client.transport.sent) == texts_sent


def test_who_waits_for_a_key_hears_messages_meanwhile(lab: Lab, speaker: Connection) -> None:
    listener = lab.connect()
    listener.call("HELLO 3", "SUBSCRIBE a", "BLPOP k 0", "PING")
    listener.transport.sent = b""
    publish(speaker, b"1")
    assert texts(listener.transport.sent) == [b"1"]
    speaker.call("RPUSH k x", "PUBLISH a 2")
    later = wire.parse_all(listener.transport.sent)[1:]
    assert [message for message in later if isinstance(message, wire.Push)] == [[b"message", b"a", b"2"]]
    assert [reply for reply in later if not isinstance(reply, wire.Push)] == [[b"k", b"x"], "PONG"]


def test_who_publishes_beside_many_patterns_lets_others_have_their_turn(lab: Lab, speaker: Connection) -> None:
    """Each message is compared with all of them, although none gets it: one message is enough for a turn."""
    listener = lab.connect()
    listener.send(wire.request(b"PSUBSCRIBE", *[b"%d:*" % number for number in range(3 * MESSAGES_BEYOND)]))
    lab.server.outbox.is_prompt = True
    speaker.protocol.dataReceived(wire.request(b"PUBLISH", b"a", b"text") * 100)
    lab.server.outbox.flush()
    assert speaker.transport.sent == b":0\r\n"
    lab.settle()
    assert speaker.transport.sent == b":0\r\n" * 100
    assert lab.clock.breaths >= 100 * (3 * MESSAGES_BEYOND // COMPARED_AT_ONCE)  # on a thread, without keeping the lock
