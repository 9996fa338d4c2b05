"""Connections that the system cannot accept: they are counted, and logged once a second.

Where a process has no descriptor left, Twisted frees one that it keeps for this, accepts each connection and closes it;
it logs every one. Without that descriptor, and where the kernel lacks memory, a connection cannot even be closed: it
waits, and the port would be readable again and again. Such a port rests until the next second.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import tcp
from twisted.logger import ILogObserver, LogEvent, Logger, globalLogPublisher
from zope.interface import implementer

log = Logger(__name__)


@implementer(ILogObserver)
class PortLog:
    """The observer of a port's own log."""

    def __init__(self, port: Any, observe: Callable[[Any, LogEvent], None]) -> None:
        self._port = port
        self._observe = observe

    def __call__(self, event: LogEvent) -> None:
        """Called by Twisted with a log event of the port."""
        self._observe(self._port, event)


class Refusals:
    """The connections that were refused since the last second, and the ports that rest."""

    def __init__(self) -> None:
        self._closed = 0
        self._reason = ""  # the system's name for why connections wait
        self._resting: list[Any] = []

    def watch(self, port: Any) -> None:
        """Observes a listening port of Twisted's for connections it cannot accept."""
        port._logger = Logger("keyp.net.endpoints.accepting", observer=cast(Any, PortLog(port, self._observe)))

    def _observe(self, port: Any, event: LogEvent) -> None:
        """A log event of a port: it has closed a connection, it cannot accept one, or another."""
        reason = event.get("acceptError")
        if "address" in event:
            self._closed += 1
        elif reason is not None:
            if reason != "ECONNABORTED":  # the client's own doing, and over
                self._reason = reason
                self._rest(port)
        elif "EMFILE" not in str(event.get("log_format")):
            globalLogPublisher(event)

    def _rest(self, port: Any) -> None:
        if port not in self._resting:
            port.stopReading()
            self._resting.append(port)

    def each_second(self) -> None:
        """Logs what was refused, and lets resting ports try again."""
        if self._closed:
            log.warn("{count} connections were refused: no descriptor is left (ulimit -n)", count=self._closed)
            self._closed = 0
        if self._resting:
            log.warn("connections wait that cannot be taken: {reason}", reason=self._reason)
            _reserve_descriptor()
            ports, self._resting = self._resting, []
            for port in ports:
                if port.connected and not port.disconnecting:
                    port.startReading()


def _reserve_descriptor() -> None:
    """Opens Twisted's spare descriptor again, which Twisted itself does not retry."""
    spare: Any = getattr(tcp, "_reservedFD", None)
    if spare is None or spare.available():
        return
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return
    spare.reserve()
