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
from keyp.storage.lmdb.errors import MustReopen
from keyp.storage.lmdb.store import Transaction
from keyp.storage.lmdb.transaction import PresentTransaction, ReadTransaction


class SharedSnapshot:
    """The snapshot of this iteration, opened for the first read: `transaction` is None before.

    `present` is LMDB's open write transaction, where it shows more than a snapshot and no thread uses it.
    """

    def __init__(self, environment: Environment, shared: CommandEnvironment, loop: Loop) -> None:
        self._environment = environment
        self._shared = shared
        self._loop = loop
        self.present: Transaction | None = None
        self.transaction: ReadTransaction | PresentTransaction | None = None
        self._executor: Executor | None = None

    def executor(self) -> Executor:
        """What runs the iteration's reads, which must be short. Raises `MustReopen`.

        The caller calls `close` after a run that raises.
        """
        executor = self._executor
        if executor is None:
            self._loop.call_soon(self.close)
            now_us = self._loop.time_ns() // 1000
            transaction: ReadTransaction | PresentTransaction
            if self.present is not None:
                transaction = PresentTransaction(self._environment, self.present, now_us // 1000)
            elif self._environment.write_back.is_lost or self._environment.journal.shows_refused:
                raise MustReopen("not what was answered is shown")
            else:
                transaction = ReadTransaction(self._environment, now_us // 1000)
            self.transaction = transaction
            context = ReadContext(transaction, self._shared, now_us, hurried=True)
            executor = self._executor = Executor(context, self._loop.nanoseconds)
        else:
            executor.data.follow_settings()  # which a batch may have changed
        return executor

    def close(self) -> None:
        """Lets go of the snapshot: what comes next sees what is committed by then."""
        transaction = self.transaction
        if transaction is not None:
            self._executor = self.transaction = None
            transaction.close()
