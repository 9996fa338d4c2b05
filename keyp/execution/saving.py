"""SAVE and BGSAVE: a copy of all data beside the store, made on a reader's thread while everything goes on.

One copy at a time, in the order in which they were asked for. The copy is a data directory of its own, inside that of
the server; it never shows a half of anything (see `hot_copy.py`). All but the writing happens on the reactor's thread.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from keyp.command.server_state import ServerState
from keyp.errors import CommandError
from keyp.execution.dispatcher import Dispatcher
from keyp.execution.loop import Loop
from keyp.server.config import SAVED_FILE
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.hot_copy import CopyFailed, HotCopy
from keyp.storage.lmdb.locks import make_directory
from keyp.storage.lmdb.reader import StoreReader

log = Logger(__name__)


class Saver:
    """Makes copies of the server's store and keeps the facts about them in `state`."""

    def __init__(self, state: ServerState, dispatcher: Dispatcher, loop: Loop) -> None:
        self._state = state
        self._dispatcher = dispatcher
        self._loop = loop
        self._line = DeferredLock()
        self._copy: HotCopy | None = None
        self._stopped = False

    def save(self) -> Deferred[Any]:
        """Makes a copy that shows every commit so far. Fires when it is on the disk; fails with `CommandError`."""
        return self._line.run(self._save)

    def interrupt(self) -> None:
        """Makes the copy under way fail soon, if there is one."""
        if self._copy is not None:
            self._copy.cancel()

    def stop(self) -> Deferred[Any]:
        """Makes the copy under way fail, and all that are still to come. Fires when none is under way."""
        self._stopped = True
        self.interrupt()
        return self._line.run(lambda: None)

    def _save(self) -> Deferred[Any]:
        state = self._state
        state.save_running = True
        state.save_started_ns = self._loop.nanoseconds()
        return maybeDeferred(self._begin).addBoth(self._done)

    def _begin(self) -> Deferred[int]:
        if self._stopped:
            raise CopyFailed("the server stops")
        environment = self._state.environment
        target = os.path.join(environment.path, SAVED_FILE)
        make_directory(os.path.dirname(target))
        copy = self._copy = HotCopy(target)
        return self._dispatcher.on_snapshots(lambda: _write(copy, environment))

    def _done(self, result: int | Failure) -> None:
        if self._copy is not None:
            self._copy.close()
            self._copy = None
        state = self._state
        state.save_running = False
        state.last_save_seconds = (self._loop.nanoseconds() - state.save_started_ns) // 1_000_000_000
        state.last_save_ok = not isinstance(result, Failure)
        if isinstance(result, Failure):
            reason = getattr(result.value, "strerror", None) or result.getErrorMessage()
            log.error("the store could not be saved: {reason}", reason=reason)
            raise CommandError(f"ERR Background save failed: {reason}")
        state.last_save_at = self._loop.time_ns() / 1e9
        state.saved_changes = result
        state.metrics.saves += 1
        log.info("the store was saved to {path}", path=os.path.join(state.environment.path, SAVED_FILE))


def _write(copy: HotCopy, environment: Environment) -> int:
    """Writes the copy; the number of the environment's changes that it is known to show."""
    changes = environment.shown_changes
    copy.write(environment.lmdb, environment.live_bytes())
    with StoreReader(copy.partial, is_fresh=True):  # what cannot be read gets no name
        pass
    copy.publish()
    return changes
