"""Twisted's epoll reactor with a shorter way from a readable socket to its transport.

The stock reactor wraps every event in a logging context and asks a descriptor twice whether it still exists. Nearly
all events of a server are plain `EPOLLIN`; for those this reactor calls `doRead` and nothing else. Everything else,
and everything that fails, goes the stock way. `keyp` and `twistd keyp` choose it where epoll is and no other was named.

It offers one thing more, `callAfterEvents`: what `callLater(0, …)` does, without a timed call for each commit group.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from select import EPOLLIN
from typing import Any

from twisted.internet import epollreactor
from twisted.python import log


class KeypEPollReactor(epollreactor.EPollReactor):
    """An `EPollReactor` in all but the way of plain readable events."""

    # The stock reactor's own, without public names or without annotations.
    _selectables: dict[int, Any]
    _disconnectSelectable: Callable[..., Any]
    _newTimedCalls: list[Any]
    _pendingTimedCalls: list[Any]
    _justStopped: bool

    def __init__(self) -> None:
        self._after_events: list[Callable[[], object]] = []
        epollreactor.EPollReactor.__init__(self)

    def callAfterEvents(self, function: Callable[[], object]) -> None:  # named like its kin in Twisted
        """Calls `function` when the events of this iteration, and what they have made ready by then, are done with."""
        self._after_events.append(function)

    def doIteration(self, timeout: float | None) -> None:  # the name is Twisted's
        """Waits up to `timeout` seconds, None for ever, and lets every descriptor that is ready do its work.

        Does so again as long as the stock reactor would have nothing else to do between two iterations: no call from
        another thread, no timed call that is new or due, no end.
        """
        while True:
            self._serve_once(timeout)
            if self.threadCallQueue or self._newTimedCalls or self._justStopped or not self.running:
                return
            timed = self._pendingTimedCalls
            timeout = timed[0].time - self.seconds() if timed else None
            if timeout is not None and timeout <= 0:
                return

    def _serve_once(self, timeout: float | None) -> None:
        if self._after_events:
            timeout = 0
        try:
            events = self._poller.poll(-1 if timeout is None else timeout, len(self._selectables))
        except OSError as error:
            if error.errno == errno.EINTR:
                return
            raise
        selectables = self._selectables
        for fd, event in events:
            selectable = selectables.get(fd)
            if selectable is None:
                continue
            if event != EPOLLIN:
                log.callWithLogger(selectable, self._doReadOrWrite, selectable, fd, event)
                continue
            try:
                why = selectable.doRead()
            except BaseException:
                why = sys.exc_info()[1]
                log.err()
            if why:
                self._disconnectSelectable(selectable, why, True)
        if self._after_events:
            self._call_after_events()

    def _call_after_events(self) -> None:
        functions, self._after_events = self._after_events, []
        for function in functions:
            try:
                function()
            except BaseException:
                log.err()


def install() -> None:
    """Makes it the process's reactor. Raises what Twisted raises where there is one already."""
    from twisted.internet.main import installReactor

    reactor: Any = KeypEPollReactor
    installReactor(reactor())
