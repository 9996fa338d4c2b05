"""How much may wait for one client that does not read: `client-output-buffer-limit`."""

from __future__ import annotations

from typing import Any

from keyp.server.clients import Client
from keyp.server.config import Settings


class OutputLimits:
    """The limits of one client. Above the hard one it is cut off at once, above the soft one when that lasts."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self.over_since = 0  # seconds, by `exceeds_soft`; 0 while no more is waiting than the soft limit
        self._left = 0  # bytes that the transport had last

    def note_reading(self, transport: Any, now_s: int) -> None:
        """Asked once a second while something waits: a client that has read some of it since is seen."""
        left: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
        if left != self._left:
            self._left = left
            self._client.last_seen_ns = now_s * 1_000_000_000

    def _limits(self) -> tuple[int, int, int]:
        settings = self._settings
        return settings.pubsub_output_limits if self._client.state.is_subscriber else settings.normal_output_limits

    def exceeds_hard(self) -> bool:
        """Whether more waits than ever may."""
        hard = self._limits()[0]
        return 0 < hard < self._client.output_buffered

    def exceeds_soft(self, now_s: int) -> bool:
        """Whether too much has been waiting for too long. Asked once a second; `now_s` never goes back."""
        _, soft, seconds = self._limits()
        if soft == 0 or self._client.output_buffered <= soft:
            self.over_since = 0
        elif not self.over_since:
            self.over_since = now_s
        return self.over_since > 0 and now_s - self.over_since > seconds
