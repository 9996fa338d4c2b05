"""What clients wrote, what of it was answered, and whether a store found later agrees.

Keys come in groups. A write leaves each key of its group in a state, all of them at once: a plain SET is a write to a
group of one key, a MULTI one to a group of several. One client writes to a group, one write after the other, so what
may be found after a crash is plain: the states of one write, which is the last that was answered or a later one.

And what is found of all groups together must be the store as it was at one moment. So where a write is found, so must
be all that its client had sent before, and all that anybody had been answered when it was sent.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

Key = tuple[int, bytes]  # the database's number and the name
# A value (`values.py`) and its deadline in ms since 1970, 0 for none; None where there is no key.
State = tuple[bytes, int] | None

NOISE: Final = b"noise:"  # names that begin so belong to no client: keys that die while the test runs

LOST, TORN, WRONG, DISORDERED = "lost", "torn", "wrong", "disordered"


class Write:
    """One write to a group; `states` in the order of the group's keys. Where its reply ended is set when it came.

    `sent` and `answered` are ticks of the ledger's clock, 0 for not yet.
    """

    def __init__(self, states: tuple[State, ...], commands: int = 1) -> None:
        self.states = states
        self.commands = commands  # without MULTI and EXEC
        self.connection = b""
        self.sent = 0
        self.answered = 0
        self.reply_end = 0  # bytes of replies on that connection, this write's included

    @property
    def acknowledged(self) -> bool:
        """Whether the client has been answered."""
        return self.answered > 0


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
        self.writes[0].answered = 1

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

    def shown(self, found: Mapping[Key, State], acknowledged: Callable[[Write], bool]) -> Write:
        """The first write that may be the last one in a store in which there is no problem with this group."""
        states = self._found(found)
        last = max(number for number, write in enumerate(self.writes) if number == 0 or acknowledged(write))
        return next(write for write in self.writes[last:] if write.states == states)

    def _was_written(self, place: int, state: State) -> bool:
        return any(write.states[place] == state for write in self.writes)


class Ledger:
    """All groups of all clients."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self._clock = itertools.count(1)

    def add(self, keys: Iterable[Key]) -> Group:
        """A new group of keys that are in no other."""
        group = Group(tuple(keys))
        self.groups.append(group)
        return group

    def tick(self) -> int:
        """The time: each call is later than those that have returned."""
        return next(self._clock)

    def writes(self) -> Iterator[Write]:
        """Every write that was sent since the last settlement."""
        for group in self.groups:
            yield from group.writes[1:]

    def problems(
        self, found: Mapping[Key, State], acknowledged: Callable[[Write], bool] = lambda write: write.acknowledged
    ) -> list[Problem]:
        """What a store that holds `found` should not be like, `acknowledged` saying which writes had been answered."""
        problems = self._group_problems(found, acknowledged)
        known = {key for group in self.groups for key in group.keys}
        strangers = [key for key in found if key not in known and not key[1].startswith(NOISE)]
        problems += [Problem(WRONG, f"{key} was never written", []) for key in strangers]
        return problems or self._disorder(found, acknowledged)

    def _group_problems(self, found: Mapping[Key, State], acknowledged: Callable[[Write], bool]) -> list[Problem]:
        return [problem for group in self.groups if (problem := group.problem(found, acknowledged)) is not None]

    def _disorder(self, found: Mapping[Key, State], acknowledged: Callable[[Write], bool]) -> list[Problem]:
        """Which groups are not of a moment at which the latest of what is found was there."""
        latest: dict[bytes, int] = {}  # when the latest write was sent that is found of each connection
        for group in self.groups:
            shown = group.shown(found, acknowledged)
            latest[shown.connection] = max(latest.get(shown.connection, 0), shown.sent)
        last = max(latest.values(), default=0)

        def must_be_there(write: Write) -> bool:
            return 0 < write.answered < last or 0 < write.sent < latest.get(write.connection, 0) or acknowledged(write)

        problems = self._group_problems(found, must_be_there)
        return [Problem(DISORDERED, f"{problem.text}; a later one is there", problem.lost) for problem in problems]

    def settle(self, found: Mapping[Key, State]) -> None:
        """What was found, and found good, is what must be there from now on."""
        for group in self.groups:
            group.settle(found)


def _shown(state: State) -> str:
    if state is None:
        return "nothing"
    value, deadline_ms = state
    return f"{value[:40]!r} ({len(value)} bytes) until {deadline_ms}"
