"""The load: what each connection of the soak does until its time is up.

`LedgerLoad` writes and verifies keys of its own. The others make life hard: they come and go in the middle of
requests, kill connections, do not read, scan, fill and flush a database, let hundreds of keys die at a time.
Each runs on a thread of its own in one of a few processes; what it finds wrong stands in its `tally`.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from tests.soak.ledger import GONE, Ledger, State, Tally, now_ms

NEVER_AGAIN = Retry(ConstantBackoff(0), 0)
TIMEOUT_S = 30.0
VALUE_MAX = 1 << 20
GROWN_MAX = 2 << 20
KEYS_EACH = 60
STABLE_KEYS = 500
FLUSHED_KEYS = 4000
DYING_KEYS = 400
BROKEN = (redis.ConnectionError, redis.TimeoutError, OSError)


def connect(port: int, database: int = 0, **options: Any) -> Any:
    """One connection; it is made anew after it broke."""
    return redis.Redis(
        port=port, db=database, socket_timeout=TIMEOUT_S, retry=NEVER_AGAIN, single_connection_client=False, **options
    )


class Load:
    """Does `step` again and again until `end`, seconds of the monotonic clock; pauses `pause_s` in between."""

    pause_s = 0.01

    def __init__(self, port: int, number: int, end: float) -> None:
        self.port = port
        self.number = number
        self.end = end
        self.random = random.Random(number)
        self.tally = Tally()
        self.noise = self.random.randbytes(GROWN_MAX)

    def run(self) -> None:
        try:
            while time.monotonic() < self.end:
                try:
                    self.step()
                except BROKEN as error:
                    self.broken(error)
                time.sleep(self.random.random() * 2 * self.pause_s)
            self.finish()
        except Exception as error:
            self.tally.wrong(f"{type(self).__name__} {self.number}: {type(error).__name__}: {error}")

    def step(self) -> None:
        raise NotImplementedError

    def broken(self, error: Exception) -> None:
        """Nobody kills this connection, so it must not break."""
        self.tally.wrong(f"{type(self).__name__} {self.number}: {type(error).__name__}: {error}")
        time.sleep(0.2)

    def finish(self) -> None:
        """Called when time is up."""

    def expect(self, what: str, got: object, wanted: object) -> None:
        if got != wanted:
            self.tally.wrong(f"{type(self).__name__} {self.number}: {what} is {got!r:.200} instead of {wanted!r:.200}")

    def value(self) -> bytes:
        """A value of 1 byte to 1 MB, mostly a short one."""
        size = max(1, int(VALUE_MAX ** (self.random.random() ** 1.5)))
        start = self.random.randrange(len(self.noise) - size)
        return self.noise[start : start + size]


class LedgerLoad(Load):
    """Changes its own keys in every way, and verifies each reply. Others kill its connection now and then."""

    pause_s = 0.006

    def __init__(self, port: int, number: int, end: float) -> None:
        super().__init__(port, number, end)
        self.ledger = Ledger(self.tally)
        self.client = connect(port, client_name=f"victim-{number}")
        self.names = [f"ledger:{number}:{index}" for index in range(KEYS_EACH)]
        self.steps: list[Callable[[str], None]] = [
            self.get, self.get, self.get, self.get, self.get_part, self.set, self.set, self.set_for_a_while,
            self.set_for_a_while, self.append, self.set_range, self.increment, self.expire, self.persist, self.delete,
            self.get_and_delete, self.rename, self.transaction, self.set_many, self.pipeline,
        ]  # fmt: skip

    def step(self) -> None:
        step = self.random.choice(self.steps)
        step(self.random.choice(self.names))
        self.tally.count(step.__name__)

    def broken(self, error: Exception) -> None:
        """Somebody has killed the connection; the ledger knows what that leaves in doubt."""
        self.tally.count("connection killed")
        with suppress(*BROKEN):
            self.wait_for_line()

    def wait_for_line(self) -> None:
        """A write that was in line when its connection broke is carried out before this one; a read would not wait."""
        self.client.incr(f"barrier:{self.number}")

    def finish(self) -> None:
        for attempt in range(5):
            with suppress(*BROKEN):
                self.wait_for_line()
                self.tally.count("keys verified at the end", self.ledger.verify(self.client))
                return
            time.sleep(0.2 * attempt)
        self.tally.wrong(f"ledger {self.number} could not be verified: the connection breaks")

    def write(self, changes: dict[str, State], call: Callable[[], Any], wanted: Any) -> None:
        """Sends a write that does not depend on what was there."""
        self.ledger.begin(changes)
        reply = call()
        self.ledger.settle(changes)
        self.expect(f"the reply to a write of {sorted(changes)}", reply, wanted)

    def change(self, key: str, new: State, call: Callable[[], Any], wanted: Any) -> None:
        """Sends a write that depends on what was there, which has just been found to be beyond doubt."""
        had_ms = self.ledger.states(key)[0].deadline_ms
        self.ledger.begin({key: new})
        reply = call()
        if had_ms and now_ms() >= had_ms:
            return  # the deadline has passed meanwhile: a read or a SET will show it
        self.ledger.settle({key: new})
        self.expect(f"the reply to a change of {key}", reply, wanted)

    def sure(self, key: str) -> State | None:
        """The key's state if a change that depends on it can be verified; otherwise it is read or set."""
        state = self.ledger.known(key, 5000)
        if state is None:
            if len(self.ledger.states(key)) > 1:
                self.get(key)
            else:
                self.set(key)
        return state

    def get(self, key: str) -> None:
        started = now_ms()
        self.ledger.see(key, self.client.get(key), started)

    def get_part(self, key: str) -> None:
        state = self.sure(key)
        if state is None:
            return
        value = state.value or b""
        self.expect(f"the length of {key}", self.client.strlen(key), len(value))
        start = self.random.randrange(len(value) + 1)
        stop = start + self.random.randrange(70_000)
        self.expect(f"a part of {key}", self.client.getrange(key, start, stop), value[start : stop + 1])

    def set(self, key: str) -> None:
        value = self.value()
        self.write({key: State(value)}, lambda: self.client.set(key, value), True)

    def set_for_a_while(self, key: str) -> None:
        state = State(self.value(), now_ms() + self.random.randrange(20, 20_000))
        self.write({key: state}, lambda: self.client.set(key, state.value or b"", pxat=state.deadline_ms), True)

    def append(self, key: str) -> None:
        state = self.sure(key)
        if state is None:
            return
        tail = self.value()
        value = (state.value or b"") + tail
        if len(value) > GROWN_MAX:
            self.set(key)
            return
        self.change(key, State(value, state.deadline_ms), lambda: self.client.append(key, tail), len(value))

    def set_range(self, key: str) -> None:
        state = self.sure(key)
        if state is None or not state.value:
            return
        offset, patch = self.random.randrange(len(state.value)), self.value()[:100_000]
        value = state.value[:offset] + patch + state.value[offset + len(patch) :]
        new = State(value, state.deadline_ms)
        self.change(key, new, lambda: self.client.setrange(key, offset, patch), len(value))

    def increment(self, key: str) -> None:
        key = key.replace("ledger", "counter")
        state = self.sure_counter(key)
        by = self.random.randrange(-5, 1000)
        value = int(state.value or b"0") + by
        self.change(key, State(b"%d" % value), lambda: self.client.incrby(key, by), value)

    def sure_counter(self, key: str) -> State:
        if self.ledger.known(key) is None:
            self.get(key)
        return self.ledger.states(key)[0]

    def expire(self, key: str) -> None:
        state = self.sure(key)
        if state is None or state.value is None:
            return
        new = State(state.value, now_ms() + self.random.randrange(20, 20_000))
        self.change(key, new, lambda: self.client.pexpireat(key, new.deadline_ms), True)

    def persist(self, key: str) -> None:
        state = self.sure(key)
        if state is None or state.value is None:
            return
        self.change(key, State(state.value), lambda: self.client.persist(key), state.deadline_ms != 0)

    def delete(self, key: str) -> None:
        state = self.sure(key)
        if state is None:
            return
        remove = self.random.choice([self.client.delete, self.client.unlink])
        self.change(key, GONE, lambda: remove(key), int(state.value is not None))

    def get_and_delete(self, key: str) -> None:
        state = self.sure(key)
        if state is not None:
            self.change(key, GONE, lambda: self.client.getdel(key), state.value)

    def rename(self, key: str) -> None:
        state = self.sure(key)
        other = self.random.choice(self.names)
        if state is None or state.value is None or state.deadline_ms or other == key:
            return
        self.write({key: GONE, other: state}, lambda: self.client.rename(key, other), True)

    def some_states(self) -> dict[str, State]:
        return {key: State(self.value()[:200_000]) for key in self.random.sample(self.names, 3)}

    def set_many(self, key: str) -> None:
        states = self.some_states()
        self.write(states, lambda: self.client.mset({key: state.value or b"" for key, state in states.items()}), True)

    def transaction(self, key: str) -> None:
        """All of it or nothing: after a kill, the keys must all be old or all be new."""
        states = {**self.some_states(), key: GONE}
        before = {key: self.ledger.states(key) for key in states}
        pipe = self.client.pipeline(transaction=True)
        for name, state in states.items():
            pipe.set(name, state.value) if state.value is not None else pipe.unlink(name)
        self.ledger.begin(states)
        try:
            pipe.execute()
        except BROKEN:
            self.judge_whole(before, states)
            raise
        self.ledger.settle(states)

    def judge_whole(self, before: dict[str, list[State]], after: dict[str, State]) -> None:
        """Whether a transaction whose reply is lost was carried out wholly or not at all."""
        names = list(after)
        try:
            self.wait_for_line()
            started = now_ms()
            seen = dict(zip(names, self.client.mget(names), strict=True))
        except BROKEN:
            return
        ended = now_ms()
        done = all(after[name].may_be(seen[name], started, ended) for name in names)
        undone = all(any(old.may_be(seen[name], started, ended) for old in before[name]) for name in names)
        if not done and not undone:
            self.tally.wrong(f"half a transaction: {names}")
        for name in names:
            self.ledger.see(name, seen[name], started)
        self.tally.count("transaction cut off")

    def pipeline(self, key: str) -> None:
        pipe = self.client.pipeline(transaction=False)
        names = self.random.sample(self.names, 20)
        states = {name: State(self.random.randbytes(100)) for name in names}
        for name, state in states.items():
            pipe.set(name, state.value or b"")
        self.write(states, pipe.execute, [True] * len(names))


class Comers(Load):
    """Connections that come, say a little, and leave: in order, with a reset, or in the middle of a request."""

    pause_s = 0.05

    def step(self) -> None:
        words = b"*3\r\n$3\r\nSET\r\n$6\r\ncomers\r\n$5\r\nhello\r\n"
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S) as peer:
            peer.sendall(
                self.random.choice([b"PING\r\n", b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n", words, b"MULTI\r\n" + words])
            )
            manner = self.random.randrange(4)
            if manner == 0:
                peer.recv(1000)
            elif manner == 1:  # leave with a reset
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif manner == 2:
                peer.sendall(words[: self.random.randrange(1, len(words))])
            else:
                peer.sendall(words * 50)
        self.tally.count("came and left")


class Killer(Load):
    """Kills a connection now and then."""

    pause_s = 0.5

    def step(self) -> None:
        client = connect(self.port)
        victims = [one for one in client.client_list() if one["name"].startswith("victim")]
        if victims:
            client.client_kill_filter(_id=self.random.choice(victims)["id"])
            self.tally.count("CLIENT KILL")
        client.close()


class DeafOnes(Load):
    """Asks for megabytes and does not read them for a while; then leaves, or reads and verifies them all."""

    pause_s = 0.5
    asked = 8

    def step(self) -> None:
        big = self.noise[:VALUE_MAX]
        connect(self.port).set("big", big)
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S) as peer:
            peer.sendall(b"GET big\r\n" * self.asked)
            time.sleep(1 + self.random.random())
            if self.random.random() < 0.5:
                self.tally.count("left without reading")
                return
            wanted = (b"$%d\r\n%s\r\n" % (len(big), big)) * self.asked
            got = bytearray()
            while len(got) < len(wanted) and (part := peer.recv(1 << 20)):
                got += part
            self.expect("whether late replies are whole", bytes(got) == wanted, True)
            self.tally.count("read late")


class Scanner(Load):
    """Scans the database; what is there all the time must be among what it finds."""

    pause_s = 0.3

    def __init__(self, port: int, number: int, end: float) -> None:
        super().__init__(port, number, end)
        self.client = connect(port)
        self.stable = {f"stable:{index}".encode(): b"%d" % index for index in range(STABLE_KEYS)}
        self.client.mset(self.stable)

    def step(self) -> None:
        found = set(self.client.scan_iter(count=self.random.choice([10, 100, 1000])))
        self.expect("what SCAN left out", sorted(set(self.stable) - found), [])
        found = set(self.client.scan_iter(match="stable:1*", count=100))
        wanted = {name for name in self.stable if name.startswith(b"stable:1")}
        self.expect("what SCAN MATCH found", found, wanted)
        self.expect("what KEYS found", set(self.client.keys("stable:*")), set(self.stable))
        self.tally.count("scans", 2)

    def finish(self) -> None:
        self.expect("the stable keys", self.client.mget(self.stable), list(self.stable.values()))


class Flusher(Load):
    """Fills a database of its own with a few megabytes and flushes it."""

    pause_s = 0.5

    def step(self) -> None:
        client = connect(self.port, 1)
        pipe = client.pipeline(transaction=False)
        for index in range(FLUSHED_KEYS):
            pipe.set(f"key:{index}", self.noise[index : index + 1000])
        pipe.execute()
        self.expect("the size of a database before it is flushed", client.dbsize(), FLUSHED_KEYS)
        client.flushdb(asynchronous=self.random.random() < 0.5)
        self.expect("the size of a flushed database", client.dbsize(), 0)
        self.tally.count("FLUSHDB")
        client.close()


class Dying(Load):
    """Lets hundreds of keys die in the same millisecond, again and again."""

    pause_s = 0.5

    def step(self) -> None:
        client = connect(self.port, 2)
        deadline_ms = now_ms() + 1500
        pipe = client.pipeline(transaction=False)
        for _ in range(DYING_KEYS):
            pipe.set(f"dying:{self.random.randrange(1 << 40)}", self.noise[:200], pxat=deadline_ms)
        pipe.execute()
        self.tally.count("keys set to die", DYING_KEYS)
        client.close()


RESTLESS: tuple[type[Load], ...] = (Comers, Comers, Killer, DeafOnes, Scanner, Flusher, Dying)


class Outcome:
    """What a process of the load brings home."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.ledgers: list[Ledger] = []


def run_loads(kinds: list[type[Load]], port: int, first_number: int, seconds: float) -> Outcome:
    """Runs one load of each kind, each on its thread, in this process. Numbers keep keys and random choices apart."""
    end = time.monotonic() + seconds
    loads = [kind(port, first_number + index, end) for index, kind in enumerate(kinds)]
    threads = [threading.Thread(target=load.run) for load in loads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome = Outcome()
    for load in loads:
        outcome.tally.add(load.tally)
        if isinstance(load, LedgerLoad):
            load.ledger.tally = Tally()
            outcome.ledgers.append(load.ledger)
    return outcome
