"""Publish/subscribe over real sockets: redis-py as it is, redis-cli, many who listen, and some who do not read."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis
from redis.asyncio import Redis

from tests import wire
from tests.integration.conftest import Connect, StartServer
from tests.integration.daemon import DEADLINE_S, Daemon, program, wait_until

MB = 1 << 20


def messages(pubsub: Any, count: int) -> list[tuple[Any, Any, Any, Any]]:
    """The next messages: type, pattern, channel and data of each."""
    found: list[tuple[Any, Any, Any, Any]] = []
    end = time.monotonic() + DEADLINE_S
    while len(found) < count:
        assert time.monotonic() < end, f"only {found} have come"
        message = pubsub.get_message(timeout=1)
        if message is not None:
            found.append((message["type"], message["pattern"], message["channel"], message["data"]))
    return found


@pytest.fixture
def pubsub(r: Any) -> Iterator[Any]:
    pubsub = r.pubsub()
    yield pubsub
    pubsub.close()


def test_channels_and_patterns(r: Any, pubsub: Any) -> None:
    pubsub.subscribe("news", "sport")
    pubsub.psubscribe("n*")
    assert messages(pubsub, 3) == [
        ("subscribe", None, b"news", 1),
        ("subscribe", None, b"sport", 2),
        ("psubscribe", None, b"n*", 3),
    ]
    assert r.publish("news", "hello") == 2
    assert r.publish("sport", b"\0\r\n") == 1
    assert r.publish("other", "x") == 0
    assert messages(pubsub, 3) == [
        ("message", None, b"news", b"hello"),
        ("pmessage", b"n*", b"news", b"hello"),
        ("message", None, b"sport", b"\0\r\n"),
    ]
    assert sorted(r.pubsub_channels()) == [b"news", b"sport"]
    assert r.pubsub_numsub("news", "other") == [(b"news", 1), (b"other", 0)]
    assert r.pubsub_numpat() == 1
    pubsub.unsubscribe()
    pubsub.punsubscribe()
    assert {message[0] for message in messages(pubsub, 3)} == {"unsubscribe", "punsubscribe"}
    assert r.publish("news", "hello") == 0


def test_shard_channels(r: Any, pubsub: Any) -> None:
    pubsub.ssubscribe("s")
    assert messages(pubsub, 1) == [("ssubscribe", None, b"s", 1)]
    assert r.spublish("s", "hello") == 1
    assert messages(pubsub, 1) == [("smessage", None, b"s", b"hello")]
    assert r.pubsub_shardchannels() == [b"s"]
    assert r.pubsub_shardnumsub("s") == [(b"s", 1)]
    pubsub.sunsubscribe("s")
    assert messages(pubsub, 1) == [("sunsubscribe", None, b"s", 0)]


def test_ping_while_listening(r: Any, pubsub: Any) -> None:
    pubsub.subscribe("a")
    pubsub.ping("hello")
    assert [message[0] for message in messages(pubsub, 2)] == ["subscribe", "pong"]


def test_a_thread_that_listens(r: Any, pubsub: Any) -> None:
    received: list[bytes] = []
    pubsub.subscribe(a=lambda message: received.append(message["data"]))
    thread = pubsub.run_in_thread(sleep_time=0.01, daemon=True)
    wait_until(lambda: r.publish("a", "first") == 1, "somebody listens")
    for number in range(1000):
        r.publish("a", number)
    wait_until(lambda: len(received) == 1001, "all messages")
    assert received == [b"first", *[b"%d" % number for number in range(1000)]]
    thread.stop()
    thread.join(DEADLINE_S)


def test_events_of_keys(r: Any, pubsub: Any) -> None:
    r.config_set("notify-keyspace-events", "KEA")
    try:
        pubsub.psubscribe("__key*__:*")
        messages(pubsub, 1)
        r.set("k", "v", px=100)
        with r.pipeline() as pipe:
            pipe.incr("n").delete("n").execute()
        published = [(channel, data) for _, _, channel, data in messages(pubsub, 10)]
        assert published == [
            (b"__keyspace@0__:k", b"set"),
            (b"__keyevent@0__:set", b"k"),
            (b"__keyspace@0__:k", b"expire"),
            (b"__keyevent@0__:expire", b"k"),
            (b"__keyspace@0__:n", b"incrby"),
            (b"__keyevent@0__:incrby", b"n"),
            (b"__keyspace@0__:n", b"del"),
            (b"__keyevent@0__:del", b"n"),
            (b"__keyspace@0__:k", b"expired"),
            (b"__keyevent@0__:expired", b"k"),
        ]
    finally:
        r.config_set("notify-keyspace-events", "")


def test_a_client_that_has_gone_is_unsubscribed(connect: Connect, r: Any) -> None:
    listener = connect()
    pubsub = listener.pubsub()
    pubsub.subscribe("a")
    messages(pubsub, 1)
    assert r.publish("a", "x") == 1
    assert [client["sub"] for client in r.client_list(_type="pubsub")] == ["1"]
    assert r.client_kill_filter(_type="pubsub") == 1
    assert r.publish("a", "x") == 0
    pubsub.close()
    wait_until(lambda: r.client_list(_type="pubsub") == [], "the listener is gone")


@pytest.mark.parametrize("protocol", [2, 3], ids=["RESP2", "RESP3"])
def test_asyncio(daemon: Daemon, protocol: int) -> None:
    async def scenario() -> None:
        async with Redis(port=daemon.port, protocol=protocol) as r:
            received: list[bytes] = []

            async def listen(ready: asyncio.Event) -> None:
                async with r.pubsub() as pubsub:
                    await pubsub.subscribe("a")
                    async for message in pubsub.listen():
                        if message["type"] == "subscribe":
                            ready.set()
                        else:
                            received.append(message["data"])
                            if message["data"] == b"end":
                                return

            ready = [asyncio.Event() for _ in range(20)]
            tasks = [asyncio.create_task(listen(event)) for event in ready]
            await asyncio.gather(*(event.wait() for event in ready))
            for number in range(50):
                assert await r.publish("a", number) == 20
            assert await r.publish("a", "end") == 20
            await asyncio.gather(*tasks)
            assert sorted(received) == sorted([*[b"%d" % number for number in range(50)], b"end"] * 20)

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_redis_cli_listens(daemon: Daemon, r: Any) -> None:
    command = [program("redis-cli"), "-h", "127.0.0.1", "-p", str(daemon.port), "PSUBSCRIBE", "a*"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as cli:
        assert cli.stdout is not None
        wait_until(lambda: r.publish("abc", "hello") == 1, "redis-cli listens")
        lines = [cli.stdout.readline().strip() for _ in range(7)]
        cli.kill()
    assert lines == [b"psubscribe", b"a*", b"1", b"pmessage", b"a*", b"abc", b"hello"]


class Listener(threading.Thread):
    """A client that subscribes to `a` and reads until it has received `end`; `pace` seconds between two looks."""

    def __init__(self, port: int, pace: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.socket.sendall(wire.request(b"SUBSCRIBE", b"a"))
        self.pace = pace
        self.received = 0

    def run(self) -> None:
        tail = b""
        while not tail.endswith(b"$3\r\nend\r\n"):
            part = self.socket.recv(MB)
            assert part, "the server has closed the connection"
            self.received += len(part)
            tail = (tail + part)[-20:]
            time.sleep(self.pace)


def test_many_listeners(server: StartServer) -> None:
    daemon = server("--fsync=no")
    sockets = [socket.create_connection(("127.0.0.1", daemon.port), timeout=DEADLINE_S) for _ in range(500)]
    for one in sockets:
        one.sendall(wire.request(b"SUBSCRIBE", b"a"))
    with redis.Redis(port=daemon.port) as r:
        wait_until(lambda: r.pubsub_numsub("a") == [(b"a", 500)], "all of them listen")
        for number in range(20):
            assert r.publish("a", number) == 500
        assert r.publish("a", "end") == 500
        for one in sockets:
            got = b""
            while not got.endswith(b"$3\r\nend\r\n"):
                got += one.recv(MB)
            assert [message[2] for message in wire.parse_all(got)[1:-1]] == [b"%d" % number for number in range(20)]
            one.close()
        wait_until(lambda: r.pubsub_channels() == [], "all of them are gone")


def test_who_does_not_read_is_cut_off_and_the_others_are_not(server: StartServer) -> None:
    daemon = server("--fsync=no")
    with redis.Redis(port=daemon.port) as r:
        r.config_set("client-output-buffer-limit", "pubsub 32mb 0 0")
        deaf = socket.create_connection(("127.0.0.1", daemon.port), timeout=DEADLINE_S)
        deaf.sendall(wire.request(b"SUBSCRIBE", b"a"))
        slow, quick = Listener(daemon.port, pace=0.002), Listener(daemon.port)
        slow.start()
        quick.start()
        wait_until(lambda: r.pubsub_numsub("a") == [(b"a", 3)], "all of them listen")
        before = daemon.memory()
        most = 0
        text = bytes(100_000)

        def wait_for_the_slow_one(sent: int) -> None:
            wait_until(lambda: slow.received > sent * len(text) - 16 * MB, "the slow one")

        for number in range(1000):
            r.publish("a", text)
            most = max(most, daemon.memory())
            wait_for_the_slow_one(number)
        r.publish("a", "end")
        for listener in (slow, quick):
            listener.join(DEADLINE_S)
            assert not listener.is_alive()
            assert listener.received > 1000 * len(text)
        assert most < before + 128 * MB
        wait_until(lambda: len(r.client_list(_type="pubsub")) == 2, "the deaf one is gone")
        assert "does not read: closed with" in daemon.log()
        with suppress(ConnectionResetError):
            while deaf.recv(MB):
                pass
        deaf.close()
        slow.socket.close()
        quick.socket.close()
