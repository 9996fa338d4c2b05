"""EXEC runs its commands exactly where every watched key is what it was when WATCH looked.

What counts as a change is said by the model's table of commands: it gives each entry a new stamp whenever a command
touches it, and none where the command fails, finds its condition unmet or changes nothing. Several clients take
turns; a model of MULTI predicts every reply. In Keyp a key that came and went while it was watched, and is as absent
as it was, does not fail an EXEC; nor does one that two SWAPDBs have brought back. A version that no record carries is
given again, also after a restart: that must not be seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests import wire
from tests.fakes import Connection, Lab
from tests.properties.model import Model
from tests.scratch import scratch_directory

DATABASES = 2
PROTOCOLS = (2, 3, 2)  # of each client

KEYS = st.sampled_from([b"a", b"a", b"a", b"b", b"k"])
VALUES = st.sampled_from([b"", b"1", b"abc"])
INDEXES = st.sampled_from([b"0", b"1"])
CLIENT = st.sampled_from([0, 0, 1, 2])


def words(*parts: Any) -> st.SearchStrategy[list[bytes]]:
    """A command made of words and strategies for words."""
    drawn = [part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts]
    return st.tuples(*drawn).map(list)


CALLS = st.one_of(
    words(st.sampled_from([b"GET", b"TTL", b"EXISTS", b"STRLEN", b"PEXPIRETIME"]), KEYS),
    words(st.sampled_from([b"SET", b"SETNX", b"APPEND", b"GETSET"]), KEYS, VALUES),
    words(b"SET", KEYS, VALUES, st.sampled_from([b"NX", b"XX", b"KEEPTTL", b"GET"])),
    words(b"SET", KEYS, VALUES, b"PX", st.sampled_from([b"20", b"1000"])),
    words(st.sampled_from([b"INCR", b"DEL", b"GETDEL", b"PERSIST", b"GETEX", b"TOUCH"]), KEYS),
    words(b"GETEX", KEYS, b"PERSIST"),
    words(b"GETEX", KEYS, b"PX", st.sampled_from([b"20", b"1000"])),
    words(b"PEXPIRE", KEYS, st.sampled_from([b"-1", b"20", b"1000"])),
    words(b"PEXPIRE", KEYS, b"500", st.sampled_from([b"NX", b"XX", b"GT", b"LT"])),
    words(b"SETRANGE", KEYS, b"2", VALUES),
    words(st.sampled_from([b"RENAME", b"RENAMENX", b"COPY"]), KEYS, KEYS),
    words(b"COPY", KEYS, KEYS, b"DB", INDEXES, b"REPLACE"),
    words(b"MOVE", KEYS, INDEXES),
    words(st.sampled_from([b"MSET", b"MSETNX"]), KEYS, VALUES, KEYS, VALUES),
    words(b"FLUSHDB"),
    words(b"FLUSHALL"),
    words(b"SWAPDB", INDEXES, INDEXES),
)
REFUSED = st.sampled_from(
    [
        ([b"GET"], "ERR wrong number of arguments for 'get' command"),
        ([b"SET", b"a"], "ERR wrong number of arguments for 'set' command"),
        ([b"NOSUCH"], "ERR unknown command 'NOSUCH', with args beginning with: "),
    ]
)


class ClientModel:
    """What a transaction is made of."""

    def __init__(self) -> None:
        self.selected = 0
        self.queue: list[list[bytes]] | None = None
        self.broken = False
        self.watched: dict[tuple[int, bytes], int] = {}

    def forget(self) -> None:
        self.queue = None
        self.broken = False
        self.watched = {}


class WatchMachine(RuleBasedStateMachine):
    """Three clients on two databases."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = scratch_directory()
        self.path = Path(self.directory.name)
        self.open()
        self.model = Model(DATABASES, self.lab.clock.us // 1000)

    def open(self) -> None:
        self.lab = Lab(self.path, databases=DATABASES)
        self.connections: list[Connection] = [self.lab.connect() for _ in PROTOCOLS]
        for connection, protocol in zip(self.connections, PROTOCOLS, strict=True):
            connection.call(f"HELLO {protocol}")
        self.clients = [ClientModel() for _ in PROTOCOLS]

    def teardown(self) -> None:
        try:
            self.lab.close()
        finally:
            self.directory.cleanup()

    # The model of a client.

    def expected(self, client: ClientModel, call: list[bytes]) -> Any:
        """The reply that a client has to get."""
        name = call[0]
        if name in (b"MULTI", b"EXEC", b"DISCARD", b"WATCH"):
            return getattr(self, name.decode().lower())(client, call)
        if client.queue is not None:
            client.queue.append(call)
            return "QUEUED"
        return self.carry_out(client, call)

    def carry_out(self, client: ClientModel, call: list[bytes]) -> Any:
        if call[0] == b"SELECT":
            client.selected = int(call[1])
            return "OK"
        if call[0] == b"UNWATCH":
            client.watched = {}
            return "OK"
        self.model.selected = client.selected
        return self.model.run(call)

    def multi(self, client: ClientModel, call: list[bytes]) -> Any:
        if client.queue is not None:
            return wire.Error("ERR MULTI calls can not be nested")
        client.queue = []
        return "OK"

    def discard(self, client: ClientModel, call: list[bytes]) -> Any:
        if client.queue is None:
            return wire.Error("ERR DISCARD without MULTI")
        client.forget()
        return "OK"

    def watch(self, client: ClientModel, call: list[bytes]) -> Any:
        if client.queue is not None:
            return wire.Error("ERR WATCH inside MULTI is not allowed")
        for key in call[1:]:
            client.watched.setdefault((client.selected, key), self.stamp(client.selected, key))
        return "OK"

    def exec(self, client: ClientModel, call: list[bytes]) -> Any:
        queue = client.queue
        if queue is None:
            return wire.Error("ERR EXEC without MULTI")
        broken = client.broken
        changed = any(self.stamp(*watched) != seen for watched, seen in client.watched.items())
        client.forget()
        if broken:
            return wire.Error("EXECABORT Transaction discarded because of previous errors.")
        return wire.NO_ARRAY if changed else [self.carry_out(client, queued) for queued in queue]

    def stamp(self, database: int, key: bytes) -> int:
        entry = self.model.find(key, database)
        return entry.stamp if entry else 0

    # Steps.

    def send(self, index: int, *calls: list[bytes]) -> None:
        client = self.clients[index]
        expected = [wire.reply(self.expected(client, call), PROTOCOLS[index]) for call in calls]
        got = self.connections[index].send(b"".join([wire.request(*call) for call in calls]))
        assert got == b"".join(expected), f"client {index}, {calls}: {got!r}, not {expected!r}"

    @rule(client=CLIENT, call=CALLS)
    def call(self, client: int, call: list[bytes]) -> None:
        """Carried out or queued."""
        self.send(client, call)

    @rule(client=CLIENT, keys=st.lists(KEYS, min_size=1, max_size=3))
    def watch_keys(self, client: int, keys: list[bytes]) -> None:
        self.send(client, [b"WATCH", *keys])

    @rule(client=CLIENT, name=st.sampled_from([b"MULTI", b"MULTI", b"EXEC", b"EXEC", b"EXEC", b"DISCARD", b"UNWATCH"]))
    def control(self, client: int, name: bytes) -> None:
        self.send(client, [name])

    @rule(client=CLIENT, calls=st.lists(CALLS, max_size=4), watched=st.lists(KEYS, max_size=2))
    def transaction_in_one_chunk(self, client: int, calls: list[list[bytes]], watched: list[bytes]) -> None:
        watches = [[b"WATCH", *watched]] if watched else []
        self.send(client, *watches, [b"MULTI"], *calls, [b"EXEC"])

    @rule(client=CLIENT, index=INDEXES)
    def select(self, client: int, index: bytes) -> None:
        self.send(client, [b"SELECT", index])

    @precondition(lambda self: any(client.queue is not None for client in self.clients))
    @rule(refused=REFUSED)
    def queue_what_is_refused(self, refused: tuple[list[bytes], str]) -> None:
        call, error = refused
        index = next(index for index, client in enumerate(self.clients) if client.queue is not None)
        self.clients[index].broken = True
        assert self.connections[index].send(wire.request(*call)) == wire.reply(wire.Error(error), 2)

    @rule(span_ms=st.sampled_from([1, 19, 20, 21, 500, 1001]))
    def let_time_pass(self, span_ms: int) -> None:
        self.lab.advance_ms(span_ms)
        self.model.now_ms += span_ms

    @rule()
    def sweep(self) -> None:
        """Removes what has expired; nobody may notice."""
        self.lab.sweep()

    @rule(client=CLIENT)
    def leave_and_come_back(self, client: int) -> None:
        """A connection's watches and queue go with it."""
        self.connections[client].lose()
        self.connections[client] = self.lab.connect()
        self.connections[client].call(f"HELLO {PROTOCOLS[client]}")
        self.clients[client] = ClientModel()

    @rule()
    def restart(self) -> None:
        """Nobody watches any more. What was the last version then, and what is given again, must fool nobody later."""
        clock_us = self.lab.clock.us
        self.lab.close()
        self.open()
        self.lab.clock.us = clock_us

    @invariant()
    def databases_are_what_they_should_be(self) -> None:
        observer = self.lab.connect()
        for index in range(DATABASES):
            _, names = wire.parse_all(observer.call(f"SELECT {index}", "KEYS *"))
            assert set(names) == self.model.live(index)
        observer.lose()


TestWatch = WatchMachine.TestCase
TestWatch.settings = settings(max_examples=settings().max_examples // 2)
