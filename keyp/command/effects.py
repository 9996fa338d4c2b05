"""What a command may want done to the world outside the data: asked for here, carried out by `keyp.net`.

An effect is a description, nothing more. It happens after the commit of the group the command ran in, on the
reactor's thread, before the replies of its batch leave; a batch that is undone and run again asks again, once. Where
an effect fails, the call that asked for it is answered with an error.
"""

from __future__ import annotations

from keyp.events import Event


class Effect:
    """Something to be done after the commit."""


class CloseClient(Effect):
    """The client `client_id` is to be disconnected; itself only after its replies have left."""

    def __init__(self, client_id: int) -> None:
        self.client_id = client_id


class WarnOfHttp(Effect):
    """The log is to tell that the client at `address` has sent HTTP. Its connection ends."""

    def __init__(self, address: str) -> None:
        self.address = address


class SyncStore(Effect):
    """Every commit so far is to be on the disk before the reply leaves."""


class SaveStore(Effect):
    """A copy of all data is to be written beside the store: before the reply leaves, or in the background."""

    def __init__(self, background: bool) -> None:
        self.background = background


class ReopenStore(Effect):
    """The store is to be synced from now on as the setting says; the reply leaves when it is."""


class EndWait(Effect):
    """The client `client_id` is to wait no longer, if it waits for a key; `error` is what it is told.

    Without an error it is answered as if its time had come.
    """

    def __init__(self, client_id: int, error: str) -> None:
        self.client_id = client_id
        self.error = error


class Delay(Effect):
    """The replies of this batch leave `seconds` later; nobody else waits."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class StopServer(Effect):
    """The server is to stop in order. The client that asked gets no reply: its connection ends."""


class PauseClients(Effect):
    """For so many milliseconds from now, batches wait: all of them, or those that write."""

    def __init__(self, milliseconds: int, writes_only: bool) -> None:
        self.milliseconds = milliseconds
        self.writes_only = writes_only


class PubSubEffect(Effect):
    """Something to be done to the table of subscriptions or with it, in the order of the calls (see `notifier.py`).

    `protocol` is what the client that asks speaks at this moment; the rest of its batch may change it.
    """

    def __init__(self, protocol: int) -> None:
        self.protocol = protocol


class Subscribe(PubSubEffect):
    """The client listens to some names of a kind from now on."""

    def __init__(self, protocol: int, kind: int, names: list[bytes]) -> None:
        super().__init__(protocol)
        self.kind = kind
        self.names = names


class Unsubscribe(PubSubEffect):
    """The client listens to some names of a kind no more."""

    def __init__(self, protocol: int, kind: int, names: list[bytes]) -> None:
        super().__init__(protocol)
        self.kind = kind
        self.names = names


class Publish(PubSubEffect):
    """A message goes to all who listen to a channel or, by `kind`, a shard channel: to so many `receivers`."""

    def __init__(self, protocol: int, kind: int, channel: bytes, message: bytes, receivers: int) -> None:
        super().__init__(protocol)
        self.receivers = receivers
        self.kind = kind
        self.channel = channel
        self.message = message


class Announce(PubSubEffect):
    """What has happened to keys is told. `targets` says on which channels: `keyp.events.KEYSPACE`, `KEYEVENT`."""

    def __init__(self, protocol: int, events: list[Event], targets: int) -> None:
        super().__init__(protocol)
        self.events = events
        self.targets = targets


class ResumeClients(Effect):
    """Batches that wait for a pause to end go on now."""
