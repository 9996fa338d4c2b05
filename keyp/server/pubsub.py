"""The table of subscriptions, and messages with their receivers.

A client listens to channels by name, to channels by pattern, and to shard channels, which are separate from the others.
The table belongs to the reactor's thread, and so do the names that a `Client` is subscribed to; both change when a
batch has been committed. What a batch has changed before that stands in its copy of the client's state, and
`Subscriptions` is the table as that batch sees it. Other threads may read counts and copies of names.

A message is encoded once for each protocol, however many listen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keyp.algorithms.glob import Glob
from keyp.resp.encoder import encode
from keyp.resp.values import Push, Reply
from keyp.server.clients import Client, ClientState

CHANNEL: Final = 0
PATTERN: Final = 1
SHARD: Final = 2

# Bytes that the process grew by for each of many subscriptions of one client, besides those of its name.
SUBSCRIPTION_BYTES: Final = 400
PATTERN_BYTES: Final = 1250

COMPARED_AT_ONCE: Final = 1024  # patterns

MESSAGE: Final = (b"message", b"pmessage", b"smessage")  # by channel type


def fits(glob: Glob, channel: bytes) -> bool:
    """Whether a channel's name matches. The empty name is no match for a star here, although KEYS takes it for one."""
    return glob.matches(channel) if channel else not glob.pattern


class Pattern:
    """A pattern that somebody listens to. One that comes later has a greater `number`."""

    def __init__(self, glob: Glob, number: int) -> None:
        self.glob = glob
        self.number = number


class Matching:
    """The patterns that match a channel, of those with numbers below `end`."""

    def __init__(self, names: list[bytes], end: int) -> None:
        self.names = names
        self.end = end


class PubSub:
    """The subscriptions of all clients."""

    def __init__(self) -> None:
        # By channel type: name -> the clients that listen, by id, in the order in which they came.
        self._listeners: tuple[dict[bytes, dict[int, Client]], ...] = ({}, {}, {})
        self._patterns: dict[bytes, Pattern] = {}  # by their names, in the order of their numbers
        self._patterns_seen = 0

    def subscribe(self, client: Client, channel_type: int, names: list[bytes]) -> None:
        """Subscribes a client to names; those that it has already stay as they are."""
        listeners, own = self._listeners[channel_type], client.subscribed[channel_type]
        size = PATTERN_BYTES if channel_type == PATTERN else SUBSCRIPTION_BYTES
        for name in names:
            of_name = listeners.get(name)
            if of_name is None:
                of_name = listeners[name] = {}
                if channel_type == PATTERN:
                    self._patterns[name] = Pattern(Glob(name), self._patterns_seen)
                    self._patterns_seen += 1
            of_name[client.id] = client
            if name not in own:
                client.subscribed_bytes += size + len(name)
            own[name] = None

    def unsubscribe(self, client: Client, channel_type: int, names: list[bytes]) -> None:
        """Ends subscriptions of a client; names that it is not subscribed to are ignored."""
        listeners, own = self._listeners[channel_type], client.subscribed[channel_type]
        size = PATTERN_BYTES if channel_type == PATTERN else SUBSCRIPTION_BYTES
        for name in names:
            of_name = listeners.get(name)
            if of_name is None or of_name.pop(client.id, None) is None:
                continue
            own.pop(name, None)
            client.subscribed_bytes -= size + len(name)
            if not of_name:
                del listeners[name]
                if channel_type == PATTERN:
                    del self._patterns[name]

    def forget(self, client: Client) -> None:
        """Ends all subscriptions of a client that disconnects."""
        for channel_type in (CHANNEL, PATTERN, SHARD):
            if client.subscribed[channel_type]:
                self.unsubscribe(client, channel_type, list(client.subscribed[channel_type]))

    @property
    def has_listeners(self) -> bool:
        """Whether there is any subscription to a channel or a pattern."""
        return bool(self._listeners[CHANNEL]) or bool(self._listeners[PATTERN])

    def size(self, channel_type: int) -> int:
        """How many channels, patterns or shard channels have subscribers."""
        return len(self._listeners[channel_type])

    def count(self, channel_type: int, name: bytes) -> int:
        """How many clients are subscribed to exactly this name."""
        found = self._listeners[channel_type].get(name)
        return 0 if found is None else len(found)

    def names(self, channel_type: int) -> list[bytes]:
        """The names that have subscribers, the longest subscribed first."""
        return list(self._listeners[channel_type])

    def comparisons(self, channel_type: int) -> int:
        """With how many patterns the channel of a message is compared."""
        return len(self._patterns) if channel_type == CHANNEL else 0

    def matching(self, channel: bytes, breathe: Callable[[], None] | None = None) -> Matching:
        """The patterns that match a channel now. Other threads may ask, since it takes long where there are many.

        `breathe` is called now and then: a compiled loop keeps Python's lock.
        """
        found = Matching([], self._patterns_seen)
        for number, (name, pattern) in enumerate(list(self._patterns.items()), 1):
            if fits(pattern.glob, channel):
                found.names.append(name)
            if number % COMPARED_AT_ONCE == 0 and breathe is not None:
                breathe()
        return found

    def _still_matching(self, channel: bytes, found: Matching) -> list[bytes]:
        """The patterns that match a channel now, where `found` did before: only what is new since is compared."""
        names = []
        for name in found.names:
            pattern = self._patterns.get(name)
            if pattern is not None and pattern.number < found.end:
                names.append(name)
        new = []
        for name, pattern in reversed(self._patterns.items()):
            if pattern.number < found.end:
                break
            if fits(pattern.glob, channel):
                new.append(name)
        return names + new[::-1]

    def receivers(self, channel_type: int, channel: bytes, found: Matching | None) -> int:
        """How many receivers a message published now would have; a client counts several times, by patterns.

        `found` are the patterns that match the channel, None for a shard channel.
        """
        total = self.count(channel_type, channel)
        for name in found.names if found is not None else []:
            total += self.count(PATTERN, name)
        return total

    def address(
        self,
        channel_type: int,
        channel: bytes,
        message: bytes,
        asker: Client | None = None,
        protocol: int = 0,
        matching: Matching | None = None,
    ) -> list[tuple[Client, bytes]]:
        """The clients that get a message, each with the bytes to send to it, in order.

        For the client that has sent it they are of `protocol`, for the others of what they speak now. `matching` are
        the patterns that matched the channel a moment ago, where that is known.
        """
        found = Addressed(asker, protocol)
        listeners = self._listeners[channel_type].get(channel)
        if listeners is not None:
            found.add(listeners, [MESSAGE[channel_type], channel, message])
        if channel_type == CHANNEL:
            for name in self._still_matching(channel, matching or Matching([], 0)):
                found.add(self._listeners[PATTERN][name], [MESSAGE[PATTERN], name, channel, message])
        return found.all


class Addressed:
    """A message with `all` its receivers, each with its bytes."""

    def __init__(self, asker: Client | None, protocol: int) -> None:
        self._asker = asker
        self._protocol = protocol
        self.all: list[tuple[Client, bytes]] = []

    def add(self, listeners: dict[int, Client], items: list[Reply]) -> None:
        """These clients get a push of these items."""
        encoded: dict[int, bytes] = {}
        for client in listeners.values():
            protocol = self._protocol if client is self._asker else client.state.protocol
            data = encoded.get(protocol)
            if data is None:
                data = encoded[protocol] = encode(Push(items), protocol)
            self.all.append((client, data))


class Subscriptions:
    """The table as one client's batch sees it: with what the batch itself has changed and not committed yet."""

    def __init__(self, table: PubSub, client: Client, state: ClientState) -> None:
        self._table = table
        self._client = client
        self._state = state

    def own(self, channel_type: int) -> list[bytes]:
        """The names that the client is subscribed to, in the order of subscription."""
        names = dict(self._client.subscribed[channel_type])
        for (of_type, name), listens in (self._state.subscription_changes or {}).items():
            if of_type == channel_type:
                names.pop(name, None)
                if listens:
                    names[name] = None
        return list(names)

    def own_count(self, channel_type: int) -> int:
        """The number in the reply to each (un)subscription: channels and patterns together, shard channels apart."""
        channels, patterns, shard_channels = self._state.subscriptions
        return shard_channels if channel_type == SHARD else channels + patterns

    def take_up(self, channel_type: int, name: bytes) -> bool:
        """Subscribes the client to a name; whether that is new."""
        return self._change(channel_type, name, True)

    def give_up(self, channel_type: int, name: bytes) -> bool:
        """Ends a subscription; whether there was one."""
        return self._change(channel_type, name, False)

    def _change(self, channel_type: int, name: bytes, listens: bool) -> bool:
        state = self._state
        changes = state.subscription_changes
        if changes is None:
            changes = state.subscription_changes = {}
        did_listen = changes.get((channel_type, name), name in self._client.subscribed[channel_type])
        if listens == did_listen:
            return False
        changes.pop((channel_type, name), None)  # so that a name subscribed again comes last
        changes[channel_type, name] = listens
        counts = list(state.subscriptions)
        counts[channel_type] += 1 if listens else -1
        state.subscriptions = (counts[0], counts[1], counts[2])
        state.is_subscriber = counts[0] + counts[1] + counts[2] > 0
        return True

    def _difference(self, channel_type: int, name: bytes, listens: bool) -> int:
        """By how much the batch's own changes raise the number of a name's subscribers."""
        return int(listens) - int(name in self._client.subscribed[channel_type])

    def count(self, channel_type: int, name: bytes) -> int:
        """How many clients are subscribed to exactly this name."""
        found = self._table.count(channel_type, name)
        changes = self._state.subscription_changes
        if changes and (channel_type, name) in changes:
            found += self._difference(channel_type, name, changes[channel_type, name])
        return found

    def names(self, channel_type: int) -> list[bytes]:
        """The names that have subscribers."""
        names = self._table.names(channel_type)
        changes = self._state.subscription_changes
        if not changes:
            return names
        mine = [name for of_type, name in changes if of_type == channel_type]
        names += [name for name in mine if self._table.count(channel_type, name) == 0]
        return [name for name in names if self.count(channel_type, name) > 0]

    def comparisons(self, channel_type: int) -> int:
        """With how many patterns the channel of a message is compared."""
        return self._table.comparisons(channel_type)

    def matching(self, channel_type: int, channel: bytes, breathe: Callable[[], None] | None = None) -> Matching | None:
        """The patterns that match a channel, of those that are committed; None for a shard channel."""
        return self._table.matching(channel, breathe) if channel_type == CHANNEL else None

    def receivers(self, channel_type: int, channel: bytes, matching: Matching | None) -> int:
        """How many receivers a message published now would have. `matching` is what the method of that name says."""
        found = self._table.receivers(channel_type, channel, matching)
        for (of_type, name), listens in (self._state.subscription_changes or {}).items():
            if of_type == channel_type:
                concerned = name == channel
            else:
                concerned = of_type == PATTERN and channel_type == CHANNEL and fits(Glob(name), channel)
            if concerned:
                found += self._difference(of_type, name, listens)
        return found
