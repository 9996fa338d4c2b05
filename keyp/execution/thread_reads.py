"""Batches that only read and take long: on threads of their own, each on a snapshot of its own.

Walks (KEYS, LCS …) and long reads run on the readers' threads, beside checkpoints and copies. Scripts that only read
have threads for themselves, since one may run for ever: nobody else waits for them. Where each of these threads has a
script that is overdue, further ones are answered BUSY.

Everything but `_read` runs on the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from keyp.command.context import CommandEnvironment, ReadContext
from keyp.command.script_calls import busy_error
from keyp.command.server_state import ServerState
from keyp.execution.batch import Batch
from keyp.execution.executor import Executor
from keyp.execution.group_commit import GroupCommit
from keyp.execution.loop import Loop
from keyp.storage.lmdb.transaction import ReadTransaction

SCRIPT_THREADS: Final = 2


class Router(Protocol):
    """Who finds ways for batches."""

    def route(self, batch: Batch) -> None:
        """Finds a way for a batch that needs no thread any more."""

    def settle(self, batch: Batch) -> None:
        """A batch has run: its results are to be made real."""

    def other_way(self, batch: Batch, error: Exception) -> Callable[[Batch], None]:
        """What is to be done with a batch that could not be run as a read. Called while `error` is handled."""

    def wait_for_reopening(self, batch: Batch) -> None:
        """No snapshot shows what has been published."""


class ThreadReads:
    """The batches that wait for a thread, and those that have one."""

    def __init__(
        self,
        server: ServerState,
        shared: CommandEnvironment,
        loop: Loop,
        group_commit: GroupCommit,
        router: Router,
    ) -> None:
        self._server = server
        self._shared = shared
        self._loop = loop
        self._group_commit = group_commit
        self._router = router
        self._unshown: list[Batch] = []  # until snapshots show all that has been published
        self._scripts: list[Batch] = []  # until there is a thread for them
        self._running_scripts = 0

    def add(self, batch: Batch) -> None:
        """Runs a batch on a thread, as soon as snapshots show all that has been published by now."""
        self._unshown.append(batch)
        if len(self._unshown) == 1:
            self._group_commit.when_flushed(self._shown)

    def take_waiting(self) -> list[Batch]:
        """Takes all batches that have no thread yet."""
        waiting = self._unshown + self._scripts
        self._unshown, self._scripts = [], []
        return waiting

    def refuse_scripts(self) -> None:
        """A script is overdue: if none of the threads is left, those that wait for one are answered BUSY."""
        if self._are_all_overdue():
            scripts, self._scripts = self._scripts, []
            for batch in scripts:
                self._start_script(batch)

    def _shown(self, is_shown: bool) -> None:
        batches, self._unshown = self._unshown, []
        for batch in batches:
            if not is_shown:
                self._router.wait_for_reopening(batch)
            elif batch.runs_scripts:
                self._start_script(batch)
            else:
                self._loop.run_on_reader(self._read, batch).addCallback(self._read_done, batch)

    def _start_script(self, batch: Batch) -> None:
        if self._running_scripts < SCRIPT_THREADS:
            self._running_scripts += 1
            self._loop.run_on_script_thread(self._read, batch).addCallback(self._script_done, batch)
        elif self._are_all_overdue():
            batch.refuse_while_busy(busy_error(self._server.scripts.overdue_reads()[0]))
            self._router.route(batch)
        else:
            self._scripts.append(batch)

    def _are_all_overdue(self) -> bool:
        return len(self._server.scripts.overdue_reads()) >= SCRIPT_THREADS

    def _script_done(self, what_now: Callable[[Batch], None], batch: Batch) -> None:
        self._running_scripts -= 1
        if self._scripts:
            self._start_script(self._scripts.pop(0))
        what_now(batch)

    def _read_done(self, what_now: Callable[[Batch], None], batch: Batch) -> None:
        what_now(batch)

    def _read(self, batch: Batch) -> Callable[[Batch], None]:
        """Runs a batch on a snapshot of its own; what is to be done with it then, on the reactor's thread."""
        now_us = self._loop.time_ns() // 1000
        try:
            with ReadTransaction(self._server.environment, now_us // 1000) as transaction:
                context = ReadContext(transaction, self._shared, now_us)
                Executor(context, self._loop.nanoseconds, self._loop.breathe).run(batch)
        except Exception as error:
            return self._router.other_way(batch, error)
        return self._router.settle
