"""Clients that write as fast as they are answered and note in the ledger what they sent and what was answered.

Each has its own connection, thread, groups of keys and dice. What it does to a group: SET with and without a
deadline, SET of a string long enough to be kept in pieces, APPEND, PEXPIREAT, PERSIST, DEL; changes of collections of
every type; RENAME and MSET on pairs; MULTI on four keys; and MULTI with a FLUSHDB, and SWAPDB, in two databases of its
own. In between, keys are written that die at once, so that the sweeper has work. Every value of a string, and every new
item of a collection, begins with a mark that no other one has.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any, Final

from tests import wire
from tests.crash import values
from tests.crash.ledger import NOISE, Group, Key, Ledger, State, Write
from tests.integration.daemon import DEADLINE_S

SINGLES: Final = 12
PAIRS: Final = 3
FOURS: Final = 3
FLUSHED: Final = 4
COLLECTIONS: Final = 2  # of each type
LONGEST: Final = 150_000
DEADLINES_BEGIN_MS: Final = 4_000_000_000_000  # in the year 2096

Command = values.Command


class Client(threading.Thread):
    """Writes until `stop` is set, `batches` have been answered or the server is gone.

    `pause_s` is what it waits between batches. `wrong` holds replies that no write should have had.
    """

    def __init__(
        self,
        port: int,
        groups: Groups,
        random: Random,
        stop: threading.Event,
        batches: int = 1 << 30,
        pause_s: float = 0,
    ) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.groups = groups
        self.random = random
        self.stopping = stop
        self.batches = batches
        self.pause_s = pause_s
        self.wrong: list[Any] = []
        self.answered = 0  # writes
        self._database = 0
        self._received = 0
        self._buffer = b""

    def run(self) -> None:
        with socket.socket() as connection:
            connection.settimeout(DEADLINE_S)
            try:
                connection.connect(("127.0.0.1", self.port))
                connection.sendall(wire.request(b"ECHO", self.groups.name))
                self._reply(connection)
                for _ in range(self.batches):
                    self._batch(connection)
                    if self.stopping.wait(self.pause_s) if self.pause_s else self.stopping.is_set():
                        return
            except OSError:
                return  # the server is gone, which is what most of these tests are about

    def _batch(self, connection: socket.socket) -> None:
        """Sends one write or many at once; notes each as answered when its last reply is there."""
        commands: list[Command] = []
        sent: list[tuple[Write, int]] = []
        for _ in range(self.random.choice([1, 1, 1, 1, 6, 40])):
            database, asked, write = self.groups.next_write(self.random)
            if database != self._database:
                commands.append((b"SELECT", b"%d" % database))
                self._database = database
            commands += asked
            if write is not None:
                sent.append((write, len(commands)))
        for write, _ in sent:
            write.connection = self.groups.name
            write.sent = self.groups.ledger.tick()
        connection.sendall(b"".join(wire.request(*command) for command in commands))
        came = 0
        for write, due in sent:
            while came < due:
                self._judge(self._reply(connection), commands[came])
                came += 1
            write.reply_end = self._received
            write.answered = self.groups.ledger.tick()
            self.answered += 1
        for command in commands[came:]:
            self._judge(self._reply(connection), command)

    def _reply(self, connection: socket.socket) -> Any:
        while (end := wire.reply_end(self._buffer)) < 0:
            data = connection.recv(1 << 16)
            if not data:
                raise ConnectionResetError
            self._buffer += data
        data, self._buffer = self._buffer[:end], self._buffer[end:]
        self._received += end
        return wire.parse(data)

    def _judge(self, reply: Any, command: Command) -> None:
        replies = reply if isinstance(reply, list) else [reply]
        if reply is None or reply is wire.NO_ARRAY or any(isinstance(item, wire.Error) for item in replies):
            self.wrong.append((command[:2], reply))


class Groups:
    """The groups of one client and the writes that may be made to them."""

    def __init__(self, ledger: Ledger, number: int) -> None:
        self.ledger = ledger
        self.name = b"client%d" % number
        self._count = itertools.count(1)
        self._choices: list[tuple[Group, Callable[[Group, Random], tuple[list[Command], Write]]]] = []
        for place in range(SINGLES):
            self._choices.append((ledger.add(self._keys(0, b"single%d" % place, 1)), self._single))
        for kind in values.TYPES:
            for place in range(COLLECTIONS):
                group = ledger.add(self._keys(0, b"%s%d" % (kind, place), 1))
                self._choices.append((group, self._collection(kind)))
        for place in range(PAIRS):
            self._choices.append((ledger.add(self._keys(0, b"pair%d" % place, 2)), self._pair))
        for place in range(FOURS):
            self._choices.append((ledger.add(self._keys(0, b"four%d" % place, 4)), self._four))
        one, other = 1 + 2 * number, 2 + 2 * number
        keys = [*self._keys(one, b"flushed", FLUSHED), *self._keys(other, b"flushed", FLUSHED)]
        self._choices.append((ledger.add(keys), self._flushed))

    def _keys(self, database: int, name: bytes, count: int) -> list[Key]:
        return [(database, b"%s:%s:%d" % (self.name, name, place)) for place in range(count)]

    def next_write(self, random: Random) -> tuple[int, list[Command], Write | None]:
        """A database, commands to be sent there, and the write they add up to: None for a key that dies at once."""
        if random.random() < 0.05:
            name = NOISE + self.name + b"%d" % random.randrange(100)
            return 0, [(b"SET", name, b"x", b"PX", b"%d" % random.randrange(1, 300))], None
        group, make = random.choice(self._choices)
        commands, write = make(group, random)
        return group.keys[0][0], commands, group.add(write)

    def _mark(self) -> bytes:
        return b"<%s/%d>" % (self.name, next(self._count))

    def _value(self, random: Random) -> bytes:
        mark = self._mark()
        length = random.randrange(70_000, LONGEST) if random.random() < 0.01 else random.choice([0, 10, 100, 1500])
        return mark + b"." * length

    def _single(self, group: Group, random: Random) -> tuple[list[Command], Write]:
        ((_, name),) = group.keys
        (state,) = group.states
        value, deadline_ms = self._value(random), _deadline(random)
        kind = random.random()
        if state is not None and kind < 0.1:
            return [(b"DEL", name)], Write((None,))
        if state is not None and kind < 0.3 and len(state[0]) < LONGEST:
            return [(b"APPEND", name, value)], Write(((state[0] + value, state[1]),))
        if state is not None and kind < 0.4:
            return [(b"PEXPIREAT", name, b"%d" % deadline_ms)], Write(((state[0], deadline_ms),))
        if state is not None and kind < 0.45:
            return [(b"PERSIST", name)], Write(((state[0], 0),))
        if kind < 0.7:
            return [_set(name, (value, deadline_ms))], Write(((value, deadline_ms),))
        return [_set(name, (value, 0))], Write(((value, 0),))

    def _collection(self, kind: bytes) -> Callable[[Group, Random], tuple[list[Command], Write]]:
        def change(group: Group, random: Random) -> tuple[list[Command], Write]:
            ((_, name),) = group.keys
            (state,) = group.states
            value, deadline_ms = (None, 0) if state is None else state
            command, value = values.change(kind, name, value, self._mark(), random)
            return [command], Write((None if value is None else (value, deadline_ms),))

        return change

    def _pair(self, group: Group, random: Random) -> tuple[list[Command], Write]:
        (_, one), (_, other) = group.keys
        first, _ = group.states
        if first is not None and random.random() < 0.4:
            return [(b"RENAME", one, other)], Write((None, first), 1)
        values = (self._value(random), self._value(random))
        return [(b"MSET", one, values[0], other, values[1])], Write(tuple((value, 0) for value in values), 1)

    def _four(self, group: Group, random: Random) -> tuple[list[Command], Write]:
        states: tuple[State, ...] = tuple(
            None if random.random() < 0.2 else (self._value(random), random.choice([0, _deadline(random)]))
            for _ in group.keys
        )
        commands = [
            (b"DEL", name) if state is None else _set(name, state)
            for (_, name), state in zip(group.keys, states, strict=True)
        ]
        return [(b"MULTI",), *commands, (b"EXEC",)], Write(states, len(commands))

    def _flushed(self, group: Group, random: Random) -> tuple[list[Command], Write]:
        ours, others = group.states[:FLUSHED], group.states[FLUSHED:]
        if random.random() < 0.3:
            one, other = group.keys[0][0], group.keys[FLUSHED][0]
            return [(b"SWAPDB", b"%d" % one, b"%d" % other)], Write(others + ours)
        kept = random.randrange(1, FLUSHED + 1)
        ours = tuple((self._value(random), 0) if place < kept else None for place in range(FLUSHED))
        commands: list[Command] = [(b"FLUSHDB",)]
        commands += [_set(name, state) for (_, name), state in zip(group.keys, ours, strict=False) if state is not None]
        return [(b"MULTI",), *commands, (b"EXEC",)], Write(ours + others, len(commands))


def _deadline(random: Random) -> int:
    return DEADLINES_BEGIN_MS + random.randrange(10**9)


def _set(name: bytes, state: tuple[bytes, int]) -> Command:
    value, deadline_ms = state
    return (b"SET", name, value, b"PXAT", b"%d" % deadline_ms) if deadline_ms else (b"SET", name, value)


def ask(port: int, commands: list[Command]) -> list[Any]:
    """The replies to `commands`, sent at once on a connection of their own."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
        sender = threading.Thread(target=connection.sendall, args=(b"".join(wire.request(*c) for c in commands),))
        sender.start()
        data, start = b"", 0
        replies: list[Any] = []
        while len(replies) < len(commands):
            while (end := wire.reply_end(data, start)) < 0:
                received = connection.recv(1 << 20)
                assert received, "the server has closed the connection"
                data += received
            replies.append(wire.parse(data[start:end]))
            start = end
        sender.join()
        return replies


def read_everything(port: int, databases: int = 16) -> dict[Key, State]:
    """All that the server holds, but for noise."""
    found: dict[Key, State] = {}
    for database in range(databases):
        select = (b"SELECT", b"%d" % database)
        names = [name for name in ask(port, [select, (b"KEYS", b"*")])[1] if not name.startswith(NOISE)]
        types = ask(port, [select, *[(b"TYPE", name) for name in names]])[1:]
        questions = [values.question(kind, name) for kind, name in zip(types, names, strict=True)]
        replies = ask(port, [select, *questions, *[(b"PEXPIRETIME", name) for name in names]])[1:]
        for name, kind, value, deadline_ms in zip(
            names, types, replies[: len(names)], replies[len(names) :], strict=True
        ):
            found[database, name] = (values.of_reply(kind, value), max(0, deadline_ms))
    return found


def write_for(
    port: int, groups: list[Groups], seed: str, seconds: float, batches: int = 1 << 30, pause_s: float = 0
) -> list[Client]:
    """A client writes to each of `groups`, for `seconds` or until all are done; all have stopped when it returns."""
    stop = threading.Event()
    clients = [
        Client(port, group, Random(f"{seed}/{number}"), stop, batches, pause_s) for number, group in enumerate(groups)
    ]
    for client in clients:
        client.start()
    end = time.monotonic() + seconds
    for client in clients:
        client.join(max(0.0, end - time.monotonic()))
    stop.set()
    finish(clients)
    return clients


def finish(clients: list[Client]) -> None:
    """Waits for clients that have no more to do, and looks at the replies they got."""
    for client in clients:
        client.join(DEADLINE_S)
        assert not client.is_alive()
    assert [reply for client in clients for reply in client.wrong] == []
