"""Every request that was received is run and answered, in order, and nothing is left paused: whatever else happens.

The model is a client with a stream of requests, cut anywhere. What the reactor would do comes in any order: bytes
arrive while they are read, the threads finish their work, somebody brings what is waited for, the socket takes some of
the replies. In the end the client stays, ends its input or is gone, and everything goes on until nothing is left to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyp.execution.executor import REPLIES_MAX
from keyp.net.backlog import PARSED_AT_ONCE, WAITING_MAX
from keyp.net.connection import BURST_MAX
from keyp.net.read_size import READ_SIZES
from tests import wire
from tests.fakes import Connection, FakeThread, Lab
from tests.scratch import scratch_directory

VALUE = b"v" * (REPLIES_MAX // 3)
SIZES = sorted({0, 1, 5000, BURST_MAX, WAITING_MAX, PARSED_AT_ONCE + 1, 2 * WAITING_MAX + 7, *READ_SIZES})
LINES = {
    "ping": b"PING\r\n",
    "blank": b"\r\n",
    "incr": wire.request(b"INCR", b"n"),
    "get": wire.request(b"GET", b"value"),
    "gets": wire.request(b"GET", b"value") * 7,
    "keys": wire.request(b"KEYS", b"nosuch*"),
    "exec": b"MULTI\r\nINCR n\r\nEXEC\r\n",
    "blpop": wire.request(b"BLPOP", b"q", b"0"),
}
REPLIES = {
    "ping": b"+PONG\r\n",
    "blank": b"",
    "get": b"$%d\r\n%b\r\n" % (len(VALUE), VALUE),
    "gets": (b"$%d\r\n%b\r\n" % (len(VALUE), VALUE)) * 7,
    "keys": b"*0\r\n",
    "blpop": b"*2\r\n$1\r\nq\r\n$1\r\nx\r\n",
}

REQUESTS = st.lists(
    st.sampled_from([*LINES, "incr", "incr", "blpop"]) | st.sampled_from(SIZES).map("set {}".format), max_size=12
)
CUTS = st.lists(st.sampled_from([1, 9, 100, 5000, *READ_SIZES]), min_size=1, max_size=6)
ROOMS = st.sampled_from([0, 1000, 100_000, 1 << 30])
ACTIONS = st.lists(
    st.sampled_from(["arrive", "arrive", "arrive", "write", "read", "serve", "turn"]) | ROOMS, max_size=40
)
ENDS = st.sampled_from(["stays", "ends its input", "is gone"])


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with scratch_directory() as directory:
        lab = Lab(Path(directory))
        yield lab
        lab.writer_thread.held = lab.reader_threads.held = False
        lab.close()


class Client:
    """The client, and all that happens around its connection."""

    def __init__(self, lab: Lab, requests: list[str], cuts: list[int], end: str) -> None:
        lab.writer_thread.held = lab.reader_threads.held = False
        self.lab = lab
        self.requests = requests
        self.end = end
        self.other = lab.connect()
        self.other.send(b"FLUSHALL\r\n" + wire.request(b"SET", b"value", VALUE))
        self.connection = Connection(lab)
        self.transport = self.connection.transport
        self.served = 0
        self.to_come = list(pieces(b"".join(map(request, requests)), cuts))
        lab.writer_thread.held = lab.reader_threads.held = True

    def happen(self, action: str | int) -> bool:
        """Lets something happen; whether it could."""
        if isinstance(action, int):
            self.transport.drain(action)
            return False
        happened = bool(getattr(self, f"_{action}")())
        if action != "arrive":  # between two turns of the reactor more may arrive
            self.lab.settle()
        return happened

    def _arrive(self) -> bool:
        transport = self.transport
        if transport.disconnected or transport.disconnecting or transport.producerState != "producing":
            return False
        if self.to_come:
            self.connection.protocol.dataReceived(self.to_come.pop(0))
            return True
        if self.end == "ends its input":
            self.end = ""
            self.connection.protocol.readConnectionLost()
            return True
        return False

    def _write(self) -> bool:
        return work(self.lab.writer_thread)

    def _read(self) -> bool:
        return work(self.lab.reader_threads)

    def _serve(self) -> bool:
        """Somebody brings what the client waits for; a client that has ended its input is not waited with."""
        if not self.connection.connection.client.waiting or self.lab.writer_thread.line or not self.end:
            return False
        assert self.transport.producerState == "producing" or self.transport.value()  # else its end would not show
        self.lab.writer_thread.held = False
        self.served += 1
        self.other.send(b"RPUSH q x\r\n")
        self.lab.writer_thread.held = True
        return True

    def _turn(self) -> bool:
        return False

    def leave(self) -> None:
        """The client is gone; what it has sent and nobody has read is in the kernel."""
        self.transport.socket.unread = b"".join(self.to_come)
        self.to_come = []
        self.end = ""
        self.connection.lose()

    def finish(self) -> None:
        """Everything goes on until nothing happens any more."""
        busy = True
        while busy:
            self.transport.drain()
            self.lab.settle()
            busy = self.happen("arrive") or self.happen("write") or self.happen("read") or self.happen("serve")
        if self.transport.disconnecting and not self.transport.disconnected:
            self.connection.lose()
            self.lab.settle()


def work(threads: FakeThread) -> bool:
    if not threads.line:
        return False
    threads.work()
    return True


def request(name: str) -> bytes:
    kind, _, size = name.partition(" ")
    return wire.request(b"SET", b"k", b"v" * int(size)) if kind == "set" else LINES[name]


def pieces(stream: bytes, cuts: list[int]) -> Iterator[bytes]:
    """The stream in pieces as long as `cuts` says, again and again: a thousand of them, and one with what is left."""
    at = 0
    for count in range(1000):
        if at < len(stream):
            yield stream[at : at + cuts[count % len(cuts)]]
            at += cuts[count % len(cuts)]
    if at < len(stream):
        yield stream[at:]


def answered(requests: list[str], served: int, stays: bool) -> tuple[bytes, int]:
    """The replies, and how often `n` was increased. One who leaves comes no further than a BLPOP nobody serves."""
    replies, n = b"", 0
    for name in requests:
        if name == "blpop":
            if not served:
                assert not stays
                break
            served -= 1
        if name in ("incr", "exec"):
            n += 1
        if name == "incr":
            replies += b":%d\r\n" % n
        elif name == "exec":
            replies += b"+OK\r\n+QUEUED\r\n*1\r\n:%d\r\n" % n
        else:
            replies += b"+OK\r\n" if name.startswith("set") else REPLIES[name]
    return replies, n


EXAMPLES = 3 * settings().max_examples  # an example takes some milliseconds


@settings(max_examples=EXAMPLES)
@given(requests=REQUESTS, cuts=CUTS, actions=ACTIONS, end=ENDS, room=ROOMS)
def test_every_request_is_answered(
    lab: Lab, requests: list[str], cuts: list[int], actions: list[str | int], end: str, room: int
) -> None:
    client = Client(lab, requests, cuts, end)
    client.transport.socket.room = room
    for action in actions:
        client.happen(action)
    if end == "is gone":
        client.leave()
    client.finish()
    state, transport = client.connection.connection.client, client.transport
    replies, n = answered(requests, client.served, end == "stays")
    assert client.to_come == []
    if end == "is gone":
        assert replies.startswith(transport.sent)
    else:
        assert transport.sent == replies
    if end == "stays":
        assert transport.producerState == "producing"
        assert not transport.disconnecting
        assert state.input_buffered == state.output_buffered == 0
        client.connection.lose()
    assert lab.server.state.clients.get(state.id) is None
    lab.writer_thread.held = lab.reader_threads.held = False
    assert client.other.call("GET n", "LLEN q")[-4:] == b":0\r\n"
    assert wire.parse_all(client.other.call("GET n"))[0] == (b"%d" % n if n else None)
    client.other.lose()
