"""Where a batch runs: reads here and now on a snapshot, long reads on a thread, writes in the next commit group.

The engine brings batches to the data and their results back: the client's new state, statistics, effects. It knows
no sockets; who gave it a batch is called when the batch is done, always on the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from keyp import errors
from keyp.command.blocked_clients import Waiter
from keyp.command.context import ReadContext, Surroundings, TooLong
from keyp.command.effects import Effect, PubSubEffect
from keyp.command.server_state import ServerState
from keyp.command.spec import FAST, SKIP_SLOWLOG, Args, CommandSpec
from keyp.events import KEYEVENT, KEYSPACE
from keyp.execution.batch import Batch
from keyp.execution.executor import NeedsWriter, Runner
from keyp.execution.group_commit import Clock, Defer, DeferWrite, GroupReport, SweepReport, Writer
from keyp.execution.notifier import Delivery
from keyp.execution.pending_effects import Aftermath
from keyp.execution.shared_snapshot import Turn
from keyp.resp.values import NO_REPLY, NULL_ARRAY, Reply, ReplyError
from keyp.server.config import Settings
from keyp.storage.compact_limits import FormLimits
from keyp.storage.keys.sweep import is_due
from keyp.storage.lmdb.errors import MustReopen, refusal
from keyp.storage.lmdb.transaction import NotYetOpen, ReadTransaction

log = Logger()
T = TypeVar("T")


class Engine:
    """Runs batches on one environment.

    `defer_write` and `defer_read` run a function on the writer's thread and on a thread of the reader pool;
    `call_soon` and `call_later` run one on the reactor's thread, when what is ready now is done and after so many
    seconds; `carry_out` makes an effect happen and may return a Deferred that the batch's replies wait for.
    """

    def __init__(
        self,
        server: ServerState,
        clock: Clock,
        random: Random,
        defer_write: DeferWrite,
        before_sync: Callable[[], None],
        defer_read: Defer,
        call_soon: Callable[[Callable[[], None]], Any],
        call_later: Callable[[float, Callable[[], None]], Any],
        carry_out: Callable[[Effect], Deferred[None] | None],
    ) -> None:
        self.server = server
        self.clock = clock
        self._defer_read = defer_read
        self._call_later = call_later
        self._carry_out = carry_out
        settings = server.settings
        self.around = Surroundings(
            random, server.environment.databases, settings.proto_max_bulk_len, clock.now_us() // 1_000_000
        )
        self.turn = Turn(server.environment, self.around, clock.now_us, clock.nanoseconds, call_soon)
        settings.on_change(self._settings_changed)
        self.writer = Writer(
            server.environment,
            self.around,
            clock,
            defer_write,
            before_sync,
            call_soon,
            call_later,
            self._clients_at_rest,
            server.waiting,
            self._committed,
            self._swept,
        )
        self.on_disk_failure: Callable[[], None] = lambda: None
        self.group_done: Callable[[], None] = lambda: None  # called when all batches of a group have been answered
        self.complaints = self.writer.complaints
        self.delivery = Delivery(server.pubsub, server.clients)
        self._under_way = 0  # batches whose replies have not left yet
        self._active = 0  # those of them that use the environment now
        self._background = 0  # other work that uses it
        self._paused: list[Batch] = []
        self._held: list[Batch] = []
        self._exclusive: list[tuple[Callable[[], None], Deferred[None]]] = []
        self._idle_waiters: list[Deferred[None]] = []

    def _settings_changed(self) -> None:
        settings = self.server.settings
        self.around.max_string_bytes = settings.proto_max_bulk_len
        self.around.hll_sparse_max_bytes = settings.hll_sparse_max_bytes
        self.around.limits = _form_limits(settings)
        self.server.environment.max_bytes = settings.maxmemory
        wanted = settings.notify_keyspace_events
        self.around.wanted_events = wanted if wanted & (KEYSPACE | KEYEVENT) else 0

    def _clients_at_rest(self) -> int:
        """How many clients have nothing under way and may send something."""
        return len(self.server.clients) - self._under_way - self.server.metrics.blocked_clients

    def submit(self, batch: Batch) -> None:
        """Runs a batch; its `done` is called when its replies may leave, perhaps before this returns."""
        self._under_way += 1
        now_ns = self.turn.now_ns()
        batch.client.last_seen_ns = now_ns
        if self.server.paused_until_ns and self._must_wait(batch, now_ns):
            self._paused.append(batch)
        else:
            self._route(batch)

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
            self._route(batch)

    def _route(self, batch: Batch) -> None:
        if self._exclusive and self._background == 0:
            self._held.append(batch)
            return
        self._active += 1
        self._run(batch)

    def _run(self, batch: Batch) -> None:
        if batch.writes and not self.server.write_refusal:
            self.writer.add(batch)
        elif batch.walks:
            self._read_at_leisure(batch)
        else:
            self._read_now(batch)

    def _read_now(self, batch: Batch) -> None:
        try:
            self.turn.runner().run(batch)
        except Exception as error:
            self.turn.end()
            self._other_way(batch, error)(batch)
        else:
            self._finish(batch)

    def _read_at_leisure(self, batch: Batch) -> None:
        self._defer_read(lambda: self._read(batch)).addCallback(self._read_done, batch)

    def _read(self, batch: Batch) -> Callable[[Batch], None]:
        """Runs a batch on a snapshot of its own; what is to be done with it then, on the reactor's thread."""
        now_us = self.clock.now_us()
        try:
            with ReadTransaction(self.server.environment, now_us // 1000) as transaction:
                context = ReadContext(transaction, self.around, now_us)
                Runner(context, self.clock.nanoseconds, self.clock.breathe).run(batch)
        except Exception as error:
            return self._other_way(batch, error)
        return self._finish

    def _other_way(self, batch: Batch, error: Exception) -> Callable[[Batch], None]:
        """Where a batch belongs that could not be run as a read. Called while `error` is handled."""
        if isinstance(error, TooLong):
            return self._read_at_leisure
        if isinstance(error, (NeedsWriter, NotYetOpen)):
            return self.writer.add
        if isinstance(error, MustReopen):
            return self._wait_for_reopening
        self.complaints.failure("a batch of reads failed", error)
        batch.refuse(refusal(error))
        return self._finish

    def _read_done(self, what_now: Callable[[Batch], None], batch: Batch) -> None:
        what_now(batch)

    def _wait_for_reopening(self, batch: Batch) -> None:
        """A commit has failed half-way: the store can be read again when it has been opened anew, if it can be."""
        if batch.has_waited:
            batch.refuse(errors.DISK_FAILED)
            self._finish(batch)
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

    def _committed(self, report: GroupReport) -> None:
        self.turn.end()
        self.server.metrics.group_committed(len(report.group), report.nanoseconds)
        self.server.metrics.expired_keys += report.expired
        if report.disk_failed:
            self.disk_failed()
        for batch in report.group:
            self._finish(batch)
        for waiter in report.served:
            self._end_wait(waiter)
        self.group_done()

    def disk_failed(self) -> None:
        """From now on every write is refused, those in line too, until `trust_disk`; reads go on.

        `on_disk_failure` is called: it sees to it that they can.
        """
        self.server.write_refusal = errors.DISK_FAILED
        for batch in self.writer.take_waiting():
            self._run(batch)
        self.on_disk_failure()

    def trust_disk(self) -> None:
        """The store has been opened anew and checked: writes are accepted again."""
        self.server.write_refusal = ""

    def _finish(self, batch: Batch) -> None:
        """Makes the batch's results real. Its replies leave when the effects they wait for have happened."""
        self._active -= 1
        batch.client.state = batch.state
        self._count(batch)
        if batch.aftermath is None:
            self._leave(batch)
        else:
            self._carry_out_all(batch, batch.aftermath)
        if self._exclusive:
            self._take_turn()

    def _carry_out_all(self, batch: Batch, aftermath: Aftermath) -> None:
        waits = []
        for index, effect in enumerate(aftermath.effects):
            if isinstance(effect, PubSubEffect):
                self.delivery.carry_out(effect, batch.client, aftermath, index)
                continue
            waiting = self._carry_out(effect)
            if waiting is not None:
                waits.append(waiting.addErrback(self._effect_failed, batch, index))
        if waits:
            batch.client.replies_held = True
            DeferredList(waits).addCallback(lambda _: self._leave(batch))
        else:
            self._leave(batch)

    def in_background(self, function: Callable[[], T]) -> Deferred[T]:
        """Runs a function that uses the environment on a reader's thread, while batches go on."""
        self._background += 1
        return self._defer_read(function).addBoth(self._background_done)

    def _background_done(self, result: T) -> T:
        self._background -= 1
        self._take_turn()
        return result

    def exclusively(self, function: Callable[[], None]) -> Deferred[None]:
        """Runs a function here at a moment when no transaction is open; batches that come meanwhile wait, unharmed.

        Fires when it is done, or with what it raises.
        """
        turn: Deferred[None] = Deferred()
        self._exclusive.append((function, turn))
        self._take_turn()
        return turn

    def _take_turn(self) -> None:
        if not self._exclusive or self._active or self._background:
            return
        if not self.writer.idle:
            self.writer.when_idle().addCallback(lambda _: self._take_turn())
            return
        self.turn.end()
        function, turn = self._exclusive[0]
        outcome = maybeDeferred(function)
        del self._exclusive[0]
        self._release_held()
        outcome.chainDeferred(turn)
        self._take_turn()

    def _effect_failed(self, failure: Failure, batch: Batch, index: int) -> None:
        text = errors.EFFECT_FAILED
        if isinstance(failure.value, errors.CommandError):
            text = failure.value.text
        else:
            log.failure("an effect failed", failure)
        self.server.metrics.error(text)
        if batch.aftermath is not None:
            batch.aftermath.fail(index, text, batch.replies, batch.state.protocol)

    def _leave(self, batch: Batch) -> None:
        self._under_way -= 1
        if batch.aftermath is not None:
            batch.replies = batch.aftermath.with_pushes(batch.replies)
        try:
            batch.done(batch)
        except Exception:
            log.failure("a batch's replies could not leave")
        if batch.waiter is not None:
            self._begin_wait(batch.waiter)
        if self._under_way == 0 and self._idle_waiters:
            self._tell_idle()

    def _begin_wait(self, waiter: Waiter) -> None:
        """What came before it in its batch is answered: from now on the client waits, if it has not been served yet."""
        waiter.has_begun = True
        waiter.client.waiting = True
        waiter.client.last_command = waiter.spec.full_name
        self.server.metrics.blocked_clients += 1
        if waiter.is_over:
            self._end_wait(waiter)
        elif waiter.wait.timeout_ms:
            waiter.timer = self._call_later(waiter.wait.timeout_ms / 1000, lambda: self._call_off(waiter, NULL_ARRAY))

    def _call_off(self, waiter: Waiter, reply: Reply) -> None:
        """Ends the waiting with a reply, unless what the client waits for is here first."""
        self.writer.between_groups(lambda: self._called_off(waiter, reply))

    def _called_off(self, waiter: Waiter, reply: Reply) -> None:
        if not waiter.is_over:
            self.server.waiting.leave(waiter)
            waiter.reply = reply
            self._end_wait(waiter)

    def _end_wait(self, waiter: Waiter) -> None:
        """The client has its reply, and goes on with what it has sent meanwhile."""
        waiter.is_over = True
        if waiter.has_ended or not waiter.has_begun:
            return
        waiter.has_ended = True
        timer, waiter.timer = waiter.timer, None  # which knows the waiter
        if timer is not None and timer.active():
            timer.cancel()
        client, batch = waiter.client, waiter.batch
        client.waiting = False
        metrics = self.server.metrics
        metrics.blocked_clients -= 1
        error = waiter.reply.text if isinstance(waiter.reply, ReplyError) else ""
        metrics.record(waiter.spec.full_name, waiter.nanoseconds, bool(error))
        if error:
            metrics.error(error)
        if waiter.nanoseconds >= metrics.long_ns and not waiter.has_left:
            self._note_long(batch, waiter.spec, waiter.args, waiter.nanoseconds)
        batch.end_wait()
        try:
            batch.done(batch)
        except Exception:
            log.failure("a reply that was waited for could not leave")

    def end_wait(self, batch: Batch, error: str) -> None:
        """Ends the waiting that a batch has ended in, with an error or, without one, as if its time had come."""
        waiter = batch.waiter
        if waiter is not None:
            self._call_off(waiter, ReplyError(error) if error else NULL_ARRAY)

    def forget(self, batch: Batch) -> None:
        """The client of a batch that has ended in waiting has left: it takes nothing and gets no reply."""
        waiter = batch.waiter
        if waiter is not None:
            waiter.has_left = True
            self._call_off(waiter, NO_REPLY)

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
                    self._note_long(batch, spec, call.args, call.nanoseconds)
            if call.error:
                metrics.error(call.error)
        answered = len(batch.calls) - len(batch.rest)
        if answered:
            last = batch.calls[answered - 1].spec
            client.last_command = "NULL" if last is None else last.full_name
        client.commands += len(batch.done_calls)

    def _note_long(self, batch: Batch, spec: CommandSpec, args: Args, nanoseconds: int) -> None:
        """A call has taken long: the slow log or the latency monitor remembers it."""
        slow, monitor = self.server.metrics.slow_log, self.server.metrics.latency_monitor
        now_s = self.clock.now_us() // 1_000_000
        if nanoseconds >= slow.threshold_ns and not spec.flags & SKIP_SLOWLOG:
            slow.add(spec.without_secrets(args), nanoseconds, now_s, batch.client.address, batch.state.name)
        if nanoseconds >= monitor.threshold_ns:
            monitor.add("fast-command" if spec.flags & FAST else "command", nanoseconds, now_s)

    def sweep_if_due(self) -> None:
        """Looks whether anything has expired or waits to be cleared, and has it removed."""
        if not self.server.sweeping or self.server.paused_until_ns or self.server.write_refusal:
            return
        try:
            with ReadTransaction(self.server.environment, self.clock.now_us() // 1000) as transaction:
                due = is_due(transaction)
        except (NotYetOpen, MustReopen):
            return  # a commit is being announced, or has failed; the next look is soon
        except Exception as error:
            self.complaints.failure("the sweeper cannot look for what is to be removed", error)
            return
        if due:
            self.writer.want_sweep()

    def _swept(self, report: SweepReport) -> None:
        self.turn.end()
        if report.disk_failed:
            self.disk_failed()
        if report.failed:
            self.server.metrics.sweep_failed()
            return
        self.server.metrics.swept(report.expired, report.removed - report.expired, report.nanoseconds)
        self.delivery.announce(report.events, self.around.wanted_events)

    def when_idle(self) -> Deferred[None]:
        """Fires when no batch is under way any more. A pause of clients ends here."""
        self.resume()
        waiter: Deferred[None] = Deferred()
        self._idle_waiters.append(waiter)
        if self._under_way == 0:
            self._tell_idle()
        return waiter

    def _tell_idle(self) -> None:
        self.turn.end()
        waiters, self._idle_waiters = self._idle_waiters, []
        for waiter in waiters:
            self.writer.when_idle().chainDeferred(waiter)


def _form_limits(settings: Settings) -> FormLimits:
    limits = FormLimits()
    limits.hash_fields = settings.hash_max_listpack_entries
    limits.hash_bytes = settings.hash_max_listpack_value
    limits.integers = settings.set_max_intset_entries
    limits.set_members = settings.set_max_listpack_entries
    limits.set_bytes = settings.set_max_listpack_value
    limits.sorted_set_members = settings.zset_max_listpack_entries
    limits.sorted_set_bytes = settings.zset_max_listpack_value
    limits.list_size = settings.list_max_listpack_size
    return limits
