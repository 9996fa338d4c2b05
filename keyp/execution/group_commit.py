"""Group commit: batches that write wait in a queue, and one transaction takes all that wait.

While one group commits, the batches of all connections pile up; the next group takes them: one transaction, one sync,
many replies. Groups run on the writer's thread (`commit.py`), one thread for ever, because LMDB has one writer.

The sweeper's steps take turns with the groups. Between two steps there is a rest, in which groups start as soon as
there are any; after it the next step is due, even where batches wait, so that no load keeps the sweeper from its work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from twisted.logger import Logger
from twisted.python.failure import Failure

from keyp.command.blocked_clients import BlockedClient
from keyp.command.server_state import ServerState
from keyp.execution.batch import Batch
from keyp.execution.commit import Committer, FlushReport, GroupReport, SweepReport
from keyp.execution.commit_delay import CommitDelay
from keyp.execution.loop import Loop
from keyp.resp.values import Reply
from keyp.storage.lmdb.environment import ALWAYS
from keyp.storage.lmdb.write_back import SHOWN_S

log = Logger(__name__)
T = TypeVar("T")

# What a step of the sweeper removes, keys and elements. A step holds up the writers for as long as it takes, and the
# reactor's thread while Python runs in it, some 3 us for each. So by itself it is no longer than a small group. Where
# the clients write more than that between two steps, a step removes some times what their groups ran in commands:
# removing is cheaper than writing, so it takes no longer than they did, and no load outruns it.
SWEEP_BUDGET: Final = 250
SWEEP_FACTOR: Final = 3

# The rest between two steps, the shortest that the kernel waits. A million keys that die together take 4,000 steps of
# a millisecond or less: some ten seconds, and more beside writers whose groups take turns with the steps.
SWEEP_REST_S: Final = 0.001


class Publisher(Protocol):
    """Who publishes what is durable."""

    def group_committed(self, report: GroupReport) -> None:
        """A group is as durable as the mode of syncing promises, or refused."""

    def swept(self, report: SweepReport) -> None:
        """A step of the sweeper is done."""

    def present_hidden(self) -> None:
        """The writer's thread is about to use LMDB's open transaction: nobody else may."""

    def present_shown(self) -> None:
        """No thread uses LMDB's transaction now, and it may be open."""

    def flush_failed(self) -> None:
        """LMDB could not commit what has been published."""

    def writer_idle(self) -> None:
        """No transaction is open and no batch waits for one. Called only while `wants_idle` is set."""


class GroupCommit:
    """The queue of batches that write. Everything here runs on the reactor's thread."""

    def __init__(self, server: ServerState, committer: Committer, loop: Loop, publisher: Publisher) -> None:
        self._server = server
        self._environment = server.environment
        self._committer = committer
        self._loop = loop
        self._publisher = publisher
        self.wants_idle = False  # whether the publisher waits to hear of it
        self._queue: list[Batch] = []
        self._slow_scripts = server.scripts.slow
        self._apart = 0  # how many of the queue are to have groups of their own
        self._delay = CommitDelay(loop)
        self._sweep_wanted = False
        self._resting = False
        self._commands_since_step = 0
        self._running = False
        self._hides_present = False  # whether the group under way goes on with the transaction that alone shows all
        self._scheduled = False
        self._when_flushed: list[Callable[[bool], None]] = []
        self._flush_timed = False
        self._between: list[tuple[Callable[[BlockedClient, Reply], None], BlockedClient, Reply]] = []

    def add(self, batch: Batch) -> None:
        """Queues a batch. Its group starts when those that are on their way have joined it (`CommitDelay`)."""
        self._queue.append(batch)
        if batch.is_apart or (self._slow_scripts and batch.runs_slow_scripts()):
            batch.is_apart = True
            self._apart += 1
        if not self._running and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._dispatch)

    def want_sweep(self) -> None:
        """Asks for steps of the sweeper until nothing is left to remove."""
        if not self._sweep_wanted:
            self._sweep_wanted = True
            self._commands_since_step = 0
        if not self._resting:
            self._schedule()

    def stop_sweeping(self) -> None:
        """Asks for no further step; what is left waits until it is asked for again."""
        self._sweep_wanted = False

    def take_queue(self) -> list[Batch]:
        """Takes all batches out of the queue: they will not be written."""
        queue, self._queue = self._queue, []
        self._apart = 0
        return queue

    @property
    def is_idle(self) -> bool:
        """Whether no group is under way, and nothing waits for one."""
        return not self._running and not self._queue and not self._when_flushed

    def when_flushed(self, function: Callable[[bool], None]) -> None:
        """Calls `function` when snapshots show all that has been published: with whether they do."""
        write_back = self._environment.write_back
        if self._hides_present or (not self._running and write_back.transaction is not None):
            self._when_flushed.append(function)
            self._schedule()
        else:
            function(self._environment.shows_what_was_answered)

    def between_groups(
        self, function: Callable[[BlockedClient, Reply], None], blocked: BlockedClient, reply: Reply
    ) -> None:
        """Calls `function(blocked, reply)` when no group runs, before the next one: now, or when this one is done."""
        if self._running:
            self._between.append((function, blocked, reply))
        else:
            function(blocked, reply)

    def _schedule(self) -> None:
        if not self._running and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._scheduled = False
        if self._running:
            return
        if self._when_flushed:
            self._start_flush()
        elif self._sweep_wanted and not self._resting:
            self._start_step()
        elif self._queue:
            server = self._server
            at_rest = server.clients.count - server.under_way - server.metrics.blocked_clients
            if at_rest > 0 and self._delay.should_wait(len(self._queue)):
                self._scheduled = True
                self._loop.call_soon(self._dispatch)
            else:
                self._start_group()
        elif self.wants_idle:
            self._publisher.writer_idle()

    def _start_group(self) -> None:
        group, self._queue = self._queue, []
        if self._apart:
            group, self._queue = self._up_to_apart(group)
        clients = set()
        for batch in group:
            clients.add(batch.client.id)
            self._commands_since_step += len(batch.calls)
        self._delay.group_started(clients)
        is_brief = self._environment.fsync != ALWAYS
        self._start()
        committing = self._loop.run_on_writer(self._committer.commit_group, GroupReport(group), is_brief)
        committing.addCallbacks(self._group_done, self._failed)

    def _up_to_apart(self, queue: list[Batch]) -> tuple[list[Batch], list[Batch]]:
        """Those before the first that is to have a group of its own, or that one, and the rest."""
        first = next(index for index, batch in enumerate(queue) if batch.is_apart)
        if first == 0:
            self._apart -= 1
        count = first or 1
        return queue[:count], queue[count:]

    def _start(self) -> None:
        self._running = True
        if self._environment.write_back.transaction is not None:
            self._hides_present = True
            self._publisher.present_hidden()

    def _start_flush(self) -> None:
        self._start()
        self._loop.run_on_writer(self._committer.flush, FlushReport(), False).addCallbacks(self._flushed, self._failed)

    def _flushed(self, report: FlushReport) -> None:
        self._publish(self._flush_done, report)

    def _flush_done(self, report: FlushReport) -> None:
        waiting, self._when_flushed = self._when_flushed, []
        if report.failed:
            self._publisher.flush_failed()
        for function in waiting:
            function(not report.failed)

    def _flush_now(self) -> None:
        self._flush_timed = False
        self.when_flushed(_nothing)

    def _start_step(self) -> None:
        budget = max(SWEEP_BUDGET, SWEEP_FACTOR * self._commands_since_step)
        self._commands_since_step = 0
        self._resting = True
        self._start()
        sweeping = self._loop.run_on_writer(self._committer.sweep, SweepReport(budget), False)
        sweeping.addCallbacks(self._step_done, self._failed)

    def _group_done(self, report: GroupReport) -> None:
        self._delay.group_done(report.nanoseconds)
        for batch in report.put_off:
            self.add(batch)
        self._publish(self._publisher.group_committed, report)

    def _step_done(self, report: SweepReport) -> None:
        if report.failed or report.removed < report.budget:
            self._sweep_wanted = False
        self._loop.call_later(SWEEP_REST_S, self._rested)
        self._publish(self._publisher.swept, report)

    def _rested(self) -> None:
        self._resting = False
        if self._sweep_wanted:
            self._schedule()

    def _publish(self, publish: Callable[[Any], None], report: Any) -> None:
        """Lets the next group start with what has come meanwhile, then publishes this one."""
        self._running = False
        is_open = self._environment.write_back.transaction is not None
        if is_open or self._hides_present:
            self._hides_present = False
            self._publisher.present_shown()
        if is_open and not self._flush_timed and not self._server.write_refusal:
            self._flush_timed = True
            self._loop.call_later(SHOWN_S, self._flush_now)
        if self._queue or self._when_flushed or (self._sweep_wanted and not self._resting):
            self._schedule()
        try:
            publish(report)
        except Exception:
            log.failure("a commit could not be published as a whole")
        if self._between:
            between, self._between = self._between, []
            for function, blocked, reply in between:
                function(blocked, reply)
        if self.wants_idle and not self._scheduled and not self._queue:
            self._publisher.writer_idle()

    def _failed(self, failure: Failure) -> None:
        """`Committer` raises nothing; should it, the next group is not to wait for ever."""
        self._publish(_tell_defect, failure)


def _tell_defect(failure: Failure) -> None:
    log.failure("the writer met a defect", failure)


def _nothing(is_shown: bool) -> None:
    """Nobody waits for it."""
