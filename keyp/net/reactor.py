"""Twisted's epoll reactor with a shorter way from a readable socket to its transport.

The stock reactor wraps every event in a logging context and asks a descriptor twice whether it still exists. Nearly
all events of a server are plain `EPOLLIN`; for those this reactor calls `doRead` and nothing else. Everything else,
and everything that fails, goes the stock way. `keyp` and `twistd keyp` choose it where epoll is and no other was named.

It offers one thing more, `callAfterEvents`: what `callLater(0, …)` does, without a timed call for each commit group.

And it takes its time over those who leave. To tear a connection down costs as much as dozens of small requests; where
ten thousand clients vanish together, the others would wait until the last of them is buried. So a descriptor that has
ended is looked at no more, and waits for its end in a line of which every iteration takes a few.
"""

from __future__ import annotations

import errno
import sys
import time
from collections import deque
from collections.abc import Callable
from select import EPOLLIN
from typing import Any, Final

from twisted.internet import epollreactor
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python import log

# So many connections that their peers have closed are dropped in one iteration: some 2 ms.
CLOSED_AT_ONCE: Final = 32


class KeypEPollReactor(epollreactor.EPollReactor):
    """An `EPollReactor` in all but the way of plain readable events."""

    # The stock reactor's own, without public names or without annotations.
    _selectables: dict[int, Any]
    _newTimedCalls: list[Any]
    _pendingTimedCalls: list[Any]
    _justStopped: bool

    seconds = staticmethod(time.monotonic)  # timed calls take no notice of a machine's time that is set

    def __init__(self) -> None:
        self._after_events: list[Callable[[], object]] = []
        self._closed: deque[tuple[Any, Any, bool]] = deque()
        # Calls a function when the events of this iteration, and what they have made ready by then, are done with.
        self.callAfterEvents: Callable[[Callable[[], object]], None] = self._after_events.append  # as Twisted names
        epollreactor.EPollReactor.__init__(self)

    def doIteration(self, timeout: float | None) -> None:  # the name is Twisted's
        """Waits up to `timeout` seconds, None for ever, and lets every descriptor that is ready do its work.

        Does so again as long as the stock reactor would have nothing else to do between two iterations: no call from
        another thread, no timed call that is new or due, no end.
        """
        while True:
            if self._after_events or self._closed:
                timeout = 0
            try:
                events = self._poller.poll(-1 if timeout is None else timeout, len(self._selectables))
            except OSError as error:
                if error.errno != errno.EINTR:
                    raise
                events = []
            if events:
                self._serve(events)
            if self._after_events:
                functions = self._after_events.copy()
                self._after_events.clear()
                for function in functions:
                    try:
                        function()
                    except BaseException:
                        log.err()
            if self._closed:
                self._disconnect(CLOSED_AT_ONCE)
            if self.threadCallQueue or self._newTimedCalls or self._justStopped or not self.running:
                return
            timed = self._pendingTimedCalls
            timeout = timed[0].time - self.seconds() if timed else None
            if timeout is not None and timeout <= 0:
                return

    def _serve(self, events: list[tuple[int, int]]) -> None:
        """Lets the descriptors of some events do their work."""
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

    def _disconnectSelectable(self, selectable: Any, why: Any, isRead: bool, *more: Any) -> None:
        """Called where a descriptor has ended: puts it in line. What has ended in another way is lost at once."""
        if type(why) is not ConnectionDone and type(why) is not ConnectionLost:
            epollreactor.EPollReactor._disconnectSelectable(self, selectable, why, isRead, *more)
            return
        epoll: Any = self
        epoll.removeReader(selectable)
        if not isRead:
            epoll.removeWriter(selectable)
        self._closed.append((selectable, why, isRead))

    def _disconnect(self, count: int) -> None:
        for _ in range(min(count, len(self._closed))):
            selectable, why, is_read = self._closed.popleft()
            if getattr(selectable, "disconnected", False):
                continue  # it has been removed meanwhile
            try:
                epollreactor.EPollReactor._disconnectSelectable(self, selectable, why, is_read)
            except BaseException:
                log.err()

    def dropClosed(self) -> None:
        """Disconnects all that wait for it now, because their number matters."""
        self._disconnect(len(self._closed))

    def disconnectAll(self) -> None:  # the name is Twisted's
        """Called by Twisted at the end: disconnects all, also those that are no longer polled."""
        self.dropClosed()
        epollreactor.EPollReactor.disconnectAll(self)


def install() -> None:
    """Makes it the process's reactor. Raises what Twisted raises where there is one already."""
    from twisted.internet.main import installReactor

    reactor: Any = KeypEPollReactor
    installReactor(reactor())
