"""Publish/subscribe as clients see it: replies, what may be called meanwhile, messages to others and to oneself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import wire
from tests.fakes import Connection, Lab

REFUSAL = (
    "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
)
TOO_MANY = "ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP."


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


@pytest.fixture
def client(lab: Lab) -> Connection:
    return lab.connect()


@pytest.fixture
def other(lab: Lab) -> Connection:
    return lab.connect()


def answers(client: Connection, *lines: str) -> list[Any]:
    """All that comes back for some commands in one chunk."""
    return wire.parse_all(client.call(*lines))


def in_resp3(client: Connection) -> Connection:
    client.call("HELLO 3")
    return client


def received(client: Connection) -> list[Any]:
    """What the client has been sent, as values; the next look begins behind it."""
    sent, client.transport.sent = client.transport.sent, b""
    return wire.parse_all(sent)


def listed(client: Connection, line: str = "CLIENT LIST") -> list[dict[str, str]]:
    text = wire.parse(client.call(line)).decode()
    return [dict(field.split("=", 1) for field in part.split(" ")) for part in text.splitlines()]


def info(client: Connection) -> dict[str, str]:
    text = wire.parse(client.call("INFO stats")).decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def test_each_channel_is_answered(client: Connection) -> None:
    assert answers(client, "SUBSCRIBE a b a") == [
        [b"subscribe", b"a", 1],
        [b"subscribe", b"b", 2],
        [b"subscribe", b"a", 2],
    ]
    assert answers(client, "PSUBSCRIBE a* b*") == [[b"psubscribe", b"a*", 3], [b"psubscribe", b"b*", 4]]
    assert answers(client, "SSUBSCRIBE a") == [[b"ssubscribe", b"a", 1]]
    assert answers(client, "UNSUBSCRIBE") == [[b"unsubscribe", b"a", 3], [b"unsubscribe", b"b", 2]]
    assert answers(client, "PUNSUBSCRIBE") == [[b"punsubscribe", b"a*", 1], [b"punsubscribe", b"b*", 0]]
    assert answers(client, "SUNSUBSCRIBE") == [[b"sunsubscribe", b"a", 0]]
    assert answers(client, "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE x") == [
        [b"unsubscribe", None, 0],
        [b"punsubscribe", None, 0],
        [b"sunsubscribe", b"x", 0],
    ]


def test_in_resp3_they_are_pushes(client: Connection) -> None:
    in_resp3(client)
    assert client.call("SUBSCRIBE a", "UNSUBSCRIBE a") == (
        b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n"
    )
    assert client.call("UNSUBSCRIBE") == b">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n"


def test_messages_go_to_those_who_listen(lab: Lab, client: Connection, other: Connection) -> None:
    third = in_resp3(lab.connect())
    answers(client, "SUBSCRIBE news", "PSUBSCRIBE n*")
    answers(third, "SUBSCRIBE news")
    received(client), received(third)
    assert answers(other, "PUBLISH news hello") == [3]
    assert received(client) == [[b"message", b"news", b"hello"], [b"pmessage", b"n*", b"news", b"hello"]]
    assert third.transport.sent == b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n"
    assert answers(other, "PUBLISH other hello", "SPUBLISH news hello") == [0, 0]


def test_shard_channels_are_apart(client: Connection, other: Connection) -> None:
    answers(client, "SSUBSCRIBE a")
    received(client)
    assert answers(other, "PUBLISH a x", "SPUBLISH a y") == [0, 1]
    assert received(client) == [[b"smessage", b"a", b"y"]]


@pytest.mark.parametrize("listen", ["SUBSCRIBE a", "PSUBSCRIBE a", "SSUBSCRIBE a"])
def test_in_resp2_who_listens_may_do_little_else(client: Connection, listen: str) -> None:
    client.call(listen)
    assert answers(client, "GET k", "CLIENT ID", "PUBLISH a x", "MULTI") == [
        REFUSAL % "get",
        REFUSAL % "client|id",
        REFUSAL % "publish",
        REFUSAL % "multi",
    ]
    assert answers(client, "EXEC")[0].startswith("EXECABORT Transaction discarded because of: Can't execute 'exec'")
    assert answers(client, "PING", "PING hello") == [[b"pong", b""], [b"pong", b"hello"]]
    assert answers(client, "NOSUCH")[0].startswith("ERR unknown command")
    assert answers(client, "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "GET k")[-1] is None
    assert client.lab.server.state.metrics.commands["get"].rejected == 1


def test_in_resp3_who_listens_may_do_everything(client: Connection) -> None:
    in_resp3(client)
    client.call("SUBSCRIBE a")
    assert answers(client, "GET k", "PING", "SET k v") == [None, "PONG", "OK"]
    client.call("HELLO 2")
    assert answers(client, "GET k") == [REFUSAL % "get"]


def test_reset_ends_every_subscription(client: Connection, other: Connection) -> None:
    client.call("SUBSCRIBE a b", "PSUBSCRIBE c", "SSUBSCRIBE d")
    assert answers(client, "RESET", "GET k") == ["RESET", None]
    assert answers(other, "PUBLISH a x", "PUBLISH c x", "SPUBLISH d x", "PUBSUB NUMPAT") == [0, 0, 0, 0]
    assert client.connection.client.subscribed == ({}, {}, {})


def test_quit_ends_them_too(client: Connection, other: Connection) -> None:
    assert answers(client, "SUBSCRIBE a", "QUIT") == [[b"subscribe", b"a", 1], "OK"]
    assert answers(other, "PUBLISH a x") == [0]


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


def test_a_message_to_oneself_comes_behind_the_reply(client: Connection) -> None:
    in_resp3(client)
    assert answers(client, "SUBSCRIBE a", "PUBLISH a x", "GET k", "PUBLISH a y", "UNSUBSCRIBE a", "PUBLISH a z") == [
        [b"subscribe", b"a", 1],
        1,
        wire.Push([b"message", b"a", b"x"]),
        None,
        1,
        wire.Push([b"message", b"a", b"y"]),
        [b"unsubscribe", b"a", 0],
        0,
    ]


def test_a_message_to_oneself_is_in_the_protocol_of_its_moment(client: Connection) -> None:
    sent = client.call("HELLO 3", "SUBSCRIBE a", "PUBLISH a x", "RESET", "PING")
    assert wire.split(sent)[3] == b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"


def test_in_a_transaction_the_messages_come_behind_the_array(client: Connection) -> None:
    assert wire.split(client.call("MULTI", "SUBSCRIBE a b", "PUBLISH a x", "SET k v", "EXEC"))[4:] == [
        # Three calls are announced, and one of them has two replies: as in Redis.
        b"*3\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n:1\r\n",
        b"+OK\r\n",
        b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n",
    ]
    assert answers(client, "GET k") == [REFUSAL % "get"]


def test_in_a_transaction_shard_channels_are_refused(client: Connection) -> None:
    replies = answers(client, "MULTI", "SSUBSCRIBE a", "SUNSUBSCRIBE a", "EXEC", "SSUBSCRIBE a")
    assert replies[3][0] == "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"
    assert replies[3][1] == [b"sunsubscribe", b"a", 0]
    assert replies[4] == [b"ssubscribe", b"a", 1]


def test_a_transaction_that_is_called_off_publishes_nothing(client: Connection, other: Connection) -> None:
    client.call("SUBSCRIBE a")
    received(client)
    other.call("SET k 1", "WATCH k", "SET k 2", "MULTI", "PUBLISH a x", "SUBSCRIBE b", "EXEC")
    other.call("MULTI", "PUBLISH a x", "DISCARD")
    assert received(client) == []
    assert answers(other, "GET k") == [b"2"]


def test_replies_off(client: Connection, other: Connection) -> None:
    assert answers(client, "CLIENT REPLY OFF", "SUBSCRIBE a", "PING", "GET k") == [[b"subscribe", b"a", 1]]
    received(client)
    other.call("PUBLISH a x")
    assert received(client) == [[b"message", b"a", b"x"]]
    assert answers(client, "UNSUBSCRIBE") == [[b"unsubscribe", b"a", 0]]
    assert answers(client, "GET k", "CLIENT REPLY ON") == ["OK"]


def test_replies_off_in_a_transaction(client: Connection) -> None:
    client.call("CLIENT REPLY OFF")
    assert answers(client, "MULTI", "GET k", "SUBSCRIBE a", "EXEC") == [[b"subscribe", b"a", 1]]


def test_a_skipped_reply_is_not_that_of_a_subscription(client: Connection) -> None:
    in_resp3(client)
    assert answers(client, "CLIENT REPLY SKIP", "SUBSCRIBE a", "PING") == [[b"subscribe", b"a", 1], "PONG"]
    assert answers(client, "CLIENT REPLY SKIP", "PUBLISH a x", "PING") == [[b"message", b"a", b"x"], "PONG"]


def test_pubsub_tells_who_listens(client: Connection, other: Connection) -> None:
    client.call("SUBSCRIBE abc abd x", "PSUBSCRIBE a* b*", "SSUBSCRIBE s1 s2")
    assert answers(other, "PUBSUB CHANNELS", "PUBSUB CHANNELS ab?", "PUBSUB NUMPAT") == [
        [b"abc", b"abd", b"x"],
        [b"abc", b"abd"],
        2,
    ]
    assert answers(other, "PUBSUB NUMSUB abc a*", "PUBSUB NUMSUB") == [[b"abc", 1, b"a*", 0], []]
    assert answers(other, "PUBSUB SHARDCHANNELS", "PUBSUB SHARDCHANNELS *2", "PUBSUB SHARDNUMSUB s1 abc") == [
        [b"s1", b"s2"],
        [b"s2"],
        [b"s1", 1, b"abc", 0],
    ]
    assert answers(other, "PUBSUB CHANNELS a b", "PUBSUB FOO") == [
        TOO_MANY,
        "ERR unknown subcommand 'FOO'. Try PUBSUB HELP.",
    ]
    shown = info(other)
    assert (shown["pubsub_channels"], shown["pubsub_patterns"], shown["pubsubshard_channels"]) == ("3", "2", "2")


def test_a_batch_sees_its_own_subscriptions(client: Connection, other: Connection) -> None:
    in_resp3(client)
    other.call("SUBSCRIBE a")
    assert answers(client, "SUBSCRIBE a b", "PUBSUB CHANNELS", "PUBSUB NUMSUB a b", "UNSUBSCRIBE b")[2:4] == [
        [b"a", b"b"],
        [b"a", 2, b"b", 1],
    ]
    assert answers(client, "UNSUBSCRIBE", "PUBSUB CHANNELS", "PUBLISH a x", "PSUBSCRIBE *", "PUBLISH a y")[1:] == [
        [b"a"],
        1,
        [b"psubscribe", b"*", 1],
        2,
        [b"pmessage", b"*", b"a", b"y"],
    ]


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
