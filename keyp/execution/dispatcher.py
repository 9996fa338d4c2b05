"""Where a batch runs, and what comes of it: reads here and now, long reads on a thread, writes in a commit group.

One way down: `submit` finds where a batch belongs. One way up: `settle` makes its results real - the client's new
state, statistics, effects - and lets its replies leave. The dispatcher knows no sockets; who gave it a batch is called
when the batch is done, always on the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredList, fail, maybeDeferred
from twisted.logger import Logger

from keyp import errors
from keyp.command.context import CommandEnvironment, TooLong
from keyp.command.script_calls import busy_error
from keyp.command.server_state import ServerState
from keyp.events import KEYEVENT, KEYSPACE
from keyp.execution import performer
from keyp.execution.batch import Batch
from keyp.execution.commit import Committer, GroupReport, SweepReport
from keyp.execution.executor import NeedsWriter
from keyp.execution.group_commit import GroupCommit
from keyp.execution.limited_log import LimitedLog
from keyp.execution.loop import Loop
from keyp.execution.performer import Performer
from keyp.execution.shared_snapshot import SharedSnapshot
from keyp.execution.slow_calls import note_slow
from keyp.execution.thread_reads import ThreadReads
from keyp.execution.unblock import Unblocker
from keyp.server.config import Settings
from keyp.storage.compact_limits import CompactLimits
from keyp.storage.keys.sweep import is_due
from keyp.storage.lmdb.errors import MustReopen, StoreError, refusal, spoils_transaction
from keyp.storage.lmdb.transaction import NotYetOpen, ReadTransaction

log = Logger(__name__)
T = TypeVar("T")

NOT_COMMITTED: Final = "LMDB could not commit what was written last"


class Host(performer.Host, Protocol):
    """The server, as the dispatcher needs it."""

    def hold_replies(self) -> None:
        """Replies come to many clients: they are to leave together."""

    def send_replies(self) -> None:
        """All of them are there."""

    def disk_failed(self) -> None:
        """Something on the disk has failed: no more writes until `trust_disk`. See to it that there are reads."""

    def take_checkpoint(self) -> None:
        """The journal wants one."""


class Dispatcher:
    """Runs batches on the environment of one server."""

    def __init__(self, server: ServerState, shared: CommandEnvironment, loop: Loop, host: Host) -> None:
        self.server = server
        self._loop = loop
        self._nanoseconds = loop.nanoseconds
        self._host = host
        environment, settings = server.environment, server.settings
        self.shared = shared
        settings.on_change(self._follow_settings)
        server.scripts.on_overdue = self._script_overdue
        self.limited_log = LimitedLog(loop)
        self.snapshot = SharedSnapshot(environment, self.shared, loop)
        committer = Committer(environment, self.shared, loop, server.blocked_clients, self.limited_log)
        self.group_commit = GroupCommit(server, committer, loop, self)
        self._thread_reads = ThreadReads(server, shared, loop, self.group_commit, self)
        self.performer = Performer(host, server, loop, self.limited_log)
        self.unblocker = Unblocker(
            server.blocked_clients, server.metrics, loop, self.group_commit.between_groups, self.performer.perform
        )
        self._present_hidden = False
        self._waiting_reads: list[Batch] = []  # until the present is shown again
        self._active = 0  # batches under way that use the environment now
        self._background = 0  # other work that uses it
        self._paused: list[Batch] = []
        self._held: list[Batch] = []
        self._exclusive: list[tuple[Callable[[], None], Deferred[None]]] = []
        self._when_idle: list[Deferred[None]] = []
        self._follow_settings()

    def _follow_settings(self) -> None:
        settings = self.server.settings
        self.shared.max_string_bytes = settings.proto_max_bulk_len
        self.shared.hll_sparse_max_bytes = settings.hll_sparse_max_bytes
        self.shared.limits = _compact_limits(settings)
        self.server.environment.max_bytes = settings.maxmemory
        self.server.acl_log.limit = settings.acllog_max_len
        wanted = settings.notify_keyspace_events
        self.shared.wanted_events = wanted if wanted & (KEYSPACE | KEYEVENT) else 0

    # The way down.

    def submit(self, batch: Batch) -> None:
        """Runs a batch; its `done` is called when its replies may leave, perhaps before this returns."""
        self.server.under_way += 1
        now_ns = self._nanoseconds()
        batch.client.last_seen_ns = now_ns
        if self.server.paused_until_ns and self._must_wait(batch, now_ns):
            self._paused.append(batch)
        elif self._exclusive and self._must_rest():
            self._held.append(batch)
        else:
            self._active += 1
            self.route(batch)

    def _must_rest(self) -> bool:
        """Whether nothing is to begin, so that what wants the environment to itself comes to it soon.

        It does not while a script goes on that is overdue; SCRIPT KILL is among what may begin then.
        """
        scripts = self.server.scripts
        return self._background == 0 and scripts.busy is None and not scripts.overdue_reads()

    def _must_wait(self, batch: Batch, now_ns: int) -> bool:
        """Whether a pause of clients goes on and concerns the batch."""
        server = self.server
        if now_ns >= server.paused_until_ns:
            self.resume()
            return False
        return not server.paused_writes_only or batch.hold_writes()

    def resume(self) -> None:
        """Ends a CLIENT PAUSE: what waited goes on."""
        self.server.paused_until_ns = 0
        waiting, self._paused = self._paused, []
        self._route_all(waiting)

    def _route_all(self, batches: list[Batch]) -> None:
        for batch in batches:
            if self._exclusive and self._must_rest():
                self._held.append(batch)
            else:
                self._active += 1
                self.route(batch)

    def _script_overdue(self) -> None:
        """Called on its thread: a script runs for too long, those who wait are to be told."""
        self._loop.call_from_thread(self._refuse_while_busy)

    def _refuse_while_busy(self) -> None:
        """Those who wait for the writer are answered BUSY, while the script goes on, or those who wait for a thread."""
        if self.server.scripts.busy is not None:
            waiting, self._waiting_reads = self._waiting_reads, []
            for batch in [*self.group_commit.take_queue(), *waiting, *self._thread_reads.take_waiting()]:
                self.route(batch)
        else:
            self._thread_reads.refuse_scripts()
        if self._held and not self._must_rest():
            self._release_held()

    def route(self, batch: Batch) -> None:
        """See `Router`: to the writer, to a thread, or here and now."""
        busy = self.server.scripts.busy
        if busy is not None:
            batch.refuse_while_busy(busy_error(busy))
        if batch.writes and not self.server.write_refusal:
            self.group_commit.add(batch)
        elif batch.walks:
            self._thread_reads.add(batch)
        elif self._present_hidden and busy is None:  # what is left of it while a script is overdue reads no data
            self._waiting_reads.append(batch)
        else:
            try:
                self.snapshot.executor().run(batch)
            except Exception as error:
                is_spoilt = self.snapshot.present is not None and spoils_transaction(error)
                self.snapshot.close()
                if is_spoilt:
                    self._read_elsewhere(batch)
                else:
                    self.other_way(batch, error)(batch)
            else:
                self.settle(batch)

    def _read_elsewhere(self, batch: Batch) -> None:
        """LMDB does nothing more in its open transaction: a read has met damage in it. Nobody else is to see that.

        The transaction is made anew before LMDB commits, and the batch has a snapshot of its own then.
        """
        self.present_hidden()
        self._thread_reads.add(batch)

    def other_way(self, batch: Batch, error: Exception) -> Callable[[Batch], None]:
        """See `Router`."""
        if isinstance(error, TooLong):
            return self._thread_reads.add
        if isinstance(error, (NeedsWriter, NotYetOpen)):
            return self.group_commit.add
        if isinstance(error, MustReopen):
            return self.wait_for_reopening
        self.limited_log.failure("a batch of reads failed", error)
        batch.refuse(refusal(error))
        return self.settle

    def wait_for_reopening(self, batch: Batch) -> None:
        """A commit has failed half-way: the store can be read again when it has been opened anew, if it can be."""
        if batch.has_waited:
            batch.refuse(errors.DISK_FAILED)
            self.settle(batch)
            return
        batch.has_waited = True
        self._active -= 1
        self._held.append(batch)
        self.disk_failed()
        if not self._exclusive:
            self._release_held()

    def _release_held(self) -> None:
        held, self._held = self._held, []
        self._route_all(held)

    # The way up.

    def present_hidden(self) -> None:
        """See `Publisher`."""
        if self.snapshot.transaction is not None:
            self.snapshot.close()
        self.snapshot.present = None
        self._present_hidden = True

    def present_shown(self) -> None:
        """See `Publisher`."""
        if self.snapshot.transaction is not None:
            self.snapshot.close()
        self.snapshot.present = self.server.environment.write_back.transaction
        self._present_hidden = False
        waiting, self._waiting_reads = self._waiting_reads, []
        for batch in waiting:
            self.route(batch)

    def flush_failed(self) -> None:
        """See `Publisher`."""
        self.disk_failed()

    def group_committed(self, report: GroupReport) -> None:
        """See `Publisher`."""
        if self.snapshot.transaction is not None:
            self.snapshot.close()
        if self.server.environment.journal.is_due:
            self._host.take_checkpoint()
        metrics = self.server.metrics
        if report.group:
            metrics.group_committed(len(report.group), report.nanoseconds)
        metrics.expired_keys += report.expired
        if report.disk_failed:
            self.disk_failed()
        self._host.hold_replies()
        try:
            for batch in report.group:
                self.settle(batch)
            for blocked in report.served:
                self.unblocker.end(blocked)
        finally:
            self._host.send_replies()

    def settle(self, batch: Batch) -> None:
        """Makes the batch's results real. Its replies leave when the effects they wait for have happened."""
        self._active -= 1
        batch.client.state = batch.state
        self._count(batch)
        pending = batch.pending
        if pending is not None:
            waits = self.performer.perform_all(batch, pending)
            if waits:
                batch.client.replies_held = True
                DeferredList(waits).addCallback(self._effects_done, batch)
                if self._exclusive:
                    self._look_for_rest()
                return
        self._leave(batch)
        if self._exclusive:
            self._look_for_rest()

    def _effects_done(self, results: Any, batch: Batch) -> None:
        self._leave(batch)

    def _leave(self, batch: Batch) -> None:
        self.server.under_way -= 1
        if batch.pending is not None:
            batch.replies = batch.pending.with_pushes(batch.replies)
        try:
            batch.done(batch)
        except Exception:
            log.failure("a batch's replies could not leave")
        if batch.blocked is not None:
            self.unblocker.begin(batch.blocked)
        if self._when_idle and self.server.under_way == 0:
            self._look_for_rest()

    def _count(self, batch: Batch) -> None:
        metrics, client = self.server.metrics, batch.client
        metrics.keyspace_hits += batch.hits
        metrics.keyspace_misses += batch.misses
        for call in batch.done_calls:
            spec = call.spec
            if spec is None:
                pass
            elif call.rejected:
                metrics.reject(spec.full_name)
            else:
                metrics.record(spec.full_name, call.nanoseconds, bool(call.error))
                if call.nanoseconds >= metrics.long_ns:
                    name, now_us = batch.state.name, self._loop.time_ns() // 1000
                    note_slow(metrics, client, name, spec, call.args, call.nanoseconds, now_us)
            if call.error:
                metrics.error(call.error)
        if batch.in_scripts:
            for command, (calls, nanoseconds, failed) in batch.in_scripts.items():
                metrics.record_in_scripts(command, calls, nanoseconds, failed)
        answered = len(batch.calls) - len(batch.rest)
        if answered:
            last = batch.calls[answered - 1].spec
            client.last_command = "NULL" if last is None else last.full_name
        client.commands += len(batch.done_calls)

    # Blocked clients.

    def end_wait(self, batch: Batch, error: str) -> None:
        """Ends the waiting that a batch has ended in, with an error or, without one, as if its time had come."""
        if batch.blocked is not None:
            self.unblocker.unblock(batch.blocked, error)

    def forget(self, batch: Batch) -> None:
        """The client of a batch that has ended in waiting has left: it takes nothing and gets no reply."""
        if batch.blocked is not None:
            self.unblocker.forget(batch.blocked)

    # The store as a whole.

    def sweep_if_due(self) -> None:
        """Looks whether anything has expired or waits to be cleared, and has it removed."""
        if not self.server.sweeping or self.server.paused_until_ns or self.server.write_refusal:
            return
        try:
            with ReadTransaction(self.server.environment, self._loop.time_ns() // 1_000_000) as transaction:
                due = is_due(transaction)
        except (NotYetOpen, MustReopen):
            return  # a commit is being published, or has failed; the next look is soon
        except Exception as error:
            self.limited_log.failure("the sweeper cannot look for what is to be removed", error)
            return
        if due:
            self.group_commit.want_sweep()

    def swept(self, report: SweepReport) -> None:
        """See `Publisher`."""
        self.snapshot.close()
        if self.server.environment.journal.is_due:
            self._host.take_checkpoint()
        if report.disk_failed:
            self.disk_failed()
        if report.failed:
            self.server.metrics.sweep_failed()
            return
        self.server.metrics.swept(report.expired, report.removed - report.expired, report.nanoseconds)
        self.performer.notify(report.events, self.shared.wanted_events)
        for blocked in report.served:
            self.unblocker.end(blocked)

    def disk_failed(self) -> None:
        """From now on every write is refused, queued ones too, until `trust_disk`; reads go on."""
        self.server.write_refusal = errors.DISK_FAILED
        for batch in self.group_commit.take_queue():
            self.route(batch)
        self._host.disk_failed()

    def trust_disk(self) -> None:
        """The store has been opened anew and checked: writes are accepted again."""
        self.server.write_refusal = ""

    def in_background(self, function: Callable[[], T]) -> Deferred[T]:
        """Runs a function that uses the environment on a reader's thread, while batches go on."""
        self._background += 1
        return self._loop.run_on_reader(_call, function).addBoth(self._background_done)

    def on_snapshots(self, function: Callable[[], T]) -> Deferred[T]:
        """The same, for one that opens snapshots: they show all that has been published by now.

        Fails with `StoreError` where they cannot.
        """
        result: Deferred[T] = Deferred()

        def run(is_shown: bool) -> None:
            if is_shown:
                self.in_background(function).chainDeferred(result)
            else:
                result.errback(StoreError(NOT_COMMITTED))

        self.group_commit.when_flushed(run)
        return result

    def _background_done(self, result: T) -> T:
        self._background -= 1
        self._look_for_rest()
        return result

    def exclusively(self, function: Callable[[], None]) -> Deferred[None]:
        """Runs a function here at a moment when no transaction is open; batches that come meanwhile wait, unharmed.

        Fires when it is done, or with what it raises.
        """
        done: Deferred[None] = Deferred()
        self._exclusive.append((function, done))
        self._look_for_rest()
        return done

    def when_idle(self) -> Deferred[None]:
        """Fires when no batch is under way any more. A pause of clients ends here."""
        self.resume()
        idle: Deferred[None] = Deferred()
        self._when_idle.append(idle)
        self._look_for_rest()
        return idle

    def writer_idle(self) -> None:
        """See `Publisher`."""
        self._look_for_rest()

    def _look_for_rest(self) -> None:
        """Something has ended, or is to be done at a moment of rest: perhaps this is one."""
        self.group_commit.wants_idle = bool(self._exclusive or self._when_idle)
        if self.group_commit.wants_idle:
            self.group_commit.stop_sweeping()
        if not self.group_commit.is_idle:
            return
        if self._exclusive and not self._active and not self._background:
            self.group_commit.when_flushed(self._run_alone)
        elif self._when_idle and self.server.under_way == 0:
            self.snapshot.close()
            when_idle, self._when_idle = self._when_idle, []
            for idle in when_idle:
                idle.callback(None)

    def _run_alone(self, is_shown: bool) -> None:
        """Runs the first of the functions that have the environment to themselves.

        Not where LMDB could not commit what its open transaction alone shows, for that ends there. Work that has begun
        while it did comes first; the end of that looks for rest again.
        """
        if self._active or self._background:
            return
        self.snapshot.close()
        function, done = self._exclusive[0]
        is_safe = is_shown or not self.server.environment.shows_what_was_answered
        outcome = maybeDeferred(function) if is_safe else fail(StoreError(NOT_COMMITTED))
        del self._exclusive[0]
        self._release_held()
        outcome.chainDeferred(done)
        self._look_for_rest()


def _call(function: Callable[[], T]) -> T:
    return function()


def _compact_limits(settings: Settings) -> CompactLimits:
    limits = CompactLimits()
    limits.hash_fields = settings.hash_max_listpack_entries
    limits.hash_bytes = settings.hash_max_listpack_value
    limits.integers = settings.set_max_intset_entries
    limits.set_members = settings.set_max_listpack_entries
    limits.set_bytes = settings.set_max_listpack_value
    limits.sorted_set_members = settings.zset_max_listpack_entries
    limits.sorted_set_bytes = settings.zset_max_listpack_value
    limits.list_size = settings.list_max_listpack_size
    limits.stream_entries = settings.stream_node_max_entries
    return limits
