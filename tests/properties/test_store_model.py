"""Any sequence of commands gives the replies that a dictionary with deadlines would give, across restarts too.

Clients send bytes to a whole server without sockets, on a real store, with a clock that the test moves; `model.py` says
what has to come back. After every step the store is sound and no key past its deadline is seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from keyp.storage.check import check
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.pieces import PIECE_BYTES
from keyp.storage.lmdb.transaction import ReadTransaction
from tests import wire
from tests.fakes import Connection, Lab
from tests.properties.model import TIME_WORDS, Model
from tests.scratch import scratch_directory

DATABASES = 3
CLIENTS = ((0, 2), (1, 3))  # their numbers and protocols

# Names around the length up to which the store keeps them as they are; short here, for reports that can be read.
LONG_NAMES = {b"k479": b"k" * 479, b"k480": b"k" * 480, b"k600": b"k" * 600, b"k599z": b"k" * 599 + b"z"}
KEYS = st.sampled_from([*[b"a"] * 6, *[b"b"] * 3, b"c", b"", b"ab", b"a*", b"\0\xff\r\n", *LONG_NAMES]).map(
    lambda name: LONG_NAMES.get(name, name)
)
VALUES = st.one_of(
    st.sampled_from([b"", b"0", b"1", b"-1", b"41", b"abc", b"9223372036854775807", b"-9223372036854775808", b"007"]),
    st.binary(max_size=6),
    st.sampled_from([PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, 2 * PIECE_BYTES + 9]).map(
        lambda length: (b"0123456789abcdef!" * (length // 17 + 1))[:length]
    ),
)
OFFSETS = st.one_of(
    st.integers(0, 12),
    st.sampled_from([PIECE_BYTES - 2, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 3, 2 * PIECE_BYTES, 200_000]),
)
INCREMENTS = st.one_of(st.integers(-20, 20), st.sampled_from([2**63 - 1, -(2**63) + 1, 2**62]))
INDEXES = st.integers(0, DATABASES - 1)
POSITIONS = st.one_of(OFFSETS, OFFSETS.map(lambda offset: -offset))
SPANS = st.sampled_from([1, 2, 3, 10, 400, 1000, 1500, 60_000])
COPY_OPTIONS = st.tuples(
    st.one_of(st.just([]), INDEXES.map(lambda index: [b"DB", index])), st.sampled_from([[], [b"REPLACE"]])
).map(lambda parts: parts[0] + parts[1])


def call(*parts: Any) -> st.SearchStrategy[list[bytes]]:
    """A command: words as they are, one from each strategy; a list becomes several words, a number its digits."""
    drawn = [part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts]
    return st.tuples(*drawn).map(lambda words: [_bytes(word) for part in words for word in _flat(part)])


def _flat(part: Any) -> list[Any]:
    return part if isinstance(part, list) else [part]


def _bytes(word: bytes | int) -> bytes:
    return b"%d" % word if isinstance(word, int) else word


def pairs(most: int) -> st.SearchStrategy[list[bytes]]:
    return st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=most).map(
        lambda drawn: [word for pair in drawn for word in pair]
    )


SOME_KEYS = st.lists(KEYS, min_size=1, max_size=4)
READS = st.one_of(
    call(st.sampled_from([b"GET", b"STRLEN", b"TYPE"]), KEYS),
    call(st.sampled_from([b"TTL", b"PTTL", b"EXPIRETIME", b"PEXPIRETIME"]), KEYS),
    call(st.sampled_from([b"MGET", b"EXISTS", b"TOUCH"]), SOME_KEYS),
    call(b"GETRANGE", KEYS, POSITIONS, POSITIONS),
)
WRITES = st.one_of(
    call(st.sampled_from([b"SET", b"SETNX", b"GETSET", b"APPEND"]), KEYS, VALUES),
    call(st.sampled_from([b"SETEX", b"PSETEX"]), KEYS, SPANS, VALUES),
    call(st.sampled_from([b"MSET", b"MSETNX"]), pairs(3)),
    call(st.sampled_from([b"GETDEL", b"INCR", b"DECR", b"PERSIST"]), KEYS),
    call(st.sampled_from([b"INCRBY", b"DECRBY"]), KEYS, INCREMENTS),
    call(b"SETRANGE", KEYS, OFFSETS, VALUES),
    call(st.sampled_from([b"DEL", b"UNLINK"]), SOME_KEYS),
    call(st.sampled_from([b"RENAME", b"RENAMENX"]), KEYS, KEYS),
    call(b"COPY", KEYS, KEYS, COPY_OPTIONS),
    call(b"MOVE", KEYS, INDEXES),
)
RARE_WRITES = st.one_of(
    call(b"FLUSHDB"),
    call(b"FLUSHALL"),
    call(b"SWAPDB", INDEXES, INDEXES),
)
CLIENT = st.integers(0, len(CLIENTS) - 1)


class StoreMachine(RuleBasedStateMachine):
    """Two clients, one of them in RESP3, and an observer."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = scratch_directory()
        self.path = Path(self.directory.name)
        self.version = 0
        self.open()
        self.model = Model(DATABASES, self.lab.clock.us // 1000)
        self.selected = [0] * len(CLIENTS)

    def open(self) -> None:
        self.lab = Lab(self.path, databases=DATABASES)
        self.clients = [self.connect(protocol) for _, protocol in CLIENTS]
        self.observer = self.connect(2)

    def connect(self, protocol: int) -> Connection:
        client = self.lab.connect()
        if protocol == 3:
            client.call("HELLO 3")
        return client

    def teardown(self) -> None:
        try:
            self.everything_is_there()
            self.lab.close()
        finally:
            self.directory.cleanup()

    # Steps.

    def expected(self, client: int, words: list[bytes]) -> bytes:
        self.model.selected = self.selected[client]
        return wire.reply(self.model.run(words), CLIENTS[client][1])

    def send(self, client: int, *calls: list[bytes]) -> None:
        expected = b"".join([self.expected(client, words) for words in calls])
        got = self.clients[client].send(b"".join([wire.request(*words) for words in calls]))
        assert got == expected, f"{calls} gave {got[:200]!r}, not {expected[:200]!r}"

    @rule(client=CLIENT, words=READS)
    def read(self, client: int, words: list[bytes]) -> None:
        self.send(client, words)

    @rule(client=CLIENT, words=WRITES)
    def write(self, client: int, words: list[bytes]) -> None:
        self.send(client, words)

    @rule(client=CLIENT, words=RARE_WRITES)
    def write_much(self, client: int, words: list[bytes]) -> None:
        self.send(client, words)

    @rule(client=CLIENT, calls=st.lists(st.one_of(READS, WRITES), min_size=2, max_size=6))
    def pipeline(self, client: int, calls: list[list[bytes]]) -> None:
        self.send(client, *calls)

    @rule(calls=st.lists(WRITES, min_size=len(CLIENTS), max_size=len(CLIENTS)))
    def commit_as_a_group(self, calls: list[list[bytes]]) -> None:
        expected = [self.expected(client, words) for client, words in enumerate(calls)]
        before = [len(client.transport.sent) for client in self.clients]
        for client, words in zip(self.clients, calls, strict=True):
            client.protocol.dataReceived(wire.request(*words))
        self.lab.settle()
        got = [client.transport.sent[length:] for client, length in zip(self.clients, before, strict=True)]
        assert got == expected

    @rule(
        client=CLIENT,
        key=KEYS,
        value=VALUES,
        condition=st.sampled_from([[], [], [b"NX"], [b"XX"]]),
        get=st.sampled_from([[], [b"GET"]]),
        time_word=st.sampled_from([b"", b"KEEPTTL", *TIME_WORDS]),
        span_ms=st.one_of(SPANS, SPANS.map(lambda span: -span), st.just(0)),
        order=st.randoms(use_true_random=False),
    )
    def set_with_options(
        self,
        client: int,
        key: bytes,
        value: bytes,
        condition: Any,
        get: Any,
        time_word: bytes,
        span_ms: int,
        order: Any,
    ) -> None:
        time = [] if not time_word else [time_word]
        if time_word in TIME_WORDS:
            time.append(b"%d" % max(1, self.time(time_word, span_ms)))
        options = [condition, get, time]
        order.shuffle(options)
        self.send(client, [b"SET", key, value, *[word for part in options for word in part]])

    @rule(
        client=CLIENT,
        key=KEYS,
        option=st.sampled_from([b"", b"PERSIST", *TIME_WORDS]),
        span_ms=st.one_of(SPANS, SPANS.map(lambda span: -span), st.just(0)),
    )
    def getex(self, client: int, key: bytes, option: bytes, span_ms: int) -> None:
        words = [b"GETEX", key, option] if option else [b"GETEX", key]
        if option in TIME_WORDS:
            words.append(b"%d" % max(1, self.time(option, span_ms)))
        self.send(client, words)

    @rule(
        client=CLIENT,
        key=KEYS,
        form=st.sampled_from(
            [(b"EXPIRE", b"EX"), (b"PEXPIRE", b"PX"), (b"EXPIREAT", b"EXAT"), (b"PEXPIREAT", b"PXAT")]
        ),
        span_ms=st.one_of(SPANS, SPANS.map(lambda span: -span), st.sampled_from([0, -(10**15)])),
        conditions=st.sampled_from([[], [], [b"NX"], [b"XX"], [b"GT"], [b"LT"], [b"XX", b"GT"], [b"LT", b"XX"]]),
    )
    def expire(self, client: int, key: bytes, form: tuple[bytes, bytes], span_ms: int, conditions: list[bytes]) -> None:
        command, word = form
        self.send(client, [command, key, b"%d" % self.time(word, span_ms), *conditions])

    def deadlines(self, client: int) -> list[tuple[bytes, int]]:
        """The keys that a client sees and that have a deadline."""
        database = self.model.databases[self.selected[client]]
        live = self.model.live(self.selected[client])
        return [(key, entry.deadline) for key, entry in database.items() if entry.deadline is not None and key in live]

    @precondition(lambda self: self.deadlines(0))
    @rule(
        which=st.integers(0, 20),
        offset_ms=st.integers(-1, 1),
        condition=st.sampled_from([b"NX", b"XX", b"GT", b"LT"]),
    )
    def move_a_deadline_a_little(self, which: int, offset_ms: int, condition: bytes) -> None:
        known = self.deadlines(0)
        key, deadline = known[which % len(known)]
        self.send(0, [b"PEXPIREAT", key, b"%d" % (deadline + offset_ms), condition])

    @precondition(lambda self: self.deadlines(0))
    @rule(which=st.integers(0, 20), offset_ms=st.integers(-1, 1))
    def go_where_a_key_expires(self, which: int, offset_ms: int) -> None:
        known = self.deadlines(0)
        self.let_time_pass(max(0, known[which % len(known)][1] + offset_ms - self.model.now_ms))

    def time(self, word: bytes, span_ms: int) -> int:
        """The number that puts a deadline `span_ms` from now, as `word` counts."""
        unit, absolute = TIME_WORDS[word]
        return ((self.model.now_ms if absolute else 0) + span_ms) // unit

    @rule(client=CLIENT, index=INDEXES)
    def select(self, client: int, index: int) -> None:
        assert self.clients[client].call(f"SELECT {index}") == b"+OK\r\n"
        self.selected[client] = index

    @rule(span_ms=SPANS)
    def let_time_pass(self, span_ms: int) -> None:
        self.lab.advance_ms(span_ms)
        self.model.now_ms += span_ms

    @rule()
    def sweep(self) -> None:
        self.lab.sweep()
        if self.lab.server.state.sweeping:
            self.model.sweep()
            for index in range(DATABASES):
                assert self.stored(index) == len(self.model.databases[index])

    @rule(on=st.booleans())
    def switch_sweeper(self, on: bool) -> None:
        assert self.observer.call(f"DEBUG SET-ACTIVE-EXPIRE {int(on)}") == b"+OK\r\n"

    @rule(client=CLIENT, count=st.integers(1, 12), prefix=st.sampled_from([b"", b"a", b"k"]))
    def scan(self, client: int, count: int, prefix: bytes) -> None:
        found: list[bytes] = []
        cursor = b"0"
        while True:
            words = [b"SCAN", cursor, b"COUNT", b"%d" % count, b"MATCH", prefix + b"*"]
            cursor, names = wire.parse(self.clients[client].send(wire.request(*words)))
            found += names
            if cursor == b"0":
                break
        live = {key for key in self.model.live(self.selected[client]) if key.startswith(prefix)}
        assert set(found) == live
        assert len(found) == len(live)

    @rule(client=CLIENT, pattern=st.sampled_from([b"*", b"a*", b"?", b"a\\*", b"a", b"k*z", b"nosuch", b"", b"[^a]"]))
    def keys(self, client: int, pattern: bytes) -> None:
        matching = {
            b"*": lambda key: True,
            b"a*": lambda key: key.startswith(b"a"),
            b"?": lambda key: len(key) == 1,
            b"a\\*": lambda key: key == b"a*",
            b"a": lambda key: key == b"a",
            b"k*z": lambda key: key.startswith(b"k") and key.endswith(b"z"),
            b"nosuch": lambda key: False,
            b"": lambda key: key == b"",
            b"[^a]": lambda key: len(key) == 1 and key != b"a",
        }[pattern]
        names = wire.parse(self.clients[client].send(wire.request(b"KEYS", pattern)))
        assert sorted(names) == sorted(filter(matching, self.model.live(self.selected[client])))

    @rule(client=CLIENT)
    def name_a_random_key(self, client: int) -> None:
        name = wire.parse(self.clients[client].send(wire.request(b"RANDOMKEY")))
        live = self.model.live(self.selected[client])
        assert name in live if live else name is None

    @rule()
    def restart(self) -> None:
        """The store is closed and opened again, as after an orderly stop."""
        self.lab.environment.close()
        clock_us = self.lab.clock.us
        self.open()
        self.lab.clock.us = clock_us
        self.selected = [0] * len(CLIENTS)
        self.everything_is_there()

    # What is true after every step.

    @invariant()
    def store_is_sound(self) -> None:
        with ReadTransaction(self.lab.environment, self.model.now_ms) as transaction:
            assert check(transaction) == []
            version = layout.read_number(transaction.txn.get(b"version", bytes(8), self.lab.environment.meta))
        assert version >= self.version, "versions only grow"
        self.version = version

    @invariant()
    def only_what_lives_is_seen(self) -> None:
        for index in range(DATABASES):
            live = self.model.live(index)
            chosen, names, size = wire.parse_all(self.observer.call(f"SELECT {index}", "KEYS *", "DBSIZE"))
            assert chosen == "OK"
            assert len(names) == len(live)
            assert set(names) == live
            assert len(live) <= size <= len(self.model.databases[index])

    def stored(self, index: int) -> int:
        """How many keys the store holds, seen or not."""
        size: int = wire.parse_all(self.observer.call(f"SELECT {index}", "DBSIZE"))[1]
        return size

    def everything_is_there(self) -> None:
        """Every key of every database has its value and its deadline."""
        for index in range(DATABASES):
            self.observer.call(f"SELECT {index}")
            for key in self.model.live(index):
                entry = self.model.databases[index][key]
                replies = self.observer.send(wire.request(b"GET", key) + wire.request(b"PEXPIRETIME", key))
                assert wire.parse_all(replies) == [entry.value, -1 if entry.deadline is None else entry.deadline]


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=settings().max_examples // 2)
