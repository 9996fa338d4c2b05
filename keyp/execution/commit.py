"""A commit in three stages: run, make durable, publish. The first two are here, on the writer's thread.

    run           the batches of a group, or a step of the sweeper, in one transaction
    make durable  the transaction is committed and, as the mode of syncing says, on the disk
    publish       on the reactor's thread: replies, effects, served clients, statistics (`dispatcher.py`)

Nothing is published that is not durable. If anything but a `CommandError` leaves a command, or the commit fails, the
group is undone and its batches run again one by one, each in a transaction of its own, so that only the guilty one is
refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lmdb
from twisted.logger import Logger

from keyp import errors
from keyp.command.blocked_clients import BlockedClient, BlockedClients
from keyp.command.context import CommandEnvironment, WriteContext
from keyp.events import Event
from keyp.execution.batch import Batch
from keyp.execution.executor import Executor
from keyp.execution.limited_log import LimitedLog
from keyp.execution.loop import Loop
from keyp.execution.serve_blocked import serve_blocked
from keyp.scripting.errors import Killed, Overstays
from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.keys.staging import LargeWrite, StagedString
from keyp.storage.keys.sweep import sweep
from keyp.storage.lmdb.environment import ALWAYS, Environment
from keyp.storage.lmdb.errors import CommitFailed, is_from_system, is_out_of_room, refusal
from keyp.storage.lmdb.transaction import Staged, WriteTransaction

log = Logger(__name__)


class GroupReport:
    """What became of a group: its batches know their own results; `expired` keys were found past their deadline.

    Those in `put_off` have not run: each is to have a group of its own.
    """

    def __init__(self, group: list[Batch]) -> None:
        self.group = group
        self.put_off: list[Batch] = []
        self.expired = 0
        self.nanoseconds = 0
        self.disk_failed = False
        self.served: list[BlockedClient] = []


class SweepReport:
    """What one step of the sweeper did: `removed` keys and elements, of which `expired` keys past their deadline.

    Fewer than `budget` means that nothing is left. `events` are the keys' events, of the classes that are wanted.
    `served` are the clients that waited for a key which has expired, where `serves` is set.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.removed = 0
        self.expired = 0
        self.events: list[Event] = []
        self.serves = True
        self.served: list[BlockedClient] = []
        self.nanoseconds = 0
        self.failed = False
        self.disk_failed = False


class FlushReport:
    """Whether LMDB's commit has failed; then snapshots do not show all."""

    def __init__(self) -> None:
        self.failed = False


class Committer:
    """Runs work in write transactions and makes it durable."""

    def __init__(
        self,
        environment: Environment,
        shared: CommandEnvironment,
        loop: Loop,
        blocked_clients: BlockedClients,
        limited_log: LimitedLog,
    ) -> None:
        self._environment = environment
        self._shared = shared
        self._loop = loop
        self._blocked_clients = blocked_clients
        self._log = limited_log
        self._nanoseconds = loop.nanoseconds

    def commit_group(self, report: GroupReport) -> GroupReport:
        """Runs and commits a group; what cannot be applied is refused, and nothing of it is."""
        started = self._loop.nanoseconds()
        while report.group:
            try:
                self._commit_batches(report.group, report, [])
            except Overstays:
                self._put_off(report)
                continue
            except CommitFailed as failure:
                self._commit_failed(failure, report)
            except (LargeWrite, Killed):
                self._commit_one_by_one(report)
            except Exception as error:
                self._log.failure("a group of batches was undone; they run again one by one", error)
                self._commit_one_by_one(report)
            break
        report.nanoseconds = self._loop.nanoseconds() - started
        return report

    def _put_off(self, report: GroupReport) -> None:
        """The scripts of a group that are slow are not to run in it; the others are to run again."""
        for batch in report.group:
            batch.is_apart = batch.is_apart or batch.runs_slow_scripts()
        report.put_off += [batch for batch in report.group if batch.is_apart]
        report.group = [batch for batch in report.group if not batch.is_apart]

    def _commit_failed(self, failure: CommitFailed, report: GroupReport) -> None:
        """A full disk may still take some of the group; a disk that failed is not asked again."""
        if self._is_out_of_room(failure):
            self._out_of_room(failure)
            self._commit_one_by_one(report)
        else:
            log.error("a commit failed, no more writes are accepted for now: {reason}", reason=str(failure))
            report.disk_failed = True
            for batch in report.group:
                batch.refuse(errors.DISK_FAILED)

    def _is_out_of_room(self, failure: CommitFailed) -> bool:
        """Whether there was no room, and nothing is the matter but that."""
        if self._environment.journal.has_failed:
            return False
        return is_out_of_room(failure.error, self._environment.reserve)

    def _out_of_room(self, failure: CommitFailed) -> None:
        if self._environment.reserve.release():
            self._log.error("the disk is full, writes that add data are refused", str(failure))
        else:
            self._log.error("the disk is full, not even the reserve helps", str(failure))

    def _commit_one_by_one(self, report: GroupReport) -> None:
        for batch in report.group:
            if report.disk_failed:
                batch.refuse(errors.DISK_FAILED)
                continue
            try:
                self._commit_alone(batch, report)
            except CommitFailed as failure:
                report.disk_failed = not self._is_out_of_room(failure)
                batch.refuse(errors.DISK_FAILED if report.disk_failed else errors.DISK_FULL)
            except Exception as error:
                self._log.failure("a batch was undone and refused", error)
                batch.refuse(refusal(error))

    def _commit_alone(self, batch: Batch, report: GroupReport) -> None:
        """Commits a group of one batch; the long strings that it asks for are written before. Raises as the group."""
        staged: list[Staged] = []
        while True:
            try:
                self._commit_batches([batch], report, staged)
                return
            except LargeWrite as large:
                string = StagedString(large, is_first=not staged)
            while not string.is_whole:
                self._commit(self._stage, string, None)
            staged.append(string)

    def _stage(self, transaction: WriteTransaction, now_us: int, string: StagedString) -> bool:
        string.go_on(transaction)
        return True

    def _commit_batches(self, group: list[Batch], report: GroupReport, staged: list[Staged]) -> None:
        """Runs batches and makes them durable. Raises `CommitFailed`, `LargeWrite`, or what a defective command raises.

        `staged` are the long strings that have been written for them.
        """
        try:
            transaction = self._commit(self._run_batches, group, staged)
        except BaseException:
            self._blocked_clients.group_undone()
            raise
        report.expired += transaction.expired
        if self._blocked_clients.steps:
            report.served += self._blocked_clients.group_committed()

    def _run_batches(self, transaction: WriteTransaction, now_us: int, group: list[Batch]) -> bool:
        context = WriteContext(transaction, self._shared, now_us)
        context.has_company = len(group) > 1
        executor = Executor(context, self._nanoseconds, complain=self._complain)
        try:
            for batch in group:
                executor.run(batch)
        except Overstays:
            batch.is_apart = True
            raise
        return self._environment.fsync != ALWAYS or transaction.has_changes

    def _complain(self, defect: Exception) -> None:
        self._log.failure("a call beside writes failed", defect)

    def _commit(
        self, run: Callable[[WriteTransaction, int, Any], bool], work: Any, staged: list[Staged] | None
    ) -> WriteTransaction:
        """The first two stages: `run(transaction, now_us, work)`, then make it durable.

        `run` returns whether there is anything to make durable. Raises `CommitFailed`, or what `run` raises; nothing is
        applied then.
        """
        now_us = self._loop.time_ns() // 1000
        transaction = WriteTransaction(self._environment, now_us // 1000)
        transaction.staged = staged
        try:
            if run(transaction, now_us, work) and self._environment.fsync == ALWAYS:
                self._loop.release_reactor()
            transaction.commit()
        except lmdb.Error as error:
            transaction.abort()
            if is_from_system(error):
                raise CommitFailed(error) from error
            raise
        except BaseException:
            transaction.abort()
            raise
        return transaction

    def flush(self, report: FlushReport) -> FlushReport:
        """Has LMDB commit what is in its open transaction; where there is no room, with the help of the reserve."""
        environment = self._environment
        try:
            try:
                environment.flush()
            except (lmdb.Error, OSError) as error:
                failure = CommitFailed(error)
                if not self._is_out_of_room(failure):
                    raise
                self._out_of_room(failure)
                environment.flush()
        except (lmdb.Error, OSError) as error:
            self._log.error("LMDB could not commit, no more writes are accepted for now", str(error))
            report.failed = True
        return report

    def sweep(self, report: SweepReport) -> SweepReport:
        """One bounded step in a transaction of its own; where it fails nothing is removed."""
        started = self._loop.nanoseconds()
        try:
            transaction = self._commit(self._run_sweep, report, None)
            report.expired, report.events = transaction.expired, transaction.events
        except CommitFailed as failure:
            report.failed = True
            report.disk_failed = not self._is_out_of_room(failure)
            if report.disk_failed:
                log.error("a step of the sweeper was undone: {reason}", reason=str(failure))
            else:
                self._out_of_room(failure)
        except Exception as error:
            self._log.failure("a step of the sweeper was undone", error)
            self._blocked_clients.group_undone()
            if report.serves and self._blocked_clients.count:  # a waiting client's command may be what failed
                again = SweepReport(report.budget)
                again.serves = False
                return self.sweep(again)
            report.failed = True
        if report.failed:
            report.removed = 0
            self._blocked_clients.group_undone()
        report.served = self._blocked_clients.group_committed()
        report.nanoseconds = self._loop.nanoseconds() - started
        return report

    def _run_sweep(self, transaction: WriteTransaction, now_us: int, report: SweepReport) -> bool:
        transaction.wanted_events = self._shared.wanted_events
        transaction.is_awaited = False  # if it is lost, its keys are past their deadline again
        databases = [WritableKeyspace(transaction, index) for index in range(self._environment.databases)]
        report.removed = sweep(transaction, databases, report.budget)
        table = self._blocked_clients
        if transaction.ready and table.count and report.serves:
            serve_blocked(WriteContext(transaction, self._shared, now_us), table, None, self._nanoseconds())
            transaction.is_awaited = bool(table.steps)  # their replies are a promise
        return report.removed > 0
