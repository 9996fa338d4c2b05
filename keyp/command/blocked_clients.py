"""Clients that wait for a key: who waits for which, and in what order.

The table belongs to the writer's thread while a group runs, and to the reactor's thread in between. A group that is
undone gives back what it has done to the table (`undo`).
"""

from __future__ import annotations

from typing import Any

from keyp.command.spec import Args, CommandSpec
from keyp.resp.values import Reply, Wait
from keyp.server.clients import Client


class Waiter:
    """A client that waits: its command, and the batch that the command was the last one of.

    The waiting `has_begun` when the replies to what came before in the batch are on their way. It `is_over` when the
    `reply` is there, and `has_ended` when the client has been told. A client that `has_left` is not served any more.
    """

    def __init__(self, client: Client, batch: Any, spec: CommandSpec, args: Args, database: int, wait: Wait) -> None:
        self.client = client
        self.batch = batch
        self.spec = spec
        self.args = args
        self.wait = wait
        self.places = [(database, key) for key in dict.fromkeys(wait.keys)]
        self.database = database
        self.ticket = 0
        self.nanoseconds = 0  # that the command has run before it waited
        self.has_begun = False
        self.has_left = False
        self.is_over = False
        self.has_ended = False
        self.reply: Reply = None
        self.timer: Any = None  # what ends the waiting in time


class WaitingTable:
    """Who waits for which key of which database."""

    def __init__(self) -> None:
        self._by_place: dict[tuple[int, bytes], dict[int, Waiter]] = {}
        self._last_ticket = 0
        self._count = 0
        self._journal: list[tuple[Waiter, bool]] = []  # what a group has done: who, and whether it joined or left
        self._served: list[Waiter] = []

    def __len__(self) -> int:
        return self._count

    def places(self) -> list[tuple[int, bytes]]:
        """The keys that are waited for, each with its database."""
        return list(self._by_place)

    def at(self, place: tuple[int, bytes]) -> list[Waiter]:
        """Those who wait for a key, the longest first."""
        return list(self._by_place.get(place, {}).values())

    def join(self, waiter: Waiter) -> None:
        """A client begins to wait, behind all others."""
        self._last_ticket += 1
        waiter.ticket = self._last_ticket
        self._add(waiter)
        self._journal.append((waiter, True))

    def leave(self, waiter: Waiter) -> None:
        """A client waits no more."""
        self._take(waiter)
        self._journal.append((waiter, False))

    def serve(self, waiter: Waiter, reply: Reply) -> None:
        """A client has got what it waited for; it is told when the group is committed."""
        self.leave(waiter)
        waiter.reply = reply
        waiter.is_over = True
        self._served.append(waiter)

    def begin(self) -> None:
        """A group begins."""
        self._journal = []
        self._served = []

    def finish(self) -> list[Waiter]:
        """The group is committed; who has been served in it."""
        served, self._served = self._served, []
        return served

    def undo(self) -> None:
        """The group is undone: whoever waited before it waits again, in the old place."""
        for waiter, joined in reversed(self._journal):
            if joined:
                self._take(waiter)
            else:
                waiter.is_over = False
                self._add(waiter)
                for place in waiter.places:
                    self._by_place[place] = dict(sorted(self._by_place[place].items()))
        self.begin()

    def _add(self, waiter: Waiter) -> None:
        self._count += 1
        for place in waiter.places:
            self._by_place.setdefault(place, {})[waiter.ticket] = waiter

    def _take(self, waiter: Waiter) -> None:
        self._count -= 1
        for place in waiter.places:
            waiters = self._by_place[place]
            del waiters[waiter.ticket]
            if not waiters:
                del self._by_place[place]
