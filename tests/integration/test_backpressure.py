"""Clients that ask for more than they take: the server's memory stays bounded, and the others are served.

Memory is what belongs to the process alone (RssAnon), so neither the store's pages nor libraries count. The C library
may keep what was given back to it; so what is left behind is judged by doing everything more than once.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest

from tests.integration.conftest import StartServer
from tests.integration.daemon import Daemon, wait_until

MB = 1 << 20
GET = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"


def connect(daemon: Daemon) -> socket.socket:
    return socket.create_connection(("127.0.0.1", daemon.port), timeout=60)


def ask(client: socket.socket, request: bytes, size: int) -> bytes:
    client.sendall(request)
    return take(client, size)


def take(client: socket.socket, size: int) -> bytes:
    reply = bytearray()
    while len(reply) < size:
        part = client.recv(min(size - len(reply), MB))
        assert part, "the server has closed the connection"
        reply += part
    return bytes(reply)


def put(daemon: Daemon, value: bytes) -> bytes:
    """Makes the value that of the key `a`; the reply to a GET of it."""
    with connect(daemon) as client:
        assert ask(client, b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n%b\r\n" % (len(value), value), 5) == b"+OK\r\n"
    return b"$%d\r\n%b\r\n" % (len(value), value)


@pytest.fixture
def daemon(server: StartServer, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """A server whose memory is what it uses: with an arena for each thread, the C library keeps heaps of 64 MiB apart
    for as long as anything is left in one, and takes another now and then.
    """
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    return server("--fsync=no")


def flood(daemon: Daemon, reply: bytes) -> int:
    """Five clients send GETs until nothing more leaves, then go; the server's memory before they do."""
    greedy = [connect(daemon) for _ in range(5)]
    for client in greedy:
        client.settimeout(0.5)
        sent = 0
        with suppress(TimeoutError):  # both directions are full
            while True:
                client.sendall(GET * 1000)
                sent += 1000
        assert sent > 0
    most = daemon.memory()
    with connect(daemon) as other:
        for _ in range(100):
            assert ask(other, GET, len(reply)) == reply
    greedy[0].settimeout(60)
    for _ in range(100):
        assert take(greedy[0], len(reply)) == reply
    for client in greedy:
        client.close()
    return most


def test_clients_that_send_and_do_not_read(daemon: Daemon) -> None:
    reply = put(daemon, b"v" * 100_000)
    before = daemon.memory()
    first, second = flood(daemon, reply), flood(daemon, reply)
    assert first < before + 5 * 8 * MB
    assert second < first + 16 * MB


def test_a_pipeline_of_a_million_requests(daemon: Daemon) -> None:
    total = 1_000_000
    before = daemon.memory()
    with connect(daemon) as client, connect(daemon) as other:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def send() -> None:
            for _ in range(total // 1000):
                client.sendall(b"INCR n\r\n" * 500 + GET * 500)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        most = 0
        size = sum(len(b":%d\r\n" % number) for number in range(1, total // 2 + 1)) + total // 2 * len(b"$-1\r\n")
        tail = b""
        while size:
            part = client.recv(min(size, MB))
            assert part
            size -= len(part)
            tail = (tail + part)[-20:]
            if size % 7 == 0:
                assert ask(other, b"PING\r\n", 7) == b"+PONG\r\n"
                most = max(most, daemon.memory())
        sender.join()
        assert tail.endswith(b"$-1\r\n$-1\r\n")
        assert ask(other, b"GET n\r\n", 12) == b"$6\r\n500000\r\n"
        assert most < before + 128 * MB  # half a gigabyte, if all of them waited at once


def test_values_of_a_hundred_megabytes(daemon: Daemon) -> None:
    value = b"0123456789" * (10 * MB)
    before = daemon.memory()
    left: list[int] = []
    for _ in range(4):
        reply = put(daemon, value)
        with connect(daemon) as slow, connect(daemon) as other, connect(daemon) as reader:
            slow.sendall(GET * 50)
            assert take(slow, 10) == reply[:10]
            assert ask(other, b"PING\r\n", 7) == b"+PONG\r\n"
            assert daemon.memory() < before + 4 * len(value)
            assert ask(reader, GET, len(reply)) == reply
            assert ask(other, b"STRLEN a\r\n", 12) == b":104857600\r\n"
        with connect(daemon) as other:
            wait_until(lambda: clients_left(other) == 1, "the others are gone")
        left.append(daemon.memory())
    assert left[3] < left[2] + 32 * MB


def clients_left(client: socket.socket) -> int:
    client.sendall(b"INFO clients\r\n")
    text = b""
    while b"connected_clients:" not in text:
        text += client.recv(MB)
    return int(text.partition(b"connected_clients:")[2].split()[0])
