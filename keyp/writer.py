"""Group commit: the one place where anything is written.

Batches that write wait in a line. While one group commits, the batches of all connections pile up; the next group
takes them all: one transaction, one sync, many replies. The group runs on the writer's thread, one thread for ever,
because LMDB has one writer.

If anything but a `CommandError` leaves a command, or the commit fails, the group is undone and its batches are run
again one by one, each in a transaction of its own, so that only the guilty one is refused.

The sweeper's steps take turns with the groups: never two steps in a row while batches wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import lmdb
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from keyp import errors
from keyp.commands.context import Surroundings, WriteContext
from keyp.session import Batch
from keyp.storage.environment import Environment
from keyp.storage.keyspace import WritableKeyspace
from keyp.storage.sweep import sweep
from keyp.storage.transaction import WriteTransaction

log = Logger()
T = TypeVar("T")

# Keys and elements removed in one step: about as much work as a middling group of writes.
SWEEP_BUDGET: Final = 500


class Defer(Protocol):
    """Runs a function on a thread of its own kind; the Deferred fires on the reactor's thread."""

    def __call__(self, function: Callable[[], T], /) -> Deferred[T]:
        """Raises nothing; what the function raises comes as the Deferred's failure."""


class Clock(Protocol):
    """Where time comes from."""

    def now_us(self) -> int:
        """Microseconds since 1970."""

    def nanoseconds(self) -> int:
        """Nanoseconds of a counter that never goes back, to measure with."""


class SweepReport:
    """What one step of the sweeper did: `removed` keys and elements, of which `expired` keys past their deadline."""

    def __init__(self, removed: int, expired: int, nanoseconds: int) -> None:
        self.removed = removed
        self.expired = expired
        self.nanoseconds = nanoseconds


class Writer:
    """The line of batches and the thread that commits them.

    `committed` is called on the reactor's thread with each group, after it is as durable as the environment's mode
    promises, with the keys found expired in it and the nanoseconds it took. `swept` is called with the report of each
    of the sweeper's steps, None for one that failed. `call_soon` runs a function in the reactor's next iteration.
    """

    def __init__(
        self,
        environment: Environment,
        around: Surroundings,
        clock: Clock,
        defer: Defer,
        call_soon: Callable[[Callable[[], None]], Any],
        committed: Callable[[list[Batch], int, int], None],
        swept: Callable[[SweepReport | None], None],
    ) -> None:
        self._environment = environment
        self._around = around
        self._clock = clock
        self._defer = defer
        self._call_soon = call_soon
        self._committed = committed
        self._swept = swept
        self._waiting: list[Batch] = []
        self._sweep_wanted = False
        self._busy = False
        self._scheduled = False
        self._idle_waiters: list[Deferred[None]] = []

    def add(self, batch: Batch) -> None:
        """Puts a batch in line. The group leaves in the next iteration, so that this one's other batches join it."""
        self._waiting.append(batch)
        self._schedule()

    def want_sweep(self) -> None:
        """Asks for steps of the sweeper until nothing is left to remove."""
        self._sweep_wanted = True
        self._schedule()

    def when_idle(self) -> Deferred[None]:
        """Fires when nothing waits or runs; the sweeper's remaining work is not waited for."""
        self._sweep_wanted = False
        waiter: Deferred[None] = Deferred()
        self._idle_waiters.append(waiter)
        self._tell_idle()
        return waiter

    def _tell_idle(self) -> None:
        if not self._busy and not self._waiting:
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
        if self._waiting:
            group, self._waiting = self._waiting, []
            self._start(self._commit_group, group, self._group_done)
        elif self._sweep_wanted:
            self._start(self._sweep_step, None, self._sweep_done)
        else:
            self._tell_idle()

    def _start(self, work: Callable[[Any], T], subject: Any, done: Callable[[T], None]) -> None:
        self._busy = True
        running = self._defer(lambda: work(subject))
        running.addCallback(self._finish, done)
        running.addErrback(self._report)

    def _finish(self, result: T, done: Callable[[T], None]) -> None:
        """Goes on at once with what has come meanwhile, then tells of what is done."""
        self._busy = False
        if self._sweep_wanted or self._waiting:
            self._schedule()
        try:
            done(result)
        finally:
            if not self._scheduled:
                self._tell_idle()

    def _report(self, failure: Failure) -> None:
        self._busy = False
        log.failure("the writer met a defect", failure)
        self._schedule()

    def _group_done(self, result: tuple[list[Batch], int, int]) -> None:
        self._committed(*result)

    def _sweep_done(self, report: SweepReport | None) -> None:
        if report is None or report.removed < SWEEP_BUDGET:
            self._sweep_wanted = False
        self._swept(report)

    # On the writer's thread.

    def _commit_group(self, group: list[Batch]) -> tuple[list[Batch], int, int]:
        """Runs and commits a group; returns it with the keys found expired and the nanoseconds it took."""
        started = self._clock.nanoseconds()
        try:
            expired = self._commit(group)
        except Exception:
            if len(group) == 1:
                log.failure("a batch was undone and refused")
            else:
                log.failure("a group of {count} batches was undone; they run again one by one", count=len(group))
            expired = sum([self._commit_alone(batch) for batch in group])
        return group, expired, self._clock.nanoseconds() - started

    def _commit_alone(self, batch: Batch) -> int:
        try:
            return self._commit([batch])
        except Exception as error:
            batch.refuse(_refusal(error))
            return 0

    def _commit(self, group: list[Batch]) -> int:
        now_us = self._clock.now_us()
        transaction = WriteTransaction(self._environment, now_us // 1000)
        try:
            context = WriteContext(transaction, self._around, now_us)
            for batch in group:
                batch.run(context, self._clock.nanoseconds)
            transaction.commit()
        except BaseException:
            transaction.abort()
            raise
        return transaction.expired

    def _sweep_step(self, _: None) -> SweepReport | None:
        """One bounded step in a transaction of its own. None where it failed; it will be asked for again."""
        started = self._clock.nanoseconds()
        transaction = WriteTransaction(self._environment, self._clock.now_us() // 1000)
        try:
            databases = [WritableKeyspace(transaction, index) for index in range(self._environment.databases)]
            removed = sweep(transaction, databases, SWEEP_BUDGET)
            transaction.commit()
        except Exception:
            transaction.abort()
            log.failure("a step of the sweeper was undone")
            return None
        return SweepReport(removed, transaction.expired, self._clock.nanoseconds() - started)


def _refusal(error: Exception) -> str:
    """The reply to a batch whose transaction failed with `error`."""
    if isinstance(error, lmdb.MapFullError):
        return errors.OUT_OF_SPACE
    if isinstance(error, lmdb.Error):
        return f"MISCONF Errors writing to the store, nothing was applied: {errors.printable(str(error).encode())}"
    return errors.INTERNAL
