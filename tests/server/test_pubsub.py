"""The table of subscriptions: against a model that keeps sets and looks at everything each time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyp.algorithms.glob import Glob
from keyp.server.clients import Client
from keyp.server.pubsub import CHANNEL, PATTERN, SHARD, PubSub, Subscriptions, fits

CHANNEL_TYPES = (CHANNEL, PATTERN, SHARD)
NAMES = (b"a", b"b", b"ab", b"", b"*", b"a*", b"?", b"[ab]", b"\0\r\n")
CHANNELS = (b"a", b"b", b"ab", b"", b"abc", b"*", b"\0\r\n")


def new_client(number: int, protocol: int = 2) -> Client:
    client = Client(number, f"10.0.0.9:{number}", "127.0.0.1:6377", number, 0)
    client.state.protocol = protocol
    return client


class Model:
    """Who listens to what, as (client, channel type, name)."""

    def __init__(self) -> None:
        self.all: set[tuple[int, int, bytes]] = set()

    def count(self, channel_type: int, name: bytes) -> int:
        return sum(1 for _, of_type, of_name in self.all if (of_type, of_name) == (channel_type, name))

    def names(self, channel_type: int) -> set[bytes]:
        return {name for _, of_type, name in self.all if of_type == channel_type}

    def receivers(self, channel_type: int, channel: bytes) -> list[tuple[int, int, bytes]]:
        return sorted(
            entry
            for entry in self.all
            if entry[1:] == (channel_type, channel)
            or (channel_type == CHANNEL and entry[1] == PATTERN and fits(Glob(entry[2]), channel))
        )


def assert_same(table: PubSub | Subscriptions, model: Model) -> None:
    for channel_type in CHANNEL_TYPES:
        assert set(table.names(channel_type)) == model.names(channel_type)
        assert len(table.names(channel_type)) == len(model.names(channel_type))
        for name in NAMES:
            assert table.count(channel_type, name) == model.count(channel_type, name)
    for channel_type in (CHANNEL, SHARD):
        for channel in CHANNELS:
            matching = table.matching(channel) if isinstance(table, PubSub) else table.matching(channel_type, channel)
            if channel_type == SHARD:
                matching = None
            receivers = table.receivers(channel_type, channel, matching)
            assert receivers == len(model.receivers(channel_type, channel))


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["subscribe", "subscribe", "unsubscribe", "forget"]),
        st.sampled_from(CHANNEL_TYPES),
        st.lists(st.sampled_from(NAMES), max_size=4),
    ),
    max_size=30,
)


@given(steps=STEPS)
def test_the_table_is_what_was_done(steps: list[tuple[int, str, int, list[bytes]]]) -> None:
    table, model = PubSub(), Model()
    clients = [new_client(number, protocol=2 + number % 2) for number in range(3)]
    earlier = []
    for number, step, channel_type, names in steps:
        earlier.append({channel: table.matching(channel) for channel in CHANNELS})
        entries = {(number, channel_type, name) for name in names}
        if step == "subscribe":
            table.subscribe(clients[number], channel_type, names)
            model.all |= entries
        elif step == "unsubscribe":
            table.unsubscribe(clients[number], channel_type, names)
            model.all -= entries
        else:
            table.forget(clients[number])
            model.all = {entry for entry in model.all if entry[0] != number}
        assert_same(table, model)
        for channel_type in CHANNEL_TYPES:
            assert table.size(channel_type) == len(model.names(channel_type))
            for client in clients:
                own = {name for *of, name in model.all if of == [client.id, channel_type]}
                assert set(client.subscribed[channel_type]) == own
        for client in clients:
            assert (client.subscribed_bytes > 0) == any(client.subscribed)
        assert table.has_listeners == any(channel_type != SHARD for _, channel_type, _ in model.all)
    for channel in CHANNELS:
        addressed = table.address(CHANNEL, channel, b"x")
        expected = model.receivers(CHANNEL, channel)
        assert sorted(client.id for client, _ in addressed) == sorted(number for number, _, _ in expected)
        for client, data in addressed:
            assert data[:1] == (b">" if client.state.protocol == 3 else b"*")
        for matching in earlier:  # what matched before any of the steps is as good as to compare all
            again = table.address(CHANNEL, channel, b"x", matching=matching[channel])
            assert sorted([(client.id, data) for client, data in again]) == sorted(
                [(client.id, data) for client, data in addressed]
            )


@given(
    before=STEPS,
    changes=st.lists(st.tuples(st.booleans(), st.sampled_from(CHANNEL_TYPES), st.sampled_from(NAMES)), max_size=20),
)
def test_a_batch_sees_what_will_be_true_when_it_is_committed(
    before: list[tuple[int, str, int, list[bytes]]], changes: list[tuple[bool, int, bytes]]
) -> None:
    table, model = PubSub(), Model()
    clients = [new_client(number) for number in range(3)]
    for number, _, channel_type, names in before:
        table.subscribe(clients[number], channel_type, names)
        model.all |= {(number, channel_type, name) for name in names}
    client = clients[0]
    client.state.subscriptions = (len(client.subscribed[0]), len(client.subscribed[1]), len(client.subscribed[2]))
    client.state.is_subscriber = client.state.subscriptions != (0, 0, 0)
    state = client.state.copy()
    seen = Subscriptions(table, client, state)
    assert_same(seen, model)
    wanted: list[tuple[bool, int, bytes]] = []
    for listens, channel_type, name in changes:
        changed = seen.take_up(channel_type, name) if listens else seen.give_up(channel_type, name)
        assert changed == (((0, channel_type, name) in model.all) != listens)
        wanted += [(listens, channel_type, name)] if changed else []
        model.all = model.all | {(0, channel_type, name)} if listens else model.all - {(0, channel_type, name)}
        assert_same(seen, model)
        own = [[entry for entry in model.all if entry[:2] == (0, channel_type)] for channel_type in CHANNEL_TYPES]
        assert state.subscriptions == (len(own[0]), len(own[1]), len(own[2]))
        own_counts = [seen.own_count(channel_type) for channel_type in CHANNEL_TYPES]
        assert own_counts == [len(own[0]) + len(own[1])] * 2 + [len(own[2])]
        assert state.is_subscriber == (sum(map(len, own)) > 0)
    in_order = [seen.own(channel_type) for channel_type in CHANNEL_TYPES]
    for listens, channel_type, name in wanted:
        (table.subscribe if listens else table.unsubscribe)(client, channel_type, [name])
    assert_same(table, model)
    assert [list(client.subscribed[channel_type]) for channel_type in CHANNEL_TYPES] == in_order


def test_messages_go_by_channel_first_and_in_the_order_of_subscription() -> None:
    table = PubSub()
    one, two, three = new_client(1), new_client(2, protocol=3), new_client(3)
    table.subscribe(two, PATTERN, [b"n*"])
    table.subscribe(three, CHANNEL, [b"news"])
    table.subscribe(one, CHANNEL, [b"news"])
    table.subscribe(one, PATTERN, [b"n*"])
    message = b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n"
    by_pattern = b"4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$1\r\nx\r\n"
    assert table.address(CHANNEL, b"news", b"x") == [
        (three, message),
        (one, message),
        (two, b">" + by_pattern),
        (one, b"*" + by_pattern),
    ]
    assert table.address(SHARD, b"news", b"x") == []


def test_a_message_is_encoded_once_for_each_protocol() -> None:
    table = PubSub()
    clients = [new_client(number, protocol=2 + number % 2) for number in range(10)]
    for client in clients:
        table.subscribe(client, CHANNEL, [b"a"])
    addressed = table.address(CHANNEL, b"a", b"x" * 5000)
    assert len({id(data) for _, data in addressed}) == 2


def test_a_copy_of_a_state_begins_without_changes() -> None:
    table, client = PubSub(), new_client(1)
    state = client.state.copy()
    Subscriptions(table, client, state).take_up(CHANNEL, b"a")
    assert state.subscription_changes == {(CHANNEL, b"a"): True}
    copy = state.copy()
    assert (copy.subscription_changes, copy.subscriptions, copy.is_subscriber) == (None, (1, 0, 0), True)
    assert client.state.subscription_changes is None


@pytest.mark.parametrize(
    ("pattern", "channel", "expected"),
    [(b"*", b"a", True), (b"*", b"", False), (b"", b"", True), (b"", b"a", False), (b"**", b"", False)],
)
def test_the_empty_channel_is_no_match_for_a_star(pattern: bytes, channel: bytes, expected: Any) -> None:
    assert fits(Glob(pattern), channel) is expected
