"""The replies of all connections leave in one burst, when the reactor has done what was ready."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.logger import Logger

log = Logger()


class Sender(Protocol):
    """A connection, as far as it sends."""

    def flush(self) -> None:
        """Sends what waits."""


class Outbox:
    """The connections with replies that have not left yet. `call_soon` is None where each is to be sent at once.

    The first bytes wake a waiting client, which costs the kernel more than a small reply. In a burst, a client with
    many connections is already awake for all but the first.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], Any] | None) -> None:
        self._call_soon = call_soon
        self._connections: list[Sender] = []

    def add(self, connection: Sender) -> None:
        """A connection has something to send."""
        if self._call_soon is None:
            connection.flush()
            return
        if not self._connections:
            self._call_soon(self.flush)
        self._connections.append(connection)

    def flush(self) -> None:
        """Sends what waits."""
        connections, self._connections = self._connections, []
        for connection in connections:
            try:
                connection.flush()
            except Exception:  # the others' replies must be sent
                log.failure("replies could not be sent")
