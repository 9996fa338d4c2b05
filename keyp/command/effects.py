"""What a command may ask for beyond the data: described here, carried out after the commit.

An effect is only a description. It is carried out after the commit of the group the command ran in, on the reactor's
thread, before the replies of its batch are sent. A batch that is undone and run again asks again. Where an effect
fails, the call that asked for it is answered with an error.
"""

from __future__ import annotations

from keyp.events import Event
from keyp.scripting.cache import ScriptView
from keyp.server.acl.acl_log import Refusal
from keyp.server.acl.users import Edit


class Effect:
    """Something to be done after the commit."""


class CloseClient(Effect):
    """Disconnects the client `client_id`; the calling client only after its replies."""

    def __init__(self, client_id: int) -> None:
        self.client_id = client_id


class WarnOfHttp(Effect):
    """Logs a warning that the client at `address` has sent HTTP, and ends its connection."""

    def __init__(self, address: str) -> None:
        self.address = address


class SyncStore(Effect):
    """Brings every commit so far to the disk before the reply is sent."""


class SaveStore(Effect):
    """Writes a copy of all data beside the store: before the reply is sent, or in the background."""

    def __init__(self, background: bool) -> None:
        self.background = background


class ReopenStore(Effect):
    """Syncs the store from now on as the setting says; the reply is sent when that is so."""


class ReloadCertificates(Effect):
    """Has TLS follow its settings before the reply is sent. Where it cannot, the settings are `before` again.

    `argument` names one of those that CONFIG SET was given.
    """

    def __init__(self, argument: str, before: list[tuple[bytes, bytes]]) -> None:
        self.argument = argument
        self.before = before


class EndWait(Effect):
    """Unblocks the client `client_id`, if it is blocked, with the reply `error`.

    Without an error it is answered as if its timeout had passed.
    """

    def __init__(self, client_id: int, error: str) -> None:
        self.client_id = client_id
        self.error = error


class Delay(Effect):
    """Sends the replies of this batch `seconds` later; other clients do not wait."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class StopServer(Effect):
    """Stops the server in order. The calling client gets no reply: its connection ends."""


class PauseClients(Effect):
    """Pauses batches for so many milliseconds from now: all of them, or those that write."""

    def __init__(self, milliseconds: int, writes_only: bool) -> None:
        self.milliseconds = milliseconds
        self.writes_only = writes_only


class PubSubEffect(Effect):
    """A change of the table of subscriptions or a message, in the order of the calls (see `performer.py`).

    `protocol` is what the client speaks at this moment; the rest of its batch may change it.
    """

    def __init__(self, protocol: int) -> None:
        self.protocol = protocol


class Subscribe(PubSubEffect):
    """Subscribes the client to names of one channel type."""

    def __init__(self, protocol: int, channel_type: int, names: list[bytes]) -> None:
        super().__init__(protocol)
        self.channel_type = channel_type
        self.names = names


class Unsubscribe(PubSubEffect):
    """Ends subscriptions of the client to names of one channel type."""

    def __init__(self, protocol: int, channel_type: int, names: list[bytes]) -> None:
        super().__init__(protocol)
        self.channel_type = channel_type
        self.names = names


class Publish(PubSubEffect):
    """Sends a message to the subscribers of a channel, by `channel_type` a shard channel: to so many `receivers`."""

    def __init__(self, protocol: int, channel_type: int, channel: bytes, message: bytes, receivers: int) -> None:
        super().__init__(protocol)
        self.receivers = receivers
        self.channel_type = channel_type
        self.channel = channel
        self.message = message


class Announce(PubSubEffect):
    """Publishes events of keys. `targets` says on which channels: `keyp.events.KEYSPACE`, `KEYEVENT`."""

    def __init__(self, protocol: int, events: list[Event], targets: int) -> None:
        super().__init__(protocol)
        self.events = events
        self.targets = targets


class LogLine(Effect):
    """A line for the server's log, by a script. `level` is one of Redis's, 0 (debug) to 3 (warning)."""

    def __init__(self, level: int, text: str) -> None:
        self.level = level
        self.text = text


class KeepScripts(Effect):
    """Makes what the batch has changed of the cache of scripts visible to all."""

    def __init__(self, view: ScriptView) -> None:
        self.view = view


class NoteRefusal(Effect):
    """Notes in ACL LOG what a user was refused."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal


class ChangeUser(Effect):
    """Changes a user, for all to see. Fails where he has become another meanwhile, for whom the change is wrong.

    Ends the connections of a user that is gone, and those that listen to what they may not any more.
    """

    def __init__(self, name: bytes, edit: Edit) -> None:
        self.name = name
        self.edit = edit


class LookAtUser(Effect):
    """The client has logged in: ends its connection where its user is gone by now."""


class LoadUsers(Effect):
    """Takes the users from the ACL file. Ends the connections of those that are not what they were."""


class SaveUsers(Effect):
    """Writes the users to the ACL file before the reply is sent."""


class RewriteConfig(Effect):
    """Writes settings and users to the configuration file before the reply is sent."""


class ResumeClients(Effect):
    """Ends a pause; batches that wait for its end go on."""
