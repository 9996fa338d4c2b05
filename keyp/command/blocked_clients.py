"""Blocked clients: which client waits for which keys, and in what order.

The table belongs to the writer's thread while a group runs, and to the reactor's thread in between. When a group is
undone its changes of the table are undone too (`undo`).
"""

from __future__ import annotations

from typing import Any

from keyp.command.spec import Args, CommandSpec
from keyp.resp.values import Reply, Wait
from keyp.server.clients import Client


class Waiter:
    """A client that waits: its command, and the batch that the command was the last one of.

    The waiting `has_begun` when the replies to the batch's earlier commands have been sent. It `is_over` when there is
    a `reply`, and `has_ended` when that has been sent. A client that `has_left` is not served any more.
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
    """Blocked clients by database and key."""

    def __init__(self) -> None:
        self._by_place: dict[tuple[int, bytes], dict[int, Waiter]] = {}
        self._last_ticket = 0
        self._count = 0
        self._journal: list[
            tuple[Waiter, bool]
        ] = []  # changes by the running group: the client, and whether it joined or left
        self._served: list[Waiter] = []

    def __len__(self) -> int:
        return self._count

    def places(self) -> list[tuple[int, bytes]]:
        """The keys that are waited for, each with its database."""
        return list(self._by_place)

    def at(self, place: tuple[int, bytes]) -> list[Waiter]:
        """The clients that wait for a key, the longest waiting first."""
        return list(self._by_place.get(place, {}).values())

    def join(self, waiter: Waiter) -> None:
        """Adds a client, behind all others."""
        self._last_ticket += 1
        waiter.ticket = self._last_ticket
        self._add(waiter)
        self._journal.append((waiter, True))

    def leave(self, waiter: Waiter) -> None:
        """Removes a client."""
        self._take(waiter)
        self._journal.append((waiter, False))

    def serve(self, waiter: Waiter, reply: Reply) -> None:
        """Removes a client that has been served; its reply is sent when the group is committed."""
        self.leave(waiter)
        waiter.reply = reply
        waiter.is_over = True
        self._served.append(waiter)

    def begin(self) -> None:
        """A group begins."""
        self._journal = []
        self._served = []

    def finish(self) -> list[Waiter]:
        """The group is committed; the clients that were served in it."""
        served, self._served = self._served, []
        return served

    def undo(self) -> None:
        """The group is undone: the clients that waited before it wait again, in their old order."""
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
