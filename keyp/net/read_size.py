"""How many bytes are read from a client at once, adapted to what it sends."""

from __future__ import annotations

from typing import Any, Final

# Bytes that are read at once, the first for small requests, with room for what Python puts around them: so small an
# allocation is cheap, and Python allocates before it knows how many bytes have come. A client that fills one size gets
# the next; the second is as much as Redis reads.
READ_SIZES: Final = (512 - 33, 16 * 1024, 256 * 1024)

# After so many reads in a row that the half of the size before would have held, that size comes back.
SMALL_READS: Final = 16


class ReadSize:
    """The size of one connection's reads, set on its `transport`: `bytes`, the size number `step`."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._take(0)

    def _take(self, step: int) -> None:
        self.step = step
        self.bytes = READ_SIZES[step]
        self._small_reads = 0
        self._transport.bufferSize = self.bytes

    def follow(self, size: int) -> None:
        """Adapts to a read of so many bytes. At step 0 it is needed only for a read that filled the size."""
        step = self.step
        if size == self.bytes and step < len(READ_SIZES) - 1:
            self._take(step + 1)
        elif size >= READ_SIZES[max(step - 1, 0)] // 2:
            self._small_reads = 0
        elif step > 0:
            self._small_reads += 1
            if self._small_reads == SMALL_READS:
                self._take(step - 1)
