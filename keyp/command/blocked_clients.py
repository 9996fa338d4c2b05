"""Clients that are blocked on keys: which client on which key, and in what order.

    JOINED   in the table; the replies before its own have not left yet
    BLOCKED  in the table; the client waits and nothing else is under way for it
    READY    not in the table any more; its reply is there and leaves when the client is known to wait
    SERVED   not in the table any more; its reply is there and may leave
    ENDED    the client has been answered, or is gone

    JOINED ── begin ──▶ BLOCKED         BLOCKED ── serve or call off ──▶ SERVED ── end ──▶ ENDED
    JOINED ── serve or call off ──▶ READY ── begin ──▶ SERVED

A group that is undone takes its steps back: SERVED to BLOCKED, READY to JOINED. The table belongs to the writer's
thread while a group runs, and to the reactor's thread in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any, Final

from keyp.command.effects import Effect
from keyp.command.spec import Args, CommandSpec
from keyp.resp.values import Reply, Wait
from keyp.server.clients import Client

JOINED: Final = 0
BLOCKED: Final = 1
READY: Final = 2
SERVED: Final = 3
ENDED: Final = 4


class BlockedClient:
    """A client whose command waits for keys, and the batch of which that command was the last one.

    `is_gone` says that the connection has been lost: it is not served any more. The reactor's thread sets it at any
    time; everything else belongs to who owns the table.
    """

    def __init__(self, client: Client, batch: Any, spec: CommandSpec, args: Args, database: int, wait: Wait) -> None:
        self.client = client
        self.batch = batch
        self.spec = spec
        self.args = args
        self.again = args if wait.again is None else wait.again  # the call that is run when there may be something
        self.wait = wait
        self.keys = list(zip(repeat(database), dict.fromkeys(wait.keys)))
        self.state = JOINED
        self.number = 0  # in the order of joining
        self.nanoseconds = 0  # that the command ran before it waited
        self.is_gone = False
        self.reply: Reply = None
        self.effects: Sequence[Effect] = ()  # to be carried out when the reply leaves
        self.timer: Any = None  # the timeout

    @property
    def has_reply(self) -> bool:
        """Whether the waiting is over, told or not."""
        return self.state >= READY


class BlockedClients:
    """The blocked clients by (database, key), the longest blocked first."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[int, bytes], dict[int, BlockedClient]] = {}
        self._last_number = 0
        self.count = 0  # how many they are
        # The steps of the running group: who, and the state before, -1 for none.
        self.steps: list[tuple[BlockedClient, int]] = []
        self._served: list[BlockedClient] = []

    def blocked_keys(self) -> list[tuple[int, bytes]]:
        """The keys that clients are blocked on, each with its database."""
        return list(self._by_key)

    def on(self, key: tuple[int, bytes]) -> list[BlockedClient]:
        """The clients blocked on a key, the longest blocked first."""
        return list(self._by_key.get(key, {}).values())

    def join(self, blocked: BlockedClient) -> None:
        """A client joins, behind all others."""
        self._last_number += 1
        blocked.number = self._last_number
        self._add(blocked)
        self.steps.append((blocked, -1))

    def serve(self, blocked: BlockedClient, reply: Reply, effects: Sequence[Effect] = ()) -> None:
        """A command has brought what the client waits for; it is told when the group is committed."""
        self.steps.append((blocked, blocked.state))
        self.leave(blocked, reply)
        blocked.effects = effects
        self._served.append(blocked)

    def leave(self, blocked: BlockedClient, reply: Reply) -> None:
        """A client waits no more: `reply` is there."""
        self._remove(blocked)
        blocked.reply = reply
        blocked.effects = ()
        blocked.state = SERVED if blocked.state == BLOCKED else READY

    def group_committed(self) -> list[BlockedClient]:
        """The group is committed; the clients that were served in it. Need not be called where it took no steps."""
        served = self._served
        self.steps, self._served = [], []
        return served

    def group_undone(self) -> None:
        """The group is undone: its clients are blocked as they were, in their old order."""
        for blocked, state in reversed(self.steps):
            if state < 0:
                self._remove(blocked)
                continue
            blocked.state = state
            self._add(blocked)
            for key in blocked.keys:
                self._by_key[key] = dict(sorted(self._by_key[key].items()))
        self.steps, self._served = [], []

    def _add(self, blocked: BlockedClient) -> None:
        self.count += 1
        for key in blocked.keys:
            self._by_key.setdefault(key, {})[blocked.number] = blocked

    def _remove(self, blocked: BlockedClient) -> None:
        self.count -= 1
        for key in blocked.keys:
            clients = self._by_key[key]
            del clients[blocked.number]
            if not clients:
                del self._by_key[key]
