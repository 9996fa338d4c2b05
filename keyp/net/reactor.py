"""Twisted's epoll reactor with a shorter way from a readable socket to its transport.

The stock reactor wraps every event in a logging context and asks a descriptor twice whether it still exists. Nearly
all events of a server are plain `EPOLLIN`; for those this reactor calls `doRead` and nothing else. Everything else,
and everything that fails, goes the stock way. `twistd --reactor=keyp-epoll` chooses it; `keyp` does where epoll is.
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

    # The stock reactor's own, without a public name and without annotations.
    _selectables: dict[int, Any]
    _disconnectSelectable: Callable[..., Any]

    def doPoll(self, timeout: float | None) -> None:  # the name is Twisted's
        """Waits up to `timeout` seconds, None for ever, and lets every descriptor that is ready do its work."""
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

    doIteration = doPoll


def install() -> None:
    """Makes it the process's reactor. Raises what Twisted raises where there is one already."""
    from twisted.internet.main import installReactor

    reactor: Any = KeypEPollReactor
    installReactor(reactor())
