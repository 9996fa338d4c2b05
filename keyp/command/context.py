"""What a command is given besides its arguments.

A read gets a `ReadContext`, a write a `WriteContext`: the data, the time and a source of randomness, and nothing that
depends on the client. The same context, data and arguments give the same reply and the same changes, today in a test
and later on a replica.

A session command gets a `SessionContext`: the client that asks, the server, and the data context beside it. What goes
beyond the data - closing a client, syncing the store, stopping the server - it asks for as an effect; effects happen on
the reactor's thread, after the commit of the group the command ran in.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

from keyp.command.effects import ChangeUser, Effect, KeepScripts
from keyp.command.scan_cursors import CursorTable
from keyp.command.server_state import ServerState
from keyp.command.spec import DENYOOM, CommandSpec
from keyp.errors import DATABASE_OUT_OF_RANGE, CommandError
from keyp.resp.values import Reply
from keyp.scripting.cache import ScriptView
from keyp.server.acl.users import Edit, Users
from keyp.server.clients import Client, ClientState
from keyp.storage.access_times import AccessTimes
from keyp.storage.compact_limits import CompactLimits
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb.transaction import Transaction, WriteTransaction

# How many elements a read on the reactor's thread may look at; other clients wait some 0.3 us for each.
AT_ONCE_MAX: Final = 2048

SECOND_NS: Final = 1_000_000_000


class TooLong(Exception):
    """A read on the reactor's thread would look at too many elements: the batch is run again on a reader's thread."""


class CommandEnvironment:
    """What all contexts of one server share: randomness, scan positions, and what settings may change.

    `wanted_events` are the classes of events (`keyp.events`) that are to be collected. `now_s` is when the server
    starts, in seconds since 1970.
    """

    def __init__(self, random: Random, databases: int, max_string_bytes: int, now_s: int = 0) -> None:
        self.random = random
        self.secret = random  # for what nobody is to guess; the server has the system's
        self.databases = databases
        self.max_string_bytes = max_string_bytes
        self.hll_sparse_max_bytes = 3000
        self.limits = CompactLimits()
        self.cursors = CursorTable()
        self.access_times = AccessTimes(now_s)
        self.wanted_events = 0


class ReadContext:
    """The data as one snapshot shows it, with one database selected. `now_us` is the same for the whole batch.

    `hurried` says that the reactor's thread waits for it. `has_company` says that other batches share its transaction.
    """

    def __init__(
        self,
        transaction: Transaction,
        shared: CommandEnvironment,
        now_us: int,
        hurried: bool = False,
    ) -> None:
        self.transaction = transaction
        self.shared = shared
        self.now_us = now_us
        self.now_ms = now_us // 1000
        self.hurried = hurried
        self.has_company = False
        self.selected = 0
        self._keyspace: Keyspace | None = None
        transaction.access_times = shared.access_times
        transaction.limits = shared.limits
        transaction.wanted_events = shared.wanted_events

    def follow_settings(self) -> None:
        """A command of the running batch may have changed what settings say of the data."""
        self.transaction.limits = self.shared.limits
        self.transaction.wanted_events = self.shared.wanted_events

    @property
    def keys(self) -> Keyspace:
        """The selected database."""
        keyspace = self._keyspace
        if keyspace is None:
            keyspace = self._keyspace = Keyspace(self.transaction, self.selected)
        return keyspace

    @property
    def random(self) -> Random:
        """The only source of randomness."""
        return self.shared.random

    def expect(self, count: int) -> None:
        """Says how many elements the command is going to look at, before it does. Raises `TooLong`."""
        if self.hurried and count > AT_ONCE_MAX:
            raise TooLong

    def at_once(self, count: int) -> int:
        """How many of `count` elements to read where only reading shows how many there are: `expect` them then."""
        return min(count, AT_ONCE_MAX + 1) if self.hurried else count

    def select(self, index: int) -> None:
        """Makes `index` the selected database; it is within range."""
        self.selected = index
        self._keyspace = None

    def database(self, index: int) -> Keyspace:
        """Another database. Raises `ERR DB index is out of range`."""
        self.check_index(index)
        return Keyspace(self.transaction, index)

    def has_changed(self, watched: dict[tuple[int, bytes], int]) -> bool:
        """Whether any watched key has changed since its version was seen: written to, made, removed, or expired."""
        return any(self.database(index).version(key) != seen for (index, key), seen in watched.items())

    def check_index(self, index: int) -> None:
        """Raises `ERR DB index is out of range` unless there is a database `index`."""
        if not 0 <= index < self.shared.databases:
            raise CommandError(DATABASE_OUT_OF_RANGE)


class WriteContext(ReadContext):
    """The data inside the writer's transaction."""

    def __init__(self, transaction: WriteTransaction, shared: CommandEnvironment, now_us: int) -> None:
        super().__init__(transaction, shared, now_us)
        self.writing = transaction
        self._keyspaces: dict[int, WritableKeyspace] = {}

    @property
    def keys(self) -> WritableKeyspace:
        """The selected database."""
        keyspace = self._keyspaces.get(self.selected)
        if keyspace is None:
            keyspace = self._keyspaces[self.selected] = WritableKeyspace(self.writing, self.selected)
        return keyspace

    def database(self, index: int) -> WritableKeyspace:
        """Another database. Raises `ERR DB index is out of range`."""
        self.check_index(index)
        if index not in self._keyspaces:
            self._keyspaces[index] = WritableKeyspace(self.writing, index)
        return self._keyspaces[index]

    def swap(self, one: int, other: int) -> None:
        """Exchanges two databases."""
        keyspaces = (self.database(one), self.database(other))
        self.writing.swap(one, other)
        for keyspace in keyspaces:
            keyspace.refresh()


class SessionContext:
    """The client and the server, for one batch.

    `state` is the batch's own copy of the client's state. `data` is the snapshot or the writer's transaction that the
    batch runs in.
    """

    def __init__(self, client: Client, state: ClientState, server: ServerState, data: ReadContext) -> None:
        self.client = client
        self.state = state
        self.server = server
        self.data = data
        self.now_ns = 0  # the time of the batch by the clock that is never set, to measure durations
        self.exec_calls = 0  # of how many commands the EXEC consists that runs this one; 0 outside of an EXEC …
        self.exec_bytes = 0  # … and how much they took while they were queued
        self.effects: list[Effect] = []
        self.invoke: Callable[[CommandSpec, list[bytes]], Reply] = _not_running
        self.invoke_in_script: Callable[[CommandSpec, list[bytes]], Reply] = _not_running
        self.breathe: Callable[[], None] | None = None  # what long work without the store calls now and then
        self.nanoseconds: Callable[[], int] = _no_clock

    def after(self, effect: Effect) -> None:
        """Asks for an effect once the batch has committed, before its replies are sent."""
        self.effects.append(effect)

    @property
    def scripts(self) -> ScriptView:
        """The cache of scripts, with what this batch has changed of it."""
        view: ScriptView | None = self.state.scripts
        if view is None:
            view = self.state.scripts = ScriptView(self.server.scripts.cache)
        return view

    @property
    def users(self) -> Users:
        """The users, with what this batch has changed of them."""
        view: Users | None = self.state.users
        return self.server.users if view is None else view

    def change_user(self, name: bytes, edit: Edit) -> None:
        """Changes a user: for this batch at once, for others once it has committed. Raises what `edit` does."""
        view: Users | None = self.state.users
        if view is None:
            view = self.state.users = self.server.users.view()
        view.set(name, edit(view.get(name)))
        self.after(ChangeUser(name, edit))

    @property
    def is_on_writer(self) -> bool:
        """Whether the batch runs in a transaction that may write."""
        return isinstance(self.data, WriteContext)

    def keep_scripts(self) -> None:
        """The batch has changed the cache of scripts: others are to see it once the batch has committed."""
        view = self.scripts
        if not view.is_to_be_kept:
            view.is_to_be_kept = True
            self.after(KeepScripts(view))

    def write_refusal(self, specs: list[CommandSpec]) -> str:
        """The error that one of these commands would meet because writes, or growth, are refused now."""
        if any(spec.is_write for spec in specs) and self.server.write_refusal:
            return self.server.write_refusal
        if isinstance(self.data, WriteContext) and any(spec.flags & DENYOOM for spec in specs):
            return self.data.writing.growth_refusal
        return ""

    def select(self, index: int) -> None:
        """Makes `index` the client's database. Raises `ERR DB index is out of range`."""
        self.data.check_index(index)
        self.state.database = index
        self.data.select(index)


def _no_clock() -> int:
    return 0


def _not_running(spec: Any, args: list[bytes]) -> Reply:
    raise RuntimeError(f"{spec!r} was invoked outside a batch")
