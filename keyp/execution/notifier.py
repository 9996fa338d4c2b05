"""Carries out what batches have asked of publish/subscribe, and tells what has happened to keys.

On the reactor's thread, after the commit, batch by batch in the order in which they ran, and within a batch in the
order of its calls. So whoever listens hears everything in the order in which it happened, and never of what was undone.
Others get their messages at once. What the batch's own client gets is put behind the reply of the very call that
caused it, as in the reference: `SUBSCRIBE a | PUBLISH a x | GET k` is answered by the subscription, 1, the message,
and the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from keyp.command.effects import Announce, Publish, PubSubEffect, Subscribe, Unsubscribe
from keyp.events import KEYEVENT, KEYSPACE, Event
from keyp.execution.pending_effects import Aftermath
from keyp.server.clients import Client, ClientTable
from keyp.server.pubsub import CHANNEL, PubSub


class Listener(Protocol):
    """What brings a message to a client."""

    def push(self, data: bytes, /) -> None:
        """Sends bytes that the client has not asked for just now."""


class Delivery:
    """Brings messages to those who listen. `listeners` are found by the client's id; the server keeps that table."""

    def __init__(self, table: PubSub, clients: ClientTable) -> None:
        self._table = table
        self._clients = clients
        self.listeners: Mapping[int, Listener] = {}

    def carry_out(self, effect: PubSubEffect, client: Client, aftermath: Aftermath, index: int) -> None:
        """Makes an effect happen: number `index` in the aftermath of a batch of `client`'s."""
        if isinstance(effect, Subscribe):
            if not client.closing and self._clients.get(client.id) is not None:
                self._table.subscribe(client, effect.kind, effect.names)
        elif isinstance(effect, Unsubscribe):
            self._table.unsubscribe(client, effect.kind, effect.names)
        elif isinstance(effect, Publish):
            self._publish(effect, effect.kind, effect.channel, effect.message, client, aftermath, index)
        elif isinstance(effect, Announce) and self._table.has_listeners:
            for channel, message in messages(effect.events, effect.targets):
                self._publish(effect, CHANNEL, channel, message, client, aftermath, index)

    def announce(self, events: list[Event], targets: int) -> None:
        """Tells of events that no client has caused."""
        if self._table.has_listeners:
            for channel, message in messages(events, targets):
                for client, data in self._table.address(CHANNEL, channel, message):
                    self._push(client, data)

    def _publish(
        self,
        effect: PubSubEffect,
        kind: int,
        channel: bytes,
        message: bytes,
        asker: Client,
        aftermath: Aftermath,
        index: int,
    ) -> None:
        for client, data in self._table.address(kind, channel, message, asker, effect.protocol):
            if client is asker:
                aftermath.push(index, data)
            else:
                self._push(client, data)

    def _push(self, client: Client, data: bytes) -> None:
        listener = self.listeners.get(client.id)
        if listener is not None:
            listener.push(data)


def messages(events: list[Event], targets: int) -> list[tuple[bytes, bytes]]:
    """The messages that tell of events, each as its channel and its text."""
    found: list[tuple[bytes, bytes]] = []
    for event in events:
        name = event.name.encode()
        if targets & KEYSPACE:
            found.append((b"__keyspace@%d__:%b" % (event.database, event.key), name))
        if targets & KEYEVENT:
            found.append((b"__keyevent@%d__:%b" % (event.database, name), event.key))
    return found
