"""A chunk of very many requests: others have their turn in between, and everything of it is run in its order."""

from __future__ import annotations

import pytest

from keyp.resp.parser import AT_ONCE
from tests import wire
from tests.fakes import Connection, Lab

MANY = 5 * AT_ONCE
NOTHING = [b"*0\r\n", b"*-1\r\n", b"\r\n"]


@pytest.fixture
def client(lab: Lab) -> Connection:
    lab.server.outbox.is_prompt = True
    return lab.connect()


def numbered(count: int) -> bytes:
    return b"".join([b"ECHO %d\r\n" % number for number in range(count)])


def echoed(client: Connection) -> list[bytes]:
    return wire.parse_all(client.transport.sent)


def expected(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def test_others_are_served_in_between(lab: Lab, client: Connection) -> None:
    client.protocol.dataReceived(numbered(MANY))
    lab.server.outbox.flush()
    assert echoed(client) == expected(AT_ONCE)
    other = lab.connect()
    other.protocol.dataReceived(b"PING\r\n")
    lab.server.outbox.flush()
    assert other.transport.sent == b"+PONG\r\n"
    assert echoed(client) == expected(AT_ONCE)
    lab.settle()
    assert echoed(client) == expected(MANY)
    assert client.transport.producerState == "producing"
    assert client.connection.client.input_buffered == 0


@pytest.mark.parametrize("nothing", NOTHING)
def test_requests_of_nothing_give_way_as_well(lab: Lab, client: Connection, nothing: bytes) -> None:
    client.protocol.dataReceived(nothing * MANY + b"PING\r\n")
    lab.server.outbox.flush()
    assert client.transport.sent == b""
    other = lab.connect()
    other.protocol.dataReceived(b"PING\r\n")
    lab.server.outbox.flush()
    assert other.transport.sent == b"+PONG\r\n"
    lab.settle()
    assert client.transport.sent == b"+PONG\r\n"


def test_what_comes_meanwhile_waits_behind_it(lab: Lab, client: Connection) -> None:
    data = numbered(3 * MANY)
    for place in range(0, len(data), len(data) // 7):
        client.protocol.dataReceived(data[place : place + len(data) // 7])
    lab.settle()
    assert echoed(client) == expected(3 * MANY)


def test_all_are_answered_when_the_input_has_ended(lab: Lab, client: Connection) -> None:
    client.protocol.dataReceived(numbered(MANY))
    client.end_input()
    assert echoed(client) == expected(MANY)
    assert client.transport.disconnecting


@pytest.mark.parametrize("nothing", [b"", *NOTHING])
def test_all_are_run_when_the_client_has_gone(lab: Lab, client: Connection, nothing: bytes) -> None:
    client.protocol.dataReceived((nothing + b"INCR n\r\n") * MANY)
    client.lose()
    lab.settle()
    assert lab.connect().call("GET n") == b"$%d\r\n%d\r\n" % (len(str(MANY)), MANY)
    assert lab.server.state.clients.count == 1


def test_an_error_behind_them_comes_last(lab: Lab, client: Connection) -> None:
    client.protocol.dataReceived(numbered(MANY) + b"*1\r\n+\r\n")
    lab.settle()
    *found, error = wire.parse_all(client.transport.sent)
    assert found == expected(MANY)
    assert error == "ERR Protocol error: expected '$', got '+'"
    assert client.transport.disconnecting


def test_a_slow_reader_gets_all_of_them(lab: Lab, client: Connection) -> None:
    client.transport.socket.room = 1000
    client.protocol.dataReceived(numbered(MANY))
    for _ in range(50):
        lab.settle()
        client.transport.drain(room=5000)
    lab.settle()
    assert echoed(client) == expected(MANY)
    assert client.transport.producerState == "producing"
