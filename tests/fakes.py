"""A whole server without sockets, threads or real time: what unit tests above the storage floor run on.

`Lab` opens a real store and puts the real dispatcher, writer and protocol on it; only the reactor is Twisted's test
clock, the transports are strings, and the threads do their work at once or when a test says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock as TestReactor
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from keyp.net import config_file
from keyp.net.config_file import declared_users
from keyp.net.protocol import RedisProtocol
from keyp.net.server import RedisFactory, Server
from keyp.server.config import Settings
from keyp.storage.check import check
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.transaction import ReadTransaction
from tests import wire

START_US = 1_700_000_000_000_000
START_NS = 1_000_000_000_000


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.us = START_US
        self.ns = START_NS
        self.step_ns = 1000  # how long everything takes that is measured
        self.breaths = 0
        self.steps_aside = 0

    def now_us(self) -> int:
        return self.us

    def time_ns(self) -> int:
        return self.us * 1000

    def nanoseconds(self) -> int:
        self.ns += self.step_ns
        return self.ns

    def breathe(self) -> None:
        self.breaths += 1

    def step_aside(self) -> None:
        self.steps_aside += 1

    def advance_ms(self, ms: int) -> None:
        self.us += ms * 1000
        self.ns += ms * 1_000_000


class FakeThread:
    """A thread whose work is done at once, or by `work` where `held` is set."""

    def __init__(self) -> None:
        self.held = False
        self.line: list[tuple[Any, Any, Deferred[Any]]] = []
        self.done = 0
        self.brief = 0  # how much of what was done was said to be brief

    def run(self, function: Any, argument: Any, is_brief: bool = False) -> Deferred[Any]:
        self.brief += is_brief
        if not self.held:
            self.done += 1
            return maybeDeferred(function, argument)
        result: Deferred[Any] = Deferred()
        self.line.append((function, argument, result))
        return result

    def work(self) -> None:
        function, argument, result = self.line.pop(0)
        self.done += 1
        maybeDeferred(function, argument).chainDeferred(result)


class FakeLoop:
    """A `Loop` on Twisted's test clock, with fake threads."""

    name = "FakeLoop"
    is_prompt = False

    def __init__(self, reactor: TestReactor, clock: FakeClock) -> None:
        self.reactor = reactor
        self.held: list[Any] = []  # what of `holds` is to be called when the events are handled
        self.holds: type | None = None
        self.call_later = reactor.callLater
        self.writer_thread = FakeThread()
        self.reader_threads = FakeThread()
        self.script_threads = FakeThread()
        self.run_on_script_thread = self.script_threads.run
        self.run_on_writer = self.writer_thread.run
        self.run_on_reader = self.reader_threads.run
        self.releases = 0
        self.drop_closed: Callable[[], Any] = lambda: None
        self.time_ns = clock.time_ns
        self.nanoseconds = clock.nanoseconds
        self.breathe = clock.breathe
        self.step_aside = clock.step_aside

    def call_soon(self, function: Callable[[], None]) -> Any:
        if self.holds is not None and isinstance(getattr(function, "__self__", None), self.holds):
            return self.held.append(function)
        return self.reactor.callLater(0, function)

    def hold(self, owner: type) -> list[Any]:
        """From now on what objects of a class want to be called soon is kept in this list, for the test to call."""
        self.holds = owner
        return self.held

    def call_from_thread(self, function: Callable[[], None]) -> None:
        self.reactor.callLater(0, function)

    def release_reactor(self) -> None:
        self.releases += 1


class FakeSocket:
    """Takes up to `room` bytes, then would block. Has received `unread`, which only who asks it is given."""

    def __init__(self, transport: FakeTransport) -> None:
        self.transport = transport
        self.room = 1 << 30
        self.sends = 0
        self.unread = b""
        self.options: dict[tuple[int, int], int] = {}

    def fileno(self) -> int:
        return 7

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.options[level, option] = value

    def send(self, data: bytes) -> int:
        self.sends += 1
        if self.room == 0:
            raise BlockingIOError
        taken = data[: self.room]
        self.room -= len(taken)
        self.transport.sent += taken
        return len(taken)

    def recv(self, size: int) -> bytes:
        data, self.unread = self.unread[:size], self.unread[size:]
        if not data:
            raise BlockingIOError
        return data


class FakeTransport(StringTransport):
    """A TCP transport: what left through the socket is in `sent`, what waits in the buffer is `value()`."""

    bufferSize: int  # how much a read takes
    offset = 0  # of what waits in `dataBuffer`
    _tempDataLen = 0

    def __init__(self) -> None:
        super().__init__(IPv4Address("TCP", "127.0.0.1", 6377), IPv4Address("TCP", "10.0.0.9", 50000))
        self.sent = b""
        self.socket = FakeSocket(self)
        self.aborted = False
        self.protocol: Any = None

    @property
    def dataBuffer(self) -> bytes:
        waiting: bytes = self.value()
        return waiting

    def getHandle(self) -> FakeSocket:
        return self.socket

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.keep_alive = enabled

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        super().registerProducer(producer, streaming)
        if not streaming:
            producer.resumeProducing()

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnected = True

    def connectionLost(self, reason: Failure) -> None:
        """What Twisted does: the producer is told first, the protocol when the socket is closed."""
        self.disconnected = True
        self.connected = False
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        self.protocol.connectionLost(reason)

    def read_some(self, size: int) -> None:
        """The peer has read so many bytes, and others still wait."""
        waiting = self.value()
        self.sent += waiting[:size]
        self.clear()
        self.write(waiting[size:])

    def drain(self, room: int = 1 << 30) -> None:
        """The peer has read everything: the buffer leaves, the socket has `room` again, and the producer is told."""
        self.sent += self.value()
        self.clear()
        self.socket.room = room
        if self.producer is not None:
            self.producer.resumeProducing()


class Connection:
    """A client of the lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.transport = FakeTransport()
        self.protocol: RedisProtocol = lab.factory.buildProtocol(None)
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)
        self.connection = self.protocol.connection

    def send(self, data: bytes) -> bytes:
        """Delivers bytes, lets the reactor turn until nothing is due, and gives what has come back since."""
        before = len(self.transport.sent)
        self.protocol.dataReceived(data)
        self.lab.settle()
        return self.transport.sent[before:]

    def call(self, *lines: str) -> bytes:
        """Sends inline commands in one chunk; the bytes that come back."""
        return self.send("".join(line + "\r\n" for line in lines).encode())

    def answer(self, line: str) -> Any:
        """The reply to one inline command, as a value."""
        return wire.parse(self.call(line))

    def end_input(self) -> None:
        """The client shuts down its sending side."""
        self.protocol.readConnectionLost()
        self.lab.settle()

    def lose(self) -> None:
        self.transport.connectionLost(connectionDone)


class Lab:
    """A server on the store in `path`."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.reactor = TestReactor()
        self.clock = FakeClock()
        self.environment = Environment(
            str(path),
            options.get("databases", 16),
            "no",
            note_crashes=options.get("note_crashes", False),
            nanoseconds=self.clock.nanoseconds,
            writes_back=options.get("writes_back", False),
        )
        self.stopped = 0
        settings = Settings(
            {
                "dir": str(path),
                "databases": self.environment.databases,
                "appendfsync": "no",
                "enable-debug-command": options.get("enable_debug_command", "yes"),
                "aclfile": options.get("acl_file", ""),
                "requirepass": options.get("password", ""),
                "protected-mode": options.get("protected_mode", "no"),  # its clients come from another machine
            }
        )
        configuration = config_file.load(options["config"], settings) if "config" in options else None
        self.loop = FakeLoop(self.reactor, self.clock)
        self.writer_thread = self.loop.writer_thread
        self.reader_threads = self.loop.reader_threads
        self.script_threads = self.loop.script_threads
        loop: Any = self.loop
        self.server = Server(loop, self.environment, settings, Random(1), self._stop)
        declared = declared_users(configuration, self.server.state.users.index, False) if configuration else {}
        self.server.dispatcher.performer.users_file.start(declared)
        self.factory = RedisFactory()
        self.factory.server = self.server

    def _stop(self) -> None:
        self.stopped += 1

    def connect(self) -> Connection:
        return Connection(self)

    def settle(self) -> None:
        """Runs what is due now, and what that makes due, without moving the reactor's time."""
        for _ in range(100):
            self.reactor.advance(0)

    def sweep(self) -> None:
        """Lets the sweeper take what steps it can, also where it has just been."""
        self.reactor.advance(0.1)
        self.server.dispatcher.sweep_if_due()
        self.settle()

    def commits(self) -> int:
        """LMDB's number of the last transaction that was committed with anything in it."""
        return int(self.environment.lmdb.info()["last_txnid"])

    def advance_ms(self, ms: int) -> None:
        """Moves both clocks."""
        self.clock.advance_ms(ms)
        self.reactor.advance(ms / 1000)
        self.settle()

    def close(self) -> None:
        """Checks the store and closes it."""
        self.environment.flush()
        with ReadTransaction(self.environment, self.clock.now_us() // 1000) as transaction:
            problems = check(transaction)
        self.environment.close()
        assert problems == []
