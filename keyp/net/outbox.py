"""The replies of all connections leave in one burst, when the reactor has done what was ready."""

from __future__ import annotations

from typing import Protocol

from twisted.logger import Logger

from keyp.execution.loop import Loop

log = Logger(__name__)


class Sender(Protocol):
    """A connection, as far as it sends."""

    def flush(self) -> None:
        """Sends what waits."""


class Outbox:
    """The connections with replies that have not left yet. Each is sent at once where the loop is not prompt.

    The first bytes wake a waiting client, which costs the kernel more than a small reply. In a burst, a client with
    many connections is already awake for all but the first.
    """

    def __init__(self, loop: Loop) -> None:
        self._call_soon = loop.call_soon
        self.is_prompt = loop.is_prompt
        self._connections: list[Sender] = []
        self._is_held = False

    def add(self, connection: Sender) -> None:
        """A connection has something to send."""
        if not self.is_prompt:
            connection.flush()
            return
        if not self._connections and not self._is_held:
            self._call_soon(self.flush)
        self._connections.append(connection)

    def hold(self) -> None:
        """Keeps what is added until the next `flush`, which is to come soon."""
        self._is_held = True

    def flush(self) -> None:
        """Sends what waits."""
        self._is_held = False
        connections, self._connections = self._connections, []
        for connection in connections:
            try:
                connection.flush()
            except Exception:  # the others' replies must be sent
                log.failure("replies could not be sent")
