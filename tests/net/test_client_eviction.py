"""maxmemory-clients: what counts as a client's memory, who is evicted when there is too much of it, and how soon."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keyp.server import client_memory
from keyp.server.client_memory import CONNECTION_BYTES, LARGE, LIMIT_MIN, limit_of
from keyp.server.config import Settings
from tests import wire
from tests.commands.conftest import listed
from tests.fakes import Connection, Lab

LIMIT = 1 << 20


def many_names(count: int) -> list[bytes]:
    return [b"name:%d" % number for number in range(count)]


def half_a_request(client: Connection) -> None:
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9000000\r\n")
    for _ in range(100):
        client.send(bytes(LARGE))


def many_arguments(client: Connection) -> None:
    client.send(b"*1000000\r\n" + b"$2\r\nab\r\n" * 30_000)  # 240 KB on the wire


def unread_replies(client: Connection) -> None:
    client.send(wire.request(b"SET", b"k", bytes(600_000)))
    client.transport.socket.room = 0
    client.send(wire.request(b"GET", b"k") * 2)


def unread_messages(client: Connection) -> None:
    client.send(wire.request(b"SUBSCRIBE", b"c"))
    client.transport.socket.room = 0
    speaker = client.lab.connect()
    for _ in range(10):
        speaker.send(wire.request(b"PUBLISH", b"c", bytes(LIMIT // 8)))


def queued_calls(client: Connection) -> None:
    client.send(wire.request(b"MULTI"))
    for _ in range(6):
        client.send(wire.request(b"GET", b"k") * 1000)


def watched_keys(client: Connection) -> None:
    client.send(wire.request(b"WATCH", *many_names(8000)))


def channels(client: Connection) -> None:
    client.send(wire.request(b"SUBSCRIBE", *many_names(3000)))


def patterns(client: Connection) -> None:
    client.send(wire.request(b"PSUBSCRIBE", *many_names(2000)))


def a_blocked_call(client: Connection) -> None:
    client.send(wire.request(b"BLPOP", *[b"%d" % number + bytes(LARGE) for number in range(100)], b"0"))


GREEDY = [
    half_a_request,
    many_arguments,
    unread_replies,
    unread_messages,
    queued_calls,
    watched_keys,
    channels,
    patterns,
    a_blocked_call,
]


def is_gone(client: Connection) -> bool:
    return client.transport.disconnecting or client.transport.aborted


def evicted(lab: Lab) -> int:
    return lab.server.state.metrics.evicted_clients


@pytest.mark.parametrize("takes", GREEDY)
def test_one_that_takes_more_than_all_may_is_evicted(lab: Lab, takes: Callable[[Connection], None]) -> None:
    admin, modest, greedy = lab.connect(), lab.connect(), lab.connect()
    assert admin.call("CONFIG SET maxmemory-clients 1mb") == b"+OK\r\n"
    takes(greedy)
    assert is_gone(greedy)
    assert evicted(lab) == 1
    assert not is_gone(modest)
    assert modest.call("PING") == b"+PONG\r\n"
    greedy.lose()
    assert b"evicted_clients:1\r\n" in admin.call("INFO stats")


@pytest.mark.parametrize("takes", GREEDY)
def test_a_limit_that_comes_later_is_for_those_who_are_there(lab: Lab, takes: Callable[[Connection], None]) -> None:
    admin, greedy = lab.connect(), lab.connect()
    takes(greedy)
    assert not is_gone(greedy)
    assert int(listed(admin)[1]["tot-mem"]) > LIMIT
    assert admin.call("CONFIG SET maxmemory-clients 1mb") == b"+OK\r\n"
    assert is_gone(greedy)


@pytest.mark.parametrize("takes", GREEDY)
def test_one_that_asks_to_be_spared_is_spared(lab: Lab, takes: Callable[[Connection], None]) -> None:
    admin, greedy = lab.connect(), lab.connect()
    admin.call("CLIENT NO-EVICT ON", "CONFIG SET maxmemory-clients 1mb")
    assert greedy.call("CLIENT NO-EVICT ON") == b"+OK\r\n"
    takes(greedy)
    assert not is_gone(greedy)
    assert not is_gone(admin)
    flags = [client["flags"] for client in listed(admin)]
    assert [("e" in each) for each in flags[:2]] == [True, True]
    late = lab.connect()  # for whom nothing is left
    lab.settle()
    assert is_gone(late)


def test_messages_that_wait_for_an_effect_are_dropped_with_their_client(lab: Lab) -> None:
    admin, greedy = lab.connect(), lab.connect()
    admin.call("CONFIG SET maxmemory-clients 1mb")
    greedy.call("HELLO 3", "SUBSCRIBE c", "DEBUG SLEEP 1000")
    admin.send(wire.request(b"PUBLISH", b"c", bytes(300_000)) * 5)
    assert greedy.transport.aborted
    assert not greedy.transport.value()


def test_the_largest_go_first_and_no_more_than_must(lab: Lab) -> None:
    admin = lab.connect()
    admin.call("CONFIG SET maxmemory-clients 1mb")
    clients = [lab.connect() for _ in range(4)]
    for client, size in zip(clients, (300_000, 400_000, 200_000, 250_000), strict=True):
        client.send(b"*2\r\n$3\r\nGET\r\n$500000\r\n" + bytes(size))
    assert [is_gone(client) for client in clients] == [False, True, False, False]
    assert evicted(lab) == 1


def test_memory_that_is_free_again_does_not_count(lab: Lab) -> None:
    lab.connect().call("CONFIG SET maxmemory-clients 1mb")
    clients = [lab.connect() for _ in range(5)]
    for client in clients:
        client.send(wire.request(b"SET", b"k", bytes(LIMIT // 2)))
        client.transport.socket.room = 0
        client.send(wire.request(b"GET", b"k"))
        assert client.connection.client.noticed_bytes > LIMIT // 2
        client.transport.drain()
        lab.settle()
    assert not any(map(is_gone, clients))


def test_many_small_ones_are_found_once_a_second(lab: Lab) -> None:
    admin = lab.connect()
    admin.call("CONFIG SET maxmemory-clients 1mb")
    clients = [lab.connect() for _ in range(100)]
    for client in clients:
        client.send(b"*2\r\n$3\r\nGET\r\n$500000\r\n" + bytes(LARGE - 1000))
    assert evicted(lab) == 0
    lab.server.each_second()
    lab.settle()
    assert sum(map(is_gone, clients)) == evicted(lab) > 0
    assert not is_gone(admin)
    left = sum([client_memory.total(client, client.state) for client in lab.server.state.clients.all()])
    assert left - evicted(lab) * (CONNECTION_BYTES + LARGE) < LIMIT


@pytest.mark.parametrize(
    ("clients", "maxmemory", "limit"),
    [
        ("0", "1gb", 0),
        ("1mb", "0", 1 << 20),
        ("1", "0", LIMIT_MIN),
        ("5%", "0", 0),
        ("5%", "1gb", (1 << 30) * 5 // 100),
        ("100%", "1gb", 1 << 30),
        ("1%", "1mb", LIMIT_MIN),
    ],
)
def test_the_limit(clients: str, maxmemory: str, limit: int) -> None:
    settings = Settings()
    settings.set_many([(b"maxmemory-clients", clients.encode()), (b"maxmemory", maxmemory.encode())])
    assert limit_of(settings) == limit


def test_what_info_says_is_what_the_list_says(lab: Lab) -> None:
    admin, greedy = lab.connect(), lab.connect()
    queued_calls(greedy)
    shown = int(admin.call("INFO memory").partition(b"mem_clients_normal:")[2].split()[0])
    assert abs(shown - sum([int(client["tot-mem"]) for client in listed(admin)])) < 100  # the words of the call


def test_bytes_of_calls_under_way_are_shown(lab: Lab) -> None:
    admin, blocked = lab.connect(), lab.connect()
    a_blocked_call(blocked)
    assert int(listed(admin)[1]["argv-mem"]) > 100 * LARGE
    admin.send(wire.request(b"LPUSH", b"7" + bytes(LARGE), b"v"))
    assert listed(admin)[1]["argv-mem"] == "0"
    assert listed(admin)[1]["tot-mem"] == str(CONNECTION_BYTES)


def test_nothing_is_left_of_one_who_has_ended_what_it_took(lab: Lab) -> None:
    client, admin = lab.connect(), lab.connect()
    for takes in (channels, patterns):
        takes(client)
    client.call("UNSUBSCRIBE", "PUNSUBSCRIBE")
    watched_keys(client)
    queued_calls(client)
    client.call("DISCARD")
    assert listed(admin)[0]["tot-mem"] == str(CONNECTION_BYTES)
