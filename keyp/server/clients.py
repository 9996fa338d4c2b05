"""The server's clients: plain data, no sockets.

A `Client` is a connection's identity and counters. Its `state` is what the client can change by commands; a batch works
on a copy, which replaces it when the batch is done. So a batch that must be run again starts from the same state.
"""

from __future__ import annotations

from typing import Any, Final

REPLY_ON: Final = 0
REPLY_OFF: Final = 1
REPLY_SKIP_NEXT: Final = 2  # CLIENT REPLY SKIP was just read: the next command's reply is dropped …
REPLY_SKIP_NOW: Final = 3  # … and this is that command


class ClientState:
    """The part of a client that commands change.

    Values are replaced, never changed in place, but for `queue`, and for `watched` where the state owns it.
    """

    def __init__(self) -> None:
        self.database = 0
        self.protocol = 2
        self.user = b"default"
        self.authenticated = True  # or need not be, as the client came
        self.name = b""
        self.lib_name = b""
        self.lib_version = b""
        self.no_evict = False
        self.no_touch = False
        self.reply_mode: int = REPLY_ON
        # MULTI: the calls waiting for EXEC, or None. The list is shared between copies of the state and only grows;
        # a copy counts how many of the calls are its own.
        self.queue: list[tuple[Any, list[bytes]]] | None = None
        self.queued = 0
        self.queue_bytes = 0
        self.queue_arguments = 0
        self.queue_broken = False  # a call was refused while queueing: EXEC will refuse them all
        self.watched: dict[tuple[int, bytes], int] = {}  # (database, key) -> version, 0 if there was no such key
        self.watched_bytes = 0  # of memory
        self.owns_watched = False  # no other state has this table: WATCH may add to it
        # Publish/subscribe: how many channels, patterns and shard channels the client listens to, whether to any, and
        # which of them the running batch has taken up or given up (`keyp.server.pubsub`; a copy begins without).
        self.subscriptions = (0, 0, 0)
        self.is_subscriber = False
        self.subscription_changes: dict[tuple[int, bytes], bool] | None = None
        # The cache of scripts as the running batch sees it (`keyp.scripting.cache.ScriptView`); a copy begins without.
        self.scripts: Any = None
        # The users as the running batch sees them, where it has changed some (`keyp.server.acl.users`); likewise.
        self.users: Any = None

    def end_transaction(self) -> None:
        """Drops the queued calls and the watched keys."""
        self.queue = None
        self.queued = 0
        self.queue_bytes = 0
        self.queue_arguments = 0
        self.queue_broken = False
        self.forget_watched()

    def forget_watched(self) -> None:
        """No key is watched any more."""
        self.watched = {}
        self.watched_bytes = 0
        self.owns_watched = True

    def copy(self) -> ClientState:
        """A state that can be changed without this one."""
        copy = ClientState()
        copy.database = self.database
        copy.protocol = self.protocol
        copy.user = self.user
        copy.authenticated = self.authenticated
        copy.name = self.name
        copy.lib_name = self.lib_name
        copy.lib_version = self.lib_version
        copy.no_evict = self.no_evict
        copy.no_touch = self.no_touch
        copy.reply_mode = self.reply_mode
        copy.queue = self.queue
        copy.queued = self.queued
        copy.queue_bytes = self.queue_bytes
        copy.queue_arguments = self.queue_arguments
        copy.queue_broken = self.queue_broken
        copy.watched = self.watched
        copy.watched_bytes = self.watched_bytes
        copy.subscriptions = self.subscriptions
        copy.is_subscriber = self.is_subscriber
        return copy


class Client:
    """One connection. `connected_ns` and `last_seen_ns` are nanoseconds of the clock that is never set.

    `address` and `local_address` are `host:port` or `path:0`.
    """

    def __init__(self, client_id: int, address: str, local_address: str, fd: int, connected_ns: int) -> None:
        self.id = client_id
        self.address = address
        self.local_address = local_address
        self.fd = fd
        self.connected_ns = connected_ns
        self.last_seen_ns = connected_ns
        self.last_command = "NULL"
        self.state = ClientState()
        self.bytes_in = 0
        self.bytes_out = 0
        self.commands = 0
        self.input_buffered = 0  # bytes of a request that is not complete yet …
        self.input_arguments = 0  # … and how many of its arguments are, where they are large
        self.request_bytes = 0  # of whole requests that run or wait, where they are large
        self.output_buffered = 0  # bytes of replies that the socket has not taken yet
        self.replies_held = False  # a batch is done and its replies wait for an effect: pushes wait behind them
        # The names of the channels, patterns and shard channels it listens to; `keyp.server.pubsub` changes them.
        self.subscribed: tuple[dict[bytes, None], dict[bytes, None], dict[bytes, None]] = ({}, {}, {})
        self.subscribed_bytes = 0  # of memory
        self.noticed_bytes = 0  # what `keyp.server.client_memory` counts
        self.closing = False
        self.dropped = False  # its connection is cut, and what waits for it is not sent any more
        self.waiting = False  # in a command that waits for a key
        self.is_unix = False
        self.is_proxied = False  # its address is what a proxy says

    @property
    def stays(self) -> bool:
        """Whether the client is there, even if only to read what waits for it."""
        return not self.closing or (self.output_buffered > 0 and not self.dropped)

    @property
    def is_local(self) -> bool:
        """Whether the client is a program on the same machine."""
        return not self.is_proxied and (self.is_unix or self.address.startswith(("127.", "[::1]")))


class ClientTable:
    """The clients connected now, by id. Changed on the reactor's thread only; other threads may read."""

    def __init__(self) -> None:
        self._clients: dict[int, Client] = {}
        self.count = 0
        self.last_id = 0

    def next_id(self) -> int:
        """A new client's id: 1, 2, 3 … never used twice while the server runs."""
        self.last_id += 1
        return self.last_id

    def add(self, client: Client) -> None:
        """Adds a client that has connected."""
        self._clients[client.id] = client
        self.count = len(self._clients)

    def remove(self, client: Client) -> None:
        """Removes a client that has disconnected."""
        self._clients.pop(client.id, None)
        self.count = len(self._clients)

    def get(self, client_id: int) -> Client | None:
        """The client with that id, None where it is not connected."""
        return self._clients.get(client_id)

    def all(self) -> list[Client]:
        """All clients, the longest connected first."""
        return list(self._clients.values())

    def __len__(self) -> int:
        return len(self._clients)
