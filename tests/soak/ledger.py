"""What one connection has written and must find again: a model of its keys, with doubt where doubt is due.

A state is a value and its deadline. Usually a key has one possible state. Where a connection broke before the reply,
the write may have happened or not: both states are possible until a read shows one. A key past its deadline is gone,
and while a command runs its deadline may pass: the moments before and after the command bound what may be replied.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, NamedTuple

ERRORS_KEPT = 20


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class State(NamedTuple):
    """A key's value, None where there is none, and its deadline in milliseconds since 1970, 0 for none."""

    value: bytes | None
    deadline_ms: int = 0

    def may_be(self, seen: bytes | None, from_ms: int, to_ms: int) -> bool:
        """Whether `seen` is what a read between the two moments gives."""
        if self.deadline_ms == 0 or to_ms <= self.deadline_ms:
            return seen == self.value
        if from_ms > self.deadline_ms:
            return seen is None
        return seen is None or seen == self.value


GONE = State(None)


class Tally:
    """What was done, how often, and what went wrong. Can be sent to another process, and added up."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []

    def count(self, what: str, times: int = 1) -> None:
        self.counts[what] += times

    def wrong(self, text: str) -> None:
        """Something happened that must not; the first few are kept in words."""
        self.counts["WRONG"] += 1
        if len(self.errors) < ERRORS_KEPT:
            self.errors.append(text)

    def add(self, other: Tally) -> None:
        self.counts += other.counts
        self.errors += other.errors


def shown(value: bytes | None) -> str:
    return "nothing" if value is None else f"{len(value)} bytes {value[:24]!r}"


class Ledger:
    """The keys of one connection."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.keys: dict[str, list[State]] = {}

    def states(self, key: str) -> list[State]:
        return self.keys.get(key, [GONE])

    def known(self, key: str, for_ms: int = 0) -> State | None:
        """The key's state, if there is no doubt about it, nor will be in the next `for_ms` milliseconds."""
        states = self.states(key)
        if len(states) > 1:
            return None
        state, now = states[0], now_ms()
        if state.deadline_ms and now > state.deadline_ms:
            return GONE
        return None if state.deadline_ms and now + for_ms > state.deadline_ms else state

    def begin(self, changes: dict[str, State]) -> None:
        """A write is about to be sent: from now on each of its keys may be in the old state or in the new one."""
        for key, state in changes.items():
            self.keys[key] = [*self.states(key), state]

    def settle(self, changes: dict[str, State]) -> None:
        """The write was acknowledged."""
        for key, state in changes.items():
            self.keys[key] = [state]

    def see(self, key: str, seen: bytes | None, from_ms: int) -> None:
        """A read that began at `from_ms` has just replied `seen`: is that possible? That may settle the state."""
        to_ms = now_ms()
        possible = [state for state in self.states(key) if state.may_be(seen, from_ms, to_ms)]
        if possible:
            self.keys[key] = possible
            return
        expected = " or ".join(f"{shown(value)} until {deadline}" for value, deadline in self.states(key))
        self.tally.wrong(f"{key}: {shown(seen)} between {from_ms} and {to_ms} instead of {expected}")
        self.keys[key] = [State(seen)]

    def verify(self, client: Any) -> int:
        """Reads every key; how many there are."""
        for key in self.keys:
            started = now_ms()
            self.see(key, client.get(key), started)
        return len(self.keys)
