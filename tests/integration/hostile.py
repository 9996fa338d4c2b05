"""Clients that try to take a server's memory or its time, each in one way. `test_hostile_clients.py` runs a little of
each, `tests/soak/hostile.py` much.

An attack ends when the server has taken all of it or cut it off; its sockets stay open until the `Attacker` ends, so
that what it holds of the server can be measured.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from tests.wire import request

MB = 1 << 20
TIMEOUT_S = 60.0
AT_ONCE = 1000  # requests that are sent before replies are read
PUBLISHED = 20  # messages that patterns are compared with
BULK_MAX = 512 * MB
ARGUMENTS_MAX = 2**31 - 1


class CutOff(Exception):
    """The server has ended a connection."""


class Peer:
    """One connection of an attacker."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tail = b""

    def send(self, data: bytes) -> None:
        """Sends all of it. Raises `CutOff`."""
        try:
            self.socket.sendall(data)
        except TimeoutError:
            raise
        except OSError as error:
            raise CutOff from error

    def stuff(self, data: bytes) -> None:
        """Sends what the server takes without being read from, for half a second. Raises `CutOff`."""
        self.socket.settimeout(0.5)
        try:
            with suppress(TimeoutError):
                self.send(data)
        finally:
            self.socket.settimeout(TIMEOUT_S)

    def read(self) -> bytes:
        """Some bytes. Raises `CutOff`."""
        try:
            data = self.socket.recv(MB)
        except TimeoutError:
            raise
        except OSError as error:
            raise CutOff from error
        if not data:
            raise CutOff
        return data

    def read_until(self, end: bytes) -> bytes:
        """Reads until what has come ends so; the last of it. Raises `CutOff`."""
        tail = b""
        while not tail.endswith(end):
            tail = (tail + self.read())[-4096:]
        return tail

    def ask(self, *words: bytes) -> None:
        """Sends a command and reads until everything that was asked for is there."""
        self.send(request(*words) + request(b"ECHO", b"that is all"))
        self.read_until(b"$11\r\nthat is all\r\n")


class Attacker:
    """The connections of an attack on a port of this machine; they close when its block ends."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._peers: list[Peer] = []
        self.was_cut_off = False

    def __enter__(self) -> Attacker:
        return self

    def __exit__(self, *_: Any) -> None:
        for peer in self._peers:
            peer.socket.close()

    def connect(self) -> Peer:
        """One more connection."""
        peer = Peer(self._port)
        self._peers.append(peer)
        return peer

    def run(self, attack: Attack, count: int) -> None:
        """Runs an attack of that size; `was_cut_off` says whether the server has put an end to it."""
        try:
            attack.run(self, count)
        except CutOff:
            self.was_cut_off = True


class Attack:
    """One way to attack: `run` does it `count` times over, `small` times in the everyday test and `large` in the other.

    A server may grow by `bytes_each` for each and by `bytes_at_most` in any case; 0 where there is no such bound.
    """

    def __init__(
        self,
        run: Callable[[Attacker, int], None],
        small: int,
        large: int,
        bytes_each: int = 0,
        bytes_at_most: int = 0,
    ) -> None:
        self.name = run.__name__.replace("_", " ")
        self.run = run
        self.small = small
        self.large = large
        self._bytes_each = bytes_each
        self._bytes_at_most = bytes_at_most

    def room(self, count: int) -> int:
        """The bytes by which a server may grow for an attack of that size."""
        bounds = [self._bytes_each * count, self._bytes_at_most]
        return min([bound for bound in bounds if bound])


def _parts(count: int) -> Iterator[range]:
    for start in range(0, count, AT_ONCE):
        yield range(start, min(start + AT_ONCE, count))


def replies_that_are_not_read(attacker: Attacker, count: int) -> None:
    peer = attacker.connect()
    peer.ask(b"SET", b"value", bytes(100_000))
    peer.stuff(request(b"GET", b"value") * count)
    peer.socket.recv(1)


def messages_that_are_not_read(attacker: Attacker, count: int) -> None:
    listener, speaker = attacker.connect(), attacker.connect()
    listener.send(request(b"SUBSCRIBE", b"channel"))
    listener.read_until(b":1\r\n")
    for _ in range(count):
        speaker.ask(b"PUBLISH", b"channel", bytes(100_000))


def bytes_one_by_one(attacker: Attacker, count: int) -> None:
    peer = attacker.connect()
    data = request(b"SET", b"slow", bytes(count))
    for place in range(len(data)):
        peer.send(data[place : place + 1])
    peer.read_until(b"+OK\r\n")


def halves_of_arguments(attacker: Attacker, count: int) -> None:
    for _ in range(count):
        attacker.connect().send(request(b"SET", b"half", bytes(MB))[: MB // 2])


def arguments_announced_only(attacker: Attacker, count: int) -> None:
    for number in range(count):
        peer = attacker.connect()
        if number % 2:
            peer.send(b"*2\r\n$3\r\nGET\r\n$%d\r\n" % BULK_MAX)
        else:
            peer.send(b"*%d\r\n$3\r\nDEL\r\n" % ARGUMENTS_MAX)


def calls_queued(attacker: Attacker, count: int) -> None:
    peer = attacker.connect()
    peer.send(request(b"MULTI"))
    peer.read_until(b"+OK\r\n")
    for part in _parts(count):
        peer.send(b"".join([request(b"GET", b"key:%d" % number) for number in part]))
        size = len(part) * len(b"+QUEUED\r\n")
        while size > 0:
            size -= len(peer.read())


def _subscribe(attacker: Attacker, command: bytes, name: bytes, count: int) -> None:
    peer = attacker.connect()
    for part in _parts(count):
        peer.send(request(command, *[name % number for number in part]))
        peer.read_until(b":%d\r\n" % part.stop)


def channels_subscribed_to(attacker: Attacker, count: int) -> None:
    _subscribe(attacker, b"SUBSCRIBE", b"channel:%d", count)
    attacker.connect().ask(b"PUBLISH", b"channel:1", b"message")


def patterns_subscribed_to(attacker: Attacker, count: int) -> None:
    _subscribe(attacker, b"PSUBSCRIBE", b"*pattern:%d:*", count)
    speaker = attacker.connect()
    speaker.send(request(b"PUBLISH", b"channel", b"message") * PUBLISHED)
    replies = b""
    while len(replies) < PUBLISHED * len(b":0\r\n"):
        replies += speaker.read()


def cursors_left_open(attacker: Attacker, count: int) -> None:
    peer = attacker.connect()
    for part in _parts(count):
        peer.ask(b"MSET", *[word for number in part for word in (b"%0500d" % number, b"")])
    cursor = b"0"
    for _ in range(count):
        peer.send(request(b"SCAN", cursor, b"COUNT", b"1"))
        reply = peer.read_until(b"\r\n")
        cursor = reply.split(b"\r\n", 3)[2]


def arguments_in_one_call(attacker: Attacker, count: int) -> None:
    peer = attacker.connect()
    peer.send(b"*%d\r\n$3\r\nDEL\r\n" % (count + 1))
    for part in _parts(count):
        peer.send(b"".join([b"$10\r\n%010d\r\n" % number for number in part]))
    peer.read_until(b":0\r\n")


def a_name_as_long_as_can_be(attacker: Attacker, count: int) -> None:
    peer = attacker.connect()
    name = bytes(count)
    peer.ask(b"SET", name, b"value")
    peer.ask(b"GET", name)
    peer.ask(b"DEL", name)


def lists_of_clients(attacker: Attacker, count: int) -> None:
    peer = attacker.connect()
    peer.ask(b"CLIENT", b"LIST", b"ID", *[b"1"] * count)
    peer.ask(b"CLIENT", b"KILL", *[b"ID", b"1000000000"] * count)


def keys_watched(attacker: Attacker, count: int) -> None:
    peer = attacker.connect()
    for part in _parts(count):
        peer.send(b"".join([request(b"WATCH", b"key:%d" % number) for number in part]))
        peer.ask(b"PING")
    attacker.connect().ask(b"CLIENT", b"LIST")


def requests_of_nothing(attacker: Attacker, count: int) -> None:
    peer = attacker.connect()
    for part in _parts(count):
        peer.send(b"*0\r\n*-1\r\n\r\n" * len(part))
    peer.ask(b"PING")
    peer.send(b"*1\r\n" * count)
    peer.read_until(b"expected '$', got '*'\r\n")


def small_requests_without_a_pause(attacker: Attacker, count: int) -> None:
    peer = attacker.connect()
    for part in _parts(count):
        peer.stuff(b"PING\r\n" * 100 * len(part))
        size = 100 * len(part) * len(b"+PONG\r\n")
        while size > 0:
            size -= len(peer.read())


ATTACKS = [
    Attack(replies_that_are_not_read, 2000, 10_000, bytes_at_most=24 * MB),
    Attack(messages_that_are_not_read, 1000, 3000, bytes_at_most=64 * MB),
    Attack(bytes_one_by_one, 2000, 100_000, bytes_at_most=16 * MB),
    Attack(halves_of_arguments, 20, 500, bytes_each=MB),
    Attack(arguments_announced_only, 100, 5000, bytes_each=16 * 1024),
    Attack(calls_queued, 20_000, 1_000_000, bytes_each=600),
    Attack(channels_subscribed_to, 5000, 100_000, bytes_each=1200),
    Attack(patterns_subscribed_to, 5000, 100_000, bytes_each=3000),
    Attack(cursors_left_open, 500, 50_000, bytes_at_most=48 * MB),
    Attack(arguments_in_one_call, 50_000, 1_000_000, bytes_each=400),
    Attack(a_name_as_long_as_can_be, 4 * MB, BULK_MAX, bytes_each=8),
    Attack(lists_of_clients, 2000, 50_000, bytes_each=4000),
    Attack(keys_watched, 5000, 100_000, bytes_each=800),
    Attack(requests_of_nothing, 50_000, 1_000_000, bytes_at_most=16 * MB),
    Attack(small_requests_without_a_pause, 2000, 40_000, bytes_at_most=48 * MB),
]
