"""Performs the effects that batches have asked for: the one place where that happens.

On the reactor's thread, after the commit, batch by batch in the order in which they ran, and within a batch in the
order of its calls. So subscribers get messages in the order of the changes, and none about changes that were undone.

A message goes to others at once. What the batch's own client gets is put behind the reply of the very call that caused
it, as in Redis: `SUBSCRIBE a | PUBLISH a x | GET k` is answered by the subscription, 1, the message, and the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from keyp import errors
from keyp.command.effects import (
    Announce,
    ChangeUser,
    CloseClient,
    Delay,
    Effect,
    EndWait,
    KeepScripts,
    LoadUsers,
    LogLine,
    LookAtUser,
    NoteRefusal,
    PauseClients,
    Publish,
    PubSubEffect,
    ReloadCertificates,
    ReopenStore,
    ResumeClients,
    RewriteConfig,
    SaveStore,
    SaveUsers,
    StopServer,
    Subscribe,
    SyncStore,
    Unsubscribe,
    WarnOfHttp,
)
from keyp.command.server_state import ServerState
from keyp.events import KEYEVENT, KEYSPACE, Event
from keyp.execution.batch import Batch
from keyp.execution.config_rewrite import ConfigRewrite
from keyp.execution.limited_log import LimitedLog
from keyp.execution.loop import Loop
from keyp.execution.pending_effects import PendingEffects
from keyp.execution.users_file import UsersFile
from keyp.server.acl.listening import may_not_listen, may_not_take_up
from keyp.server.acl.user import User
from keyp.server.clients import Client
from keyp.server.config.settings import refused_setting
from keyp.server.pubsub import CHANNEL, Matching

log = Logger(__name__)

HTTP_SENT: Final = (
    "possible attack: {} has sent POST or Host: where Redis has commands, as a browser does that a web page makes "
    "write to this port (cross-protocol scripting). The connection is closed, nothing behind it has run."
)

# Twisted's levels for those of Redis: debug, verbose, notice, warning.
LOG_LEVELS: Final = (LogLevel.debug, LogLevel.info, LogLevel.info, LogLevel.warn)


class Listener(Protocol):
    """What brings messages to a client."""

    def push(self, data: bytes, /) -> None:
        """Sends what the client has not asked for just now."""


class Host(Protocol):
    """The server, as effects need it. A Deferred is what the replies of the batch that asked have to wait for."""

    @property
    def listeners(self) -> Mapping[int, Listener]:
        """What brings messages to clients, by their ids."""

    def close_client(self, client_id: int) -> None:
        """Disconnects a client, if it is still there."""

    def unblock_client(self, client_id: int, error: str) -> None:
        """Ends a client's waiting for keys, with an error or as if its time had come."""

    def pause_clients(self, milliseconds: int, writes_only: bool) -> None:
        """For so long batches wait: all, or those that write."""

    def resume_clients(self) -> None:
        """Ends a pause."""

    def sync(self) -> Deferred[None]:
        """Brings every commit so far to the disk."""

    def save(self) -> Deferred[None]:
        """Writes a copy of the store."""

    def follow_fsync(self) -> Deferred[None] | None:
        """Syncs from now on as the settings say."""

    def reload_certificates(self) -> Deferred[None]:
        """Has TLS follow its settings; fails with `CommandError`, and all is as before."""

    def delay(self, seconds: float) -> Deferred[None] | None:
        """Fires in so many seconds, or when the server stops; None where it stops already."""

    def stop(self) -> None:
        """Stops the server in order."""


class Performer:
    """Performs effects on a server's clients, its table of subscriptions, and the server itself."""

    def __init__(self, host: Host, server: ServerState, loop: Loop, limited_log: LimitedLog) -> None:
        self._host = host
        self._listeners = host.listeners
        self._server = server
        self._limited_log = limited_log
        self.users_file = UsersFile(server, loop)
        self._config_rewrite = ConfigRewrite(server, loop)
        self._pubsub = server.pubsub
        self._clients = server.clients
        self._metrics = server.metrics

    def perform_all(self, batch: Batch, pending: PendingEffects) -> list[Deferred[None]]:
        """Performs what a batch asked for. Its replies wait for the Deferreds, which do not fail."""
        waits: list[Deferred[None]] = []
        for index, effect in enumerate(pending.effects):
            if isinstance(effect, PubSubEffect):
                self._perform_on_pubsub(effect, batch.client, pending, index)
                if isinstance(effect, Subscribe):
                    self._look_at_names(batch, effect)
                continue
            waiting = self._perform_on_users(effect, batch)
            if waiting is None:
                waiting = self.perform(effect)
            if waiting is not None:
                waits.append(waiting.addErrback(self._failed, batch, index))
        return waits

    def perform(self, effect: Effect) -> Deferred[None] | None:
        """Performs an effect that is no matter of users or subscriptions; the replies of its batch wait."""
        host = self._host
        if isinstance(effect, CloseClient):
            host.close_client(effect.client_id)
        elif isinstance(effect, EndWait):
            host.unblock_client(effect.client_id, effect.error)
        elif isinstance(effect, SyncStore):
            return host.sync()
        elif isinstance(effect, SaveStore):
            saving = host.save()
            if not effect.background:
                return saving
            saving.addErrback(lambda failure: None)  # it is in the log and in INFO
        elif isinstance(effect, ReopenStore):
            return host.follow_fsync()
        elif isinstance(effect, ReloadCertificates):
            return host.reload_certificates().addErrback(self._keep_certificates, effect)
        elif isinstance(effect, RewriteConfig):
            return self._config_rewrite.write()
        elif isinstance(effect, Delay):
            return host.delay(effect.seconds)
        elif isinstance(effect, PauseClients):
            host.pause_clients(effect.milliseconds, effect.writes_only)
        elif isinstance(effect, ResumeClients):
            host.resume_clients()
        elif isinstance(effect, StopServer):
            host.stop()
        elif isinstance(effect, KeepScripts):
            effect.view.apply()
        elif isinstance(effect, NoteRefusal):
            self._server.acl_log.add(effect.refusal)
        elif isinstance(effect, LogLine):
            log.emit(LOG_LEVELS[effect.level], "{text}", text=effect.text)
        elif isinstance(effect, WarnOfHttp):
            self._limited_log.warn("HTTP", HTTP_SENT.format(effect.address))
        return None

    def _keep_certificates(self, failure: Failure, effect: ReloadCertificates) -> None:
        self._server.settings.set_many(effect.before)
        reason = str(failure.value).removeprefix("ERR ")
        raise refused_setting(effect.argument, reason)

    def _perform_on_users(self, effect: Effect, batch: Batch) -> Deferred[None] | None:
        if isinstance(effect, ChangeUser):
            try:
                user = effect.edit(self._server.users.get(effect.name))
            except errors.CommandError as error:
                return fail(error)
            self._keep_users({effect.name: user}, batch, False)
        elif isinstance(effect, LookAtUser):
            self._look_at_user(batch)
        elif isinstance(effect, LoadUsers):
            return self.users_file.load().addCallback(self._keep_users, batch, True)
        elif isinstance(effect, SaveUsers):
            return self.users_file.save()
        return None

    def _keep_users(self, changes: dict[bytes, User | None], batch: Batch, ends_changed: bool) -> None:
        """Changes users, and ends the connections that may not go on so; with `ends_changed` those of all changed."""
        users = self._server.users
        before = {name: users.get(name) for name in changes}
        users.take_over(changes)
        for client in self._clients.all():
            name = client.state.user
            if name not in before or not ends(client, before[name], changes[name], ends_changed):
                continue
            if client is batch.client:
                batch.ends_connection = True
            else:
                self._host.close_client(client.id)

    def _look_at_user(self, batch: Batch) -> None:
        """Ends the connection of a client that has logged in while its user was changed by others."""
        client = batch.client
        user = self._server.users.get(client.state.user)
        if user is None or (not user.is_unrestricted and may_not_listen(client, user)):
            batch.ends_connection = True

    def _look_at_names(self, batch: Batch, effect: Subscribe) -> None:
        """Ends the connection of a client that has subscribed to these names while its user was changed by others.

        What it listened to before was looked at when the user was changed.
        """
        user = self._server.users.get(batch.client.state.user)
        if user is None or (not user.is_unrestricted and may_not_take_up(user, effect.channel_type, effect.names)):
            batch.ends_connection = True

    def _failed(self, failure: Failure, batch: Batch, index: int) -> None:
        """The call that asked gets an error in place of its reply."""
        text = errors.EFFECT_FAILED
        if isinstance(failure.value, errors.CommandError):
            text = failure.value.text
        else:
            log.failure("an effect failed", failure)
        self._metrics.error(text)
        if batch.pending is not None:
            batch.pending.fail(index, text, batch.replies, batch.state.protocol)

    def _perform_on_pubsub(self, effect: PubSubEffect, client: Client, pending: PendingEffects, index: int) -> None:
        if isinstance(effect, Subscribe):
            if not client.closing and self._clients.get(client.id) is not None:
                self._pubsub.subscribe(client, effect.channel_type, effect.names)
        elif isinstance(effect, Unsubscribe):
            self._pubsub.unsubscribe(client, effect.channel_type, effect.names)
        elif isinstance(effect, Publish):
            self._publish(
                effect, effect.channel_type, effect.channel, effect.message, client, pending, index, effect.matching
            )
        elif isinstance(effect, Announce) and self._pubsub.has_listeners:
            for channel, message in notifications(effect.events, effect.targets):
                self._publish(effect, CHANNEL, channel, message, client, pending, index)

    def _publish(
        self,
        effect: PubSubEffect,
        channel_type: int,
        channel: bytes,
        message: bytes,
        asker: Client,
        pending: PendingEffects,
        index: int,
        matching: Matching | None = None,
    ) -> None:
        for client, data in self._pubsub.address(channel_type, channel, message, asker, effect.protocol, matching):
            if client is asker:
                pending.push(index, data)
            else:
                self._push(client, data)

    def _push(self, client: Client, data: bytes) -> None:
        listener = self._listeners.get(client.id)
        if listener is not None:
            listener.push(data)

    def notify(self, events: list[Event], targets: int) -> None:
        """Publishes events that no client has caused."""
        if self._pubsub.has_listeners:
            for channel, message in notifications(events, targets):
                for client, data in self._pubsub.address(CHANNEL, channel, message):
                    self._push(client, data)


def ends(client: Client, before: User | None, now: User | None, ends_changed: bool) -> bool:
    """Whether a client's connection ends because its user is another one now, or gone."""
    if now is None:
        return True
    if ends_changed and (before is None or before.describe() != now.describe()):
        return True
    return may_not_listen(client, now)


def notifications(events: list[Event], targets: int) -> list[tuple[bytes, bytes]]:
    """The keyspace notifications of events, each as its channel and its message."""
    found: list[tuple[bytes, bytes]] = []
    for event in events:
        name = event.name.encode()
        if targets & KEYSPACE:
            found.append((b"__keyspace@%d__:%b" % (event.database, event.key), name))
        if targets & KEYEVENT:
            found.append((b"__keyevent@%d__:%b" % (event.database, name), event.key))
    return found
