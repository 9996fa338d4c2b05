"""The snapshot that the reads of one iteration of the event loop share, and the moment they share.

Reads that come together see the same data at the same time, and opening a snapshot for each would cost as much as a
small read itself. The snapshot is let go when the loop has handled what was ready, and before that wherever something
is about to be published that a newer snapshot would show: a client that has the reply to its write, and asks, must find
what it wrote.
"""

from __future__ import annotations

from keyp.command.context import CommandEnvironment, ReadContext
from keyp.execution.executor import Executor
from keyp.execution.loop import Loop
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.transaction import ReadTransaction


class SharedSnapshot:
    """The snapshot of this iteration, opened for the first read."""

    def __init__(self, environment: Environment, shared: CommandEnvironment, loop: Loop) -> None:
        self._environment = environment
        self._shared = shared
        self._loop = loop
        self._now_ns = 0  # 0 between two iterations
        self._close_is_scheduled = False
        self._transaction: ReadTransaction | None = None
        self._executor: Executor | None = None

    def now_ns(self) -> int:
        """The moment of this iteration, nanoseconds of the clock that is never set."""
        if not self._now_ns:
            self._now_ns = self._loop.nanoseconds()
            if not self._close_is_scheduled:
                self._close_is_scheduled = True
                self._loop.call_soon(self._iteration_over)
        return self._now_ns

    def executor(self) -> Executor:
        """What runs the iteration's reads, which must be short. Raises `MustReopen`.

        After a run that raises, whoever catches the exception calls `close`.
        """
        executor = self._executor
        if executor is None:
            if not self._now_ns:
                self.now_ns()
            now_us = self._loop.now_us()
            transaction = self._transaction = ReadTransaction(self._environment, now_us // 1000)
            context = ReadContext(transaction, self._shared, now_us, hurried=True)
            executor = self._executor = Executor(context, self._loop.nanoseconds)
        else:
            executor.data.transaction.wanted_events = self._shared.wanted_events  # which a batch may have changed
        return executor

    def close(self) -> None:
        """Lets go of the snapshot: what comes next sees what is committed by then."""
        self._now_ns = 0
        transaction = self._transaction
        if transaction is not None:
            self._executor = self._transaction = None
            transaction.close()

    def _iteration_over(self) -> None:
        self._close_is_scheduled = False
        self._now_us = 0
        if self._transaction is not None:
            self.close()
