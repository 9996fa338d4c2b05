"""Every command with every argument, on a server without sockets: alone, in pipelines and in transactions.

Each request gets exactly one well-formed reply in the protocol of its client; nothing is logged as an error; nothing
goes on without end; and the store is sound, which is looked at now and then.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from keyp.storage.check import check
from keyp.storage.lmdb.transaction import ReadTransaction
from tests import wire
from tests.fakes import Connection, Lab
from tests.fuzz import calls
from tests.fuzz.client import Call, Client, is_reply_mode
from tests.fuzz.source import Source
from tests.fuzz.target import Run

TURNS_MAX: Final = 2000  # of the reactor, for what one chunk has caused
ROUNDS_MAX: Final = 50
CHECKED_EVERY: Final = 300  # inputs
SETTLED_MS: Final = (0, 1, 2000, 10_000, 1_000_000)
BULK_BYTES_MAX: Final = b"1mb"

# What changes the server and not its data: it is made anew then.
CHANGES: Final = (b"acl setuser", b"acl deluser", b"acl load", b"config set", b"shutdown", b"debug set-active-expire")
STAGE: Final = b"".join([wire.request(*line.split()) for line in (b"FLUSHALL", *calls.STAGE)])
CLEARED: Final = b"".join([wire.request(*line.split()) for line in (b"FUNCTION FLUSH", b"SCRIPT FLUSH")])
SCRIPTS: Final = (b"eval", b"evalsha", b"script", b"function", b"fcall", b"eval_ro", b"acl")


class Stage:
    """A server that is what it was before each input: with the same data, and nothing else.

    `stage` are the requests that make it so, where a target's calls change no more than these put right; without, it
    has keys of all types, and is made anew when more than its data was changed. With a `password` clients have to log
    in.
    """

    def __init__(self, directory: Path, stage: bytes = b"", password: str = "") -> None:
        self._directory = directory
        self._stage = stage
        self._password = password
        self._failures: list[str] = []
        self._inputs = 0
        self._is_changed = self._has_scripts = self._is_under_way = False
        publisher: Any = globalLogPublisher
        publisher.addObserver(self._observe)
        self._open()

    def _observe(self, event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.error:
            self._failures.append(f"{event.get('log_failure', '')}\n{formatEvent(event)}")

    def _open(self) -> None:
        path = self._directory / "store"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        self.lab = Lab(path, password=self._password)
        self._control = self._controller()
        self._order(wire.request(b"CONFIG", b"SET", b"proto-max-bulk-len", BULK_BYTES_MAX))
        self.clients: list[Client] = []
        self._is_changed = False

    def _controller(self) -> Connection:
        """A client that takes no part."""
        control = self.lab.connect()
        if self._password:
            control.protocol.dataReceived(wire.request(b"AUTH", self._password.encode()))
        return control

    def _order(self, data: bytes) -> None:
        """Sends calls from the client that takes no part; others may have ended its connection."""
        if self._control.transport.disconnecting or self._control.transport.disconnected:
            self._control = self._controller()
        self._control.protocol.dataReceived(data)
        self.settle()
        self._control.transport.sent = b""

    def begin(self) -> None:
        """Makes ready for an input."""
        self._inputs += 1
        if self._is_changed or self._is_under_way:
            try:
                self.lab.close()
            finally:
                self._open()
        elif self._inputs % CHECKED_EVERY == 0:
            self.lab.sweep()
            self.check()
        if self._has_scripts:
            self._order(CLEARED)
            self._has_scripts = False
        self._order(self._stage or STAGE)
        self._failures.clear()
        self._is_under_way = True

    def connect(self, protocol: int) -> Client:
        """A client that speaks this protocol."""
        client = Client(self.lab)
        self.clients.append(client)
        if protocol == 3:
            client.send([[b"HELLO", b"3"]])
        return client

    def settle(self) -> None:
        """Lets the reactor do what is due, and what that makes due."""
        reactor, turns = self.lab.reactor, 0
        while reactor.calls and reactor.calls[0].getTime() <= reactor.seconds():
            reactor.advance(0)
            turns += 1
            assert turns < TURNS_MAX, reactor.calls

    def take(self) -> None:
        """What has come is what was owed."""
        self.settle()
        for client in self.clients:
            client.take()
        assert not self._failures, self._failures

    def note(self, call: Call) -> None:
        """A call is sent: what it may change is put right before the next input."""
        if self._stage:
            return
        name = call[0].lower()
        self._is_changed |= b" ".join(call[:2]).lower().startswith(CHANGES)
        self._has_scripts |= name in SCRIPTS

    def advance(self, ms: int) -> None:
        """Time passes."""
        self.lab.clock.advance_ms(ms)
        self.lab.reactor.advance(ms / 1000)

    def finish(self) -> None:
        """All that waits comes to an end, and every client leaves."""
        for _ in range(ROUNDS_MAX):  # of those who have left, what they sent still runs: pauses, too
            if any(client.owed and not client.is_gone for client in self.clients):
                self._go_on()
        state = self.lab.server.state
        if self.lab.stopped or state.users.default.is_unrestricted is False:
            self._is_changed = True
        for client in self.clients:
            assert not client.owed or client.is_gone or self._is_changed, f"no reply to {client.owed[0]!r}"
            if not client.transport.disconnected:
                client.connection.lose()
        self.clients = []
        self.settle()
        assert not self._failures, self._failures
        self._is_under_way = False

    def _go_on(self) -> None:
        """Time passes, pauses end, and who still waits then is woken."""
        for ms in SETTLED_MS:
            self.advance(ms)
            self.take()
        server = self.lab.server
        server.state.paused_until_ns = 0
        server.resume_clients()
        self.take()
        for client in self.clients:
            if client.state.waiting and not client.is_gone:
                self._order(wire.request(b"CLIENT", b"UNBLOCK", b"%d" % client.state.id))
                self.take()

    def check(self) -> None:
        """The store is sound."""
        environment = self.lab.environment
        environment.flush()
        with ReadTransaction(environment, self.lab.clock.now_us() // 1000) as transaction:
            problems = check(transaction)
        assert problems == []


def answered(call: Call) -> list[Call]:
    """The call, and behind it what has the client be answered again."""
    if is_reply_mode(call) and call[2].lower() in (b"off", b"skip"):
        return [call, [b"CLIENT", b"REPLY", b"ON"]]
    return [call]


def commands(directory: Path) -> Run:
    """Calls of two clients, who may speak different protocols."""
    stage = Stage(directory)

    def run(data: bytes) -> None:
        source = Source(data)
        stage.begin()
        protocols = source.byte()
        clients = [stage.connect(2 + (protocols >> number & 1)) for number in range(1 + (protocols >> 2 & 1))]
        while source.has_more():
            client = source.choice(clients)
            form = source.below(16)
            if form == 0:
                stage.advance(source.choice((1, 100, 1001, 100_000)))
            elif form <= 3:
                chunk = [calls.call(source) for _ in range(1 + source.below(4))]
                send(stage, client, [[b"MULTI"], *chunk, [b"EXEC"]] if form == 3 else chunk)
            else:
                send(stage, client, [calls.call(source)])
            if stage.lab.stopped:
                break
        stage.finish()

    return run


def send(stage: Stage, client: Client, chunk: list[Call]) -> None:
    """Sends calls in one chunk, if the client still is there."""
    if client.is_gone:
        return
    for call in chunk:
        stage.note(call)
    client.send([each for call in chunk for each in answered(call)])
    stage.settle()
    if not stage.lab.stopped:
        stage.take()
