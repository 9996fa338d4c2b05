"""What publish/subscribe leaves of clients: those who are lost, lists and kills, timeouts, counts."""

from __future__ import annotations

from typing import Any

import pytest

from tests import wire
from tests.commands.conftest import listed
from tests.fakes import Connection, Lab


@pytest.fixture
def other(lab: Lab) -> Connection:
    return lab.connect()


def answers(client: Connection, *lines: str) -> list[Any]:
    """All that comes back for some commands in one chunk."""
    return wire.parse_all(client.call(*lines))


def in_resp3(client: Connection) -> Connection:
    client.call("HELLO 3")
    return client


def info(client: Connection) -> dict[str, str]:
    text = wire.parse(client.call("INFO stats")).decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def test_what_is_refused_to_who_listens_is_counted(client: Connection) -> None:
    assert client.call("SUBSCRIBE a", "GET k").endswith(b"allowed in this context\r\n")
    assert client.lab.server.state.metrics.commands["get"].rejected == 1


def test_who_is_lost_listens_no_more(client: Connection, other: Connection) -> None:
    client.call("SUBSCRIBE a", "PSUBSCRIBE *", "SSUBSCRIBE a")
    client.lose()
    assert answers(other, "PUBLISH a x", "SPUBLISH a x", "PUBSUB CHANNELS", "PUBSUB NUMPAT") == [0, 0, [], 0]


def test_who_is_lost_before_its_batch_is_done_listens_to_nothing(lab: Lab, client: Connection) -> None:
    lab.writer_thread.held = True
    client.send(b"SET k v\r\nSUBSCRIBE a\r\n")
    client.lose()
    lab.writer_thread.work()
    assert not lab.server.state.pubsub.has_listeners


def test_info_tells_how_much_is_listened_to(client: Connection, other: Connection) -> None:
    client.call("SUBSCRIBE abc abd x", "PSUBSCRIBE a* b*", "SSUBSCRIBE s1 s2")
    shown = info(other)
    assert (shown["pubsub_channels"], shown["pubsub_patterns"], shown["pubsubshard_channels"]) == ("3", "2", "2")


def test_lists_of_clients(client: Connection, other: Connection) -> None:
    client.call("SUBSCRIBE a b", "PSUBSCRIBE c", "SSUBSCRIBE d e f")
    assert [shown["flags"] for shown in listed(other)] == ["P", "N"]
    [shown] = listed(other, "CLIENT LIST TYPE pubsub")
    assert (shown["sub"], shown["psub"], shown["ssub"], shown["cmd"]) == ("2", "1", "3", "ssubscribe")
    assert [shown["flags"] for shown in listed(other, "CLIENT LIST TYPE normal")] == ["N"]
    in_resp3(other)
    assert b"flags=P db=0 sub=1 psub=0 ssub=0" in other.call("SUBSCRIBE x", "CLIENT INFO")


def test_killing_by_type(lab: Lab, client: Connection, other: Connection) -> None:
    third = lab.connect()
    client.call("SUBSCRIBE a")
    assert answers(other, "CLIENT KILL TYPE normal") == [1]
    assert third.transport.disconnecting
    assert not client.transport.disconnecting
    assert answers(other, "CLIENT KILL TYPE pubsub") == [1]
    assert answers(other, "PUBLISH a x") == [0]
    assert client.transport.disconnecting


def test_the_timeout_spares_those_who_listen(lab: Lab, client: Connection, other: Connection) -> None:
    client.call("CONFIG SET timeout 10", "SUBSCRIBE a")
    other.call("PING")
    lab.advance_ms(11_000)
    lab.server.each_second()
    assert other.transport.disconnecting
    assert not client.transport.disconnecting
    other.lose()
    client.call("UNSUBSCRIBE")
    lab.advance_ms(11_000)
    lab.server.each_second()
    assert client.transport.disconnecting
