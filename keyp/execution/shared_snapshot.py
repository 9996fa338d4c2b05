"""What the reads of one turn of the reactor share: the moment, and the snapshot of the data.

Reads that come together see the same data at the same time, and opening a snapshot for each would cost as much as a
small read itself. A turn ends when the reactor has done what was ready, and before that wherever something is about to
be told that a newer snapshot would show: a client that has its reply to a write, and asks, must find it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keyp.command.context import ReadContext, Surroundings
from keyp.execution.executor import Runner
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.transaction import ReadTransaction


class Turn:
    """The turn that is going on. `call_soon` runs a function when the reactor has done what is ready now."""

    def __init__(
        self,
        environment: Environment,
        around: Surroundings,
        now_us: Callable[[], int],
        nanoseconds: Callable[[], int],
        call_soon: Callable[[Callable[[], None]], Any],
    ) -> None:
        self._environment = environment
        self._around = around
        self._clock_us = now_us
        self._nanoseconds = nanoseconds
        self._call_soon = call_soon
        self._now_ns = 0  # between two turns
        self._end_is_called = False
        self._snapshot: ReadTransaction | None = None
        self._runner: Runner | None = None

    def now_ns(self) -> int:
        """The moment of the turn, nanoseconds of the clock that is never set."""
        if not self._now_ns:
            self._now_ns = self._nanoseconds()
            if not self._end_is_called:
                self._end_is_called = True
                self._call_soon(self._over)
        return self._now_ns

    def runner(self) -> Runner:
        """What runs the turn's reads, which must be short. Raises `MustReopen`.

        A run that raises ends the turn; who catches the exception calls `end`.
        """
        runner = self._runner
        if runner is None:
            self.now_ns()
            now_us = self._clock_us()
            self._snapshot = ReadTransaction(self._environment, now_us // 1000)
            context = ReadContext(self._snapshot, self._around, now_us, hurried=True)
            runner = self._runner = Runner(context, self._nanoseconds)
        elif self._snapshot is not None:
            self._snapshot.wanted_events = self._around.wanted_events  # a setting, which a batch may have changed
        return runner

    def end(self) -> None:
        """Lets go of the snapshot: what comes next is another turn."""
        self._now_ns = 0
        self._runner = None
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    def _over(self) -> None:
        self._end_is_called = False
        self.end()
