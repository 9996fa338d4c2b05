"""After the disk has failed: reads go on, and writes when the store has been opened anew, tried and checked.

- Each second: where the data file is not to be found under its name, writes are refused until it is back there; where
  the journal is not, until there is a new one.
- At once: where LMDB takes no more transactions, not even to read, or shows what was refused, the store is opened anew.
- Every second, then less and less often: the store is opened anew, a small commit is made and a checkpoint taken, and
  everything is checked. Where a sync of the data file failed, that begins at the checkpoint before, for what the kernel
  has dropped no later sync brings back; where one of the journal failed, with a new journal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from keyp.command.server_state import ServerState
from keyp.execution.dispatcher import Dispatcher
from keyp.execution.loop import Loop
from keyp.storage.check import check
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.transaction import ReadTransaction

log = Logger(__name__)

WAIT_MAX_S: Final = 60.0
WORK_SHARE: Final = 10  # of ten seconds, one may go into trying


class Recovery:
    """Brings a server's store back. `interrupt` ends the work that keeps the store from being opened anew."""

    def __init__(self, dispatcher: Dispatcher, state: ServerState, loop: Loop, interrupt: Callable[[], None]) -> None:
        self._dispatcher = dispatcher
        self._state = state
        self._loop = loop
        self._interrupt = interrupt
        self._reopening = False
        self._busy = False
        self._stopped = False
        self._wait_s = 0.0
        self._started_at = 0.0
        self._retry_at = 0.0
        self._gone = ""  # why the data file is gone, as it was logged

    def _now(self) -> float:
        """Seconds of the clock that is never set."""
        return self._loop.nanoseconds() / 1e9

    def sync_failed(self) -> None:
        """A sync has failed: what was committed since the last one is not to be trusted to be on the disk."""
        self._state.last_sync_ok = False
        self._dispatcher.disk_failed()

    def disk_failed(self) -> None:
        """Called by the dispatcher when something on the disk has failed: makes sure that the store can be read."""
        environment = self._state.environment
        if self._reopening or environment.is_readable():
            return
        self._reopening = True
        self._interrupt()
        self._dispatcher.exclusively(self._reopen).addBoth(self._reopened)

    def _reopen(self) -> None:
        self._state.environment.reopen()

    def _reopened(self, result: Failure | None) -> None:
        self._reopening = False
        if result is not None:
            self._dispatcher.limited_log.error("the store could not be opened anew", result.getErrorMessage())

    def file_is_gone(self) -> bool:
        """Whether the data file is another one than that which is open, or none; called each second.

        What is written to a file without a name is lost with the process, so writes are refused from then on. The same
        goes for the journal, of which a new one can be made.
        """
        if self._busy:  # which may be exchanging it
            return False
        environment = self._state.environment
        data_file_gone = environment.displaced()
        gone = data_file_gone or environment.journal.displaced()
        if gone and gone != self._gone:
            log.error("no more writes are accepted for now: {reason}", reason=gone)
        self._gone = gone
        if gone and not self._state.write_refusal:
            self._dispatcher.disk_failed()
        return bool(data_file_gone)

    def try_again(self) -> None:
        """Looks after a store that takes no writes; called each second."""
        if self._busy or self._now() < self._retry_at:
            return
        self._busy = True
        self._started_at = self._now()
        dispatcher = self._dispatcher
        steps: Deferred[Any] = dispatcher.exclusively(self._reopen_to_try)
        steps.addCallback(lambda _: dispatcher.in_background(self._try_and_check))
        steps.addCallbacks(self._recovered, self._not_recovered)

    def _reopen_to_try(self) -> None:
        if self._stopped:
            raise StoreError("the server stops")
        self._reopen()

    def _try_and_check(self) -> None:
        self._state.environment.try_to_write()
        with ReadTransaction(self._state.environment, self._loop.time_ns() // 1_000_000) as transaction:
            problems = check(transaction)
        if problems:
            raise StoreError(f"the store is damaged: {problems[0]} ({len(problems)} problems)")

    def _recovered(self, _: None) -> None:
        log.info("the store has been opened anew and checked: writes are accepted again")
        self._busy = False
        self._wait_s = 0.0
        self._state.last_sync_ok = True
        self._dispatcher.trust_disk()

    def _not_recovered(self, failure: Failure) -> None:
        if self._stopped:
            return
        log.error("the store is still not to be trusted: {reason}", reason=failure.getErrorMessage())
        self._busy = False
        self._wait_s = min(2 * self._wait_s + 1, WAIT_MAX_S)
        self._retry_at = self._now() + max(self._wait_s, WORK_SHARE * (self._now() - self._started_at))
        self.disk_failed()

    def stop(self) -> None:
        """Tries no more: `last_try` is still to come."""
        self._stopped = True

    def last_try(self) -> None:
        """The server stops: what a failure has left uncertain is put right once more. Raises where that fails."""
        if self._state.write_refusal:
            self._reopen()
