"""Group commit: the one place where anything is written.

Batches that write wait in a line. While one group commits, the batches of all connections pile up; the next group
takes them all: one transaction, one sync, many replies. The group runs on the writer's thread, one thread for ever,
because LMDB has one writer.

If anything but a `CommandError` leaves a command, or the commit fails, the group is undone and its batches are run
again one by one, each in a transaction of its own, so that only the guilty one is refused.

The sweeper's steps take turns with the groups. Between two steps there is a rest, in which groups leave as soon as
there are any; after it the next step is due, even where batches wait, so that no load keeps the sweeper from its work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import lmdb
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from keyp import errors
from keyp.command.blocked_clients import Waiter, WaitingTable
from keyp.command.context import Surroundings, WriteContext
from keyp.events import Event
from keyp.execution.batch import Batch
from keyp.execution.commit_delay import Gathering
from keyp.execution.executor import Runner
from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.keys.staging import LargeWrite, StagedString
from keyp.storage.keys.sweep import sweep
from keyp.storage.lmdb.environment import ALWAYS, Environment
from keyp.storage.lmdb.errors import CommitFailed, is_damage, is_from_system, is_out_of_room, refusal
from keyp.storage.lmdb.pieces import Staged
from keyp.storage.lmdb.transaction import WriteTransaction

log = Logger()
T = TypeVar("T")

# What a step of the sweeper removes, keys and elements. A step holds up the writers for as long as it takes, its sync
# included, and the reactor's thread while Python runs in it, some 3 us for each. So by itself it is no longer than a
# small group. Where the clients write more than that between two steps, a step removes some times what their groups
# ran in commands: removing is cheaper than writing, so it takes no longer than they did, and no load outruns it.
SWEEP_BUDGET: Final = 100
SWEEP_FACTOR: Final = 3

# The rest between two steps. A million keys that die together take 10,000 steps: half a minute, and some more on a disk
# that syncs slowly or beside writers whose groups take turns with the steps.
SWEEP_REST_S: Final = 0.002

COMPLAIN_EVERY_NS: Final = 60 * 1_000_000_000
COMPLAINTS_REMEMBERED: Final = 1000


class Defer(Protocol):
    """Runs a function on a thread of its own kind; the Deferred fires on the reactor's thread."""

    def __call__(self, function: Callable[[], T], /) -> Deferred[T]:
        """Raises nothing; what the function raises comes as the Deferred's failure."""


class DeferWrite(Protocol):
    """Runs a function on the writer's thread; the Deferred fires on the reactor's thread."""

    def __call__(self, function: Callable[[], T], is_brief: bool, /) -> Deferred[T]:
        """As `Defer`. What `is_brief` neither waits for the disk nor takes long, and comes often."""


class Clock(Protocol):
    """Where time comes from."""

    def now_us(self) -> int:
        """Microseconds since 1970."""

    def nanoseconds(self) -> int:
        """Nanoseconds of a counter that never goes back, to measure with."""

    def breathe(self) -> None:
        """Lets other threads run that wait for Python's lock."""

    def step_aside(self) -> None:
        """Lets other processes run that wait for this processor."""


class SweepReport:
    """What one step of the sweeper did: `removed` keys and elements, of which `expired` keys past their deadline.

    Fewer than `budget` means that nothing is left. `events` tell of the keys, if somebody may listen.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.removed = 0
        self.expired = 0
        self.events: list[Event] = []
        self.nanoseconds = 0
        self.failed = False
        self.disk_failed = False


class GroupReport:
    """What became of a group: its batches know their own results; `expired` keys were found past their deadline."""

    def __init__(self, group: list[Batch]) -> None:
        self.group = group
        self.expired = 0
        self.nanoseconds = 0
        self.disk_failed = False
        self.served: list[Waiter] = []  # who has got what it waited for


class Complaints:
    """Tells the log what goes wrong, the same thing once a minute: a full disk or a damaged key can go wrong often.

    With the next time it is told, how often it was not.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[str, tuple[int, int]] = {}  # when, and how often it has happened since

    def error(self, what: str, reason: str) -> None:
        """One line of log."""
        text = f"{what}: {reason}"
        untold = self._untold(text)
        if untold is not None:
            log.error("{text}{untold}", text=text, untold=untold)

    def warn(self, kind: str, text: str) -> None:
        """One line of log for all that are of one kind."""
        untold = self._untold(kind)
        if untold is not None:
            log.warn("{text}{untold}", text=text, untold=untold)

    def failure(self, what: str, error: Exception) -> None:
        """A line where the store is to blame, a traceback where it is a defect of ours."""
        if is_damage(error):
            self.error(what, str(error) or type(error).__name__)
            return
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        place = "" if at is None else f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}"
        untold = self._untold(f"{what}: {type(error).__name__} {place}")
        if untold is not None:
            log.failure("{what}{untold}", what=what, untold=untold)

    def _untold(self, text: str) -> str | None:
        """What to say of the times that were not told, None where this one is not told either."""
        now_ns = self._clock.nanoseconds()
        told_ns, untold = self._told.get(text, (now_ns - COMPLAIN_EVERY_NS, 0))
        if now_ns - told_ns < COMPLAIN_EVERY_NS:
            self._told[text] = (told_ns, untold + 1)
            return None
        if len(self._told) >= COMPLAINTS_REMEMBERED:
            self._told.clear()
        self._told[text] = (now_ns, 0)
        return f" ({untold} times more since it was last told)" if untold else ""


class Writer:
    """The line of batches and the thread that commits them.

    `committed` is called on the reactor's thread with each group, after it is as durable as the environment's mode
    promises, and `swept` with the report of each of the sweeper's steps. `call_soon` runs a function when the reactor
    has done what is ready now, `call_later` in so many seconds. `others` tells how many clients could still send
    something that joins a group; `waiting` are those who wait for keys.
    """

    def __init__(
        self,
        environment: Environment,
        around: Surroundings,
        clock: Clock,
        defer: DeferWrite,
        before_sync: Callable[[], None],
        call_soon: Callable[[Callable[[], None]], Any],
        call_later: Callable[[float, Callable[[], None]], Any],
        others: Callable[[], int],
        waiting: WaitingTable,
        committed: Callable[[GroupReport], None],
        swept: Callable[[SweepReport], None],
    ) -> None:
        self._environment = environment
        self._around = around
        self._clock = clock
        self._defer = defer
        self._before_sync = before_sync
        self._call_soon = call_soon
        self._call_later = call_later
        self._waiting_clients = waiting
        self._committed = committed
        self._swept = swept
        self.complaints = Complaints(clock)
        self._waiting: list[Batch] = []
        self._gathering = Gathering(clock.nanoseconds, others, clock.step_aside)
        self._sweep_wanted = False
        self._resting = False
        self._commands_since_step = 0
        self._busy = False
        self._scheduled = False
        self._idle_waiters: list[Deferred[None]] = []
        self._between: list[Callable[[], None]] = []

    def add(self, batch: Batch) -> None:
        """Puts a batch in line. Its group leaves when those that are on their way have joined it (`Gathering`)."""
        self._waiting.append(batch)
        self._schedule()

    def want_sweep(self) -> None:
        """Asks for steps of the sweeper until nothing is left to remove."""
        if not self._sweep_wanted:
            self._sweep_wanted = True
            self._commands_since_step = 0
        if not self._resting:
            self._schedule()

    def take_waiting(self) -> list[Batch]:
        """Takes everything out of the line: it will not be written."""
        waiting, self._waiting = self._waiting, []
        return waiting

    @property
    def idle(self) -> bool:
        """Whether no transaction is open and nobody waits for one."""
        return not self._busy and not self._waiting

    def between_groups(self, function: Callable[[], None]) -> None:
        """Calls a function when no group runs, before the next one: now, or when this one is done."""
        if self._busy:
            self._between.append(function)
        else:
            function()

    def when_idle(self) -> Deferred[None]:
        """Fires when nothing waits or runs; the sweeper's remaining work is not waited for."""
        self._sweep_wanted = False
        waiter: Deferred[None] = Deferred()
        self._idle_waiters.append(waiter)
        self._tell_idle()
        return waiter

    def _tell_idle(self) -> None:
        if self.idle:
            waiters, self._idle_waiters = self._idle_waiters, []
            for waiter in waiters:
                waiter.callback(None)

    def _schedule(self) -> None:
        if not self._busy and not self._scheduled:
            self._scheduled = True
            self._call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._scheduled = False
        if self._busy:
            return
        if self._sweep_wanted and not self._resting:
            budget = max(SWEEP_BUDGET, SWEEP_FACTOR * self._commands_since_step)
            self._commands_since_step = 0
            self._resting = True
            self._start(self._sweep_step, budget, self._step_done, False)
        elif self._waiting:
            if self._gathering.goes_on(len(self._waiting)):
                self._schedule()
                return
            group, self._waiting = self._waiting, []
            self._gathering.left({batch.client.id for batch in group})
            self._commands_since_step += sum([len(batch.calls) for batch in group])
            is_brief = len(group) > 1 and self._environment.fsync != ALWAYS
            self._start(self._commit_group, group, self._group_done, is_brief)
        else:
            self._tell_idle()

    def _start(self, work: Callable[[Any], T], subject: Any, done: Callable[[T], None], is_brief: bool) -> None:
        self._busy = True
        running = self._defer(lambda: work(subject), is_brief)
        running.addCallback(self._finish, done)
        running.addErrback(self._report)

    def _finish(self, result: T, done: Callable[[T], None]) -> None:
        """Goes on at once with what has come meanwhile, then tells of what is done."""
        self._busy = False
        if self._waiting or (self._sweep_wanted and not self._resting):
            self._schedule()
        try:
            done(result)
        finally:
            between, self._between = self._between, []
            for function in between:
                function()
            if not self._scheduled:
                self._tell_idle()

    def _report(self, failure: Failure) -> None:
        self._busy = False
        log.failure("the writer met a defect", failure)
        self._schedule()

    def _group_done(self, report: GroupReport) -> None:
        self._gathering.answered(report.nanoseconds)
        self._committed(report)

    def _step_done(self, report: SweepReport) -> None:
        if report.failed or report.removed < report.budget:
            self._sweep_wanted = False
        self._call_later(SWEEP_REST_S, self._rested)
        self._swept(report)

    def _rested(self) -> None:
        self._resting = False
        if self._sweep_wanted:
            self._schedule()

    # On the writer's thread.

    def _commit_group(self, group: list[Batch]) -> GroupReport:
        """Runs and commits a group; what cannot be applied is refused, and nothing of it is."""
        started = self._clock.nanoseconds()
        report = GroupReport(group)
        try:
            self._commit(group, report, [])
        except CommitFailed as failure:
            self._commit_failed(failure, report)
        except LargeWrite:
            self._commit_one_by_one(report)
        except Exception as error:
            self.complaints.failure("a group of batches was undone; they run again one by one", error)
            self._commit_one_by_one(report)
        report.nanoseconds = self._clock.nanoseconds() - started
        return report

    def _commit_failed(self, failure: CommitFailed, report: GroupReport) -> None:
        """A full disk may still take some of the group; a disk that failed is not asked again."""
        if is_out_of_room(failure.error, self._environment.reserve):
            self._out_of_room(failure)
            self._commit_one_by_one(report)
        else:
            log.error("a commit failed, no more writes are accepted for now: {reason}", reason=str(failure))
            report.disk_failed = True
            for batch in report.group:
                batch.refuse(errors.DISK_FAILED)

    def _out_of_room(self, failure: CommitFailed) -> None:
        if self._environment.reserve.release():
            self.complaints.error("the disk is full, writes that add data are refused", str(failure))
        else:
            self.complaints.error("the disk is full, not even the reserve helps", str(failure))

    def _commit_one_by_one(self, report: GroupReport) -> None:
        for batch in report.group:
            if report.disk_failed:
                batch.refuse(errors.DISK_FAILED)
                continue
            try:
                self._commit_alone(batch, report)
            except CommitFailed as failure:
                report.disk_failed = not is_out_of_room(failure.error, self._environment.reserve)
                batch.refuse(errors.DISK_FAILED if report.disk_failed else errors.DISK_FULL)
            except Exception as error:
                self.complaints.failure("a batch was undone and refused", error)
                batch.refuse(refusal(error))

    def _commit_alone(self, batch: Batch, report: GroupReport) -> None:
        """Runs and commits one batch; the long strings that it asks for are written before. Raises as `_commit`."""
        staged: list[Staged] = []
        while True:
            try:
                self._commit([batch], report, staged)
                return
            except LargeWrite as large:
                string = StagedString(large, is_first=not staged)
            while not string.is_whole:
                self._go_on(string)
            staged.append(string)

    def _go_on(self, string: StagedString) -> None:
        """Writes some more of a long string. Raises `CommitFailed`, `Damaged`."""
        transaction = WriteTransaction(self._environment, self._clock.now_us() // 1000)
        try:
            string.go_on(transaction)
            self._commit_transaction(transaction, has_changes=True)
        except BaseException as error:
            transaction.abort()
            if isinstance(error, lmdb.Error) and is_from_system(error):
                raise CommitFailed(error) from error
            raise

    def _commit(self, group: list[Batch], report: GroupReport, staged: list[Staged]) -> None:
        """Runs and commits. Raises `CommitFailed`, `LargeWrite`, or what a defective command raises."""
        self._waiting_clients.begin()
        now_us = self._clock.now_us()
        transaction = WriteTransaction(self._environment, now_us // 1000)
        transaction.staged = staged
        try:
            context = WriteContext(transaction, self._around, now_us)
            runner = Runner(context, self._clock.nanoseconds, complain=self._complain)
            for batch in group:
                runner.run(batch)
            self._commit_transaction(transaction, transaction.has_changes)
        except lmdb.Error as error:
            self._undo(transaction)
            if is_from_system(error):
                raise CommitFailed(error) from error
            raise
        except BaseException:
            self._undo(transaction)
            raise
        report.expired += transaction.expired
        report.served += self._waiting_clients.finish()

    def _complain(self, defect: Exception) -> None:
        self.complaints.failure("a call beside writes failed", defect)

    def _undo(self, transaction: WriteTransaction) -> None:
        transaction.abort()
        self._waiting_clients.undo()

    def _commit_transaction(self, transaction: WriteTransaction, has_changes: bool) -> None:
        if has_changes and self._environment.fsync == ALWAYS:
            self._before_sync()
        transaction.commit()

    def _sweep_step(self, budget: int) -> SweepReport:
        """One bounded step in a transaction of its own; where it fails nothing is removed."""
        started = self._clock.nanoseconds()
        report = SweepReport(budget)
        try:
            transaction = WriteTransaction(self._environment, self._clock.now_us() // 1000)
            transaction.wanted_events = self._around.wanted_events
            try:
                databases = [WritableKeyspace(transaction, index) for index in range(self._environment.databases)]
                report.removed = sweep(transaction, databases, budget)
                self._commit_transaction(transaction, has_changes=report.removed > 0)
                report.expired = transaction.expired
                report.events = transaction.events
            except BaseException:
                transaction.abort()
                raise
        except CommitFailed as failure:
            report.failed = True
            report.disk_failed = not is_out_of_room(failure.error, self._environment.reserve)
            if report.disk_failed:
                log.error("a step of the sweeper was undone: {reason}", reason=str(failure))
            else:
                self._out_of_room(failure)
        except Exception as error:
            self.complaints.failure("a step of the sweeper was undone", error)
            report.failed = True
        report.nanoseconds = self._clock.nanoseconds() - started
        return report
