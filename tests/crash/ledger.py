"""What clients wrote, what of it was answered, and whether a store found later agrees.

Keys come in groups. A write leaves each key of its group in a state, all of them at once: a plain SET is a write to a
group of one key, a MULTI one to a group of several. One client writes to a group, one write after the other, so what
may be found after a crash is plain: the states of one write, which is the last that was answered or a later one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

Key = tuple[int, bytes]  # the database's number and the name
State = tuple[bytes, int] | None  # a value and its deadline in ms since 1970, 0 for none; None where there is no key

NOISE: Final = b"noise:"  # names that begin so belong to no client: keys that die while the test runs

LOST, TORN, WRONG = "lost", "torn", "wrong"


class Write:
    """One write to a group; `states` in the order of the group's keys. Where its reply ended is set when it came."""

    def __init__(self, states: tuple[State, ...], commands: int = 1) -> None:
        self.states = states
        self.commands = commands  # without MULTI and EXEC
        self.acknowledged = False
        self.connection = b""
        self.reply_end = 0  # bytes of replies on that connection, this write's included


class Problem:
    """A group that is not as it may be. `lost` are the answered writes it does not show, the oldest first."""

    def __init__(self, kind: str, text: str, lost: list[Write]) -> None:
        self.kind = kind
        self.text = text
        self.lost = lost

    def __repr__(self) -> str:
        return f"{self.kind}: {self.text}"


class Group:
    """Keys that are written together, and the writes since the last time they were looked at."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self.keys = keys
        self.writes: list[Write] = []
        self._settle((None,) * len(keys))

    def _settle(self, states: tuple[State, ...]) -> None:
        self.writes = [Write(states)]
        self.writes[0].acknowledged = True

    @property
    def states(self) -> tuple[State, ...]:
        """What the keys hold if every write has happened."""
        return self.writes[-1].states

    def add(self, write: Write) -> Write:
        """Notes a write that is about to be sent."""
        self.writes.append(write)
        return write

    def settle(self, found: Mapping[Key, State]) -> None:
        """From now on what was found is what must be there."""
        self._settle(self._found(found))

    def _found(self, found: Mapping[Key, State]) -> tuple[State, ...]:
        return tuple(found.get(key) for key in self.keys)

    def problem(self, found: Mapping[Key, State], acknowledged: Callable[[Write], bool]) -> Problem | None:
        """What is wrong with this group in a store that holds `found`; None if nothing is."""
        states = self._found(found)
        answered = [number for number, write in enumerate(self.writes) if number == 0 or acknowledged(write)]
        last = answered[-1]
        if any(write.states == states for write in self.writes[last:]):
            return None
        for number in range(last - 1, -1, -1):
            if self.writes[number].states == states:
                text = f"{self.keys} is as write {number} left it, {last} was answered, {len(self.writes) - 1} sent"
                return Problem(LOST, text, [self.writes[later] for later in answered if later > number])
        kind = TORN if all(self._was_written(place, state) for place, state in enumerate(states)) else WRONG
        shown = [_shown(state) for state in states]
        return Problem(kind, f"{self.keys} holds {shown}, which no write left there", [self.writes[last]])

    def _was_written(self, place: int, state: State) -> bool:
        return any(write.states[place] == state for write in self.writes)


class Ledger:
    """All groups of all clients."""

    def __init__(self) -> None:
        self.groups: list[Group] = []

    def add(self, keys: Iterable[Key]) -> Group:
        """A new group of keys that are in no other."""
        group = Group(tuple(keys))
        self.groups.append(group)
        return group

    def writes(self) -> Iterator[Write]:
        """Every write that was sent since the last settlement."""
        for group in self.groups:
            yield from group.writes[1:]

    def problems(
        self, found: Mapping[Key, State], acknowledged: Callable[[Write], bool] = lambda write: write.acknowledged
    ) -> list[Problem]:
        """What a store that holds `found` should not be like, `acknowledged` saying which writes had been answered."""
        problems = [problem for group in self.groups if (problem := group.problem(found, acknowledged)) is not None]
        known = {key for group in self.groups for key in group.keys}
        strangers = [key for key in found if key not in known and not key[1].startswith(NOISE)]
        return problems + [Problem(WRONG, f"{key} was never written", []) for key in strangers]

    def settle(self, found: Mapping[Key, State]) -> None:
        """What was found, and found good, is what must be there from now on."""
        for group in self.groups:
            group.settle(found)


def _shown(state: State) -> str:
    if state is None:
        return "nothing"
    value, deadline_ms = state
    return f"{value[:40]!r} ({len(value)} bytes) until {deadline_ms}"
