"""What waits for a client behind what the transport still has to send: messages, and replies that came after them."""

from __future__ import annotations

from typing import Final

# The transport takes so many bytes at once: what it holds counts as waiting until all of it has left.
LATE_AT_ONCE: Final = 1 << 20


class LateMessages:
    """Chunks of bytes in their order, `bytes` together."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self.bytes = 0

    def add(self, chunks: list[bytes], first: bool = False) -> int:
        """Adds chunks behind all others, or before them; how many bytes they have."""
        size = sum([len(chunk) for chunk in chunks])
        if first:
            self._chunks = chunks + self._chunks
        else:
            self._chunks += chunks
        self.bytes += size
        return size

    def take(self) -> list[bytes]:
        """Takes the first chunks: as many as may be sent at once, one at least if there is any."""
        count = size = 0
        for chunk in self._chunks:
            count += 1
            size += len(chunk)
            if size >= LATE_AT_ONCE:
                break
        chunks = self._chunks[:count]
        del self._chunks[:count]
        self.bytes -= size
        return chunks

    def take_all(self) -> list[bytes]:
        """Takes all of them."""
        chunks, self._chunks = self._chunks, []
        self.bytes = 0
        return chunks
