"""The requests of a connection that wait while earlier ones are under way.

They run in this order: the rest of a batch that ended early, whole requests, and what is in bytes that have not been
parsed yet. Parsed requests take many times the memory of their bytes, so no more are parsed than may wait at once.
"""

from __future__ import annotations

from typing import Final

from keyp.resp.parser import RequestParser

# Bytes of whole requests that may wait before the connection stops reading.
WAITING_MAX: Final = 1 << 20

# Bytes that are parsed at once.
PARSED_AT_ONCE: Final = 256 * 1024


class Backlog:
    """What waits behind the requests of one connection.

    `waiting_bytes` is how many bytes the whole requests took, `taken_bytes` how many those that `next` gave last.
    """

    def __init__(self, parser: RequestParser) -> None:
        self._parser = parser
        self._waiting: list[list[bytes]] = []
        self.rest: list[list[bytes]] = []
        self.waiting_bytes = 0
        self.taken_bytes = 0
        self.unparsed = bytearray()

    def parse(self, data: bytes) -> None:
        """Adds the requests that `data` completes. What is not complete waits in the parser and does not count."""
        parser = self._parser
        received = parser.buffered_bytes + len(data)
        requests = parser.feed(data)
        if requests:
            self._waiting += requests
            self.waiting_bytes += received - parser.buffered_bytes

    def buffered_bytes(self) -> int:
        """How many received bytes are not yet parsed into requests."""
        return self._parser.buffered_bytes + len(self.unparsed)

    def next(self) -> list[list[bytes]]:
        """Takes the requests that run next; none where no complete request waits."""
        if self.rest:
            requests, self.rest = self.rest, []
            self.taken_bytes = 0
            return requests
        parser = self._parser
        if parser.has_rest and not self._waiting:
            self.parse(b"")
        while (
            self.unparsed
            and self.waiting_bytes <= WAITING_MAX
            and not parser.has_rest
            and not (parser.is_limited and self._waiting)
        ):
            data = bytes(self.unparsed[:PARSED_AT_ONCE])
            del self.unparsed[:PARSED_AT_ONCE]
            self.parse(data)
        requests, self._waiting = self._waiting, []
        self.taken_bytes, self.waiting_bytes = self.waiting_bytes, 0
        return requests

    def clear(self) -> None:
        """Drops all that waits."""
        self.rest = []
        self._waiting = []
        self.waiting_bytes = 0
        self.unparsed = bytearray()
