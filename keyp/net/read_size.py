"""How much is read from a client at once: what it is follows what comes."""

from __future__ import annotations

from typing import Any, Final

# Bytes that are read at once, the first for small requests, with room for what Python puts around them: so large a
# piece of memory is had for next to nothing, and Python takes it before it knows how many bytes have come. A client
# that fills one is given the next; the second is as much as the reference reads.
READ_SIZES: Final = (512 - 33, 16 * 1024, 256 * 1024)

# After so many reads in a row that the half of the size before would have held, that size comes back.
SMALL_READS: Final = 16


class ReadSize:
    """The size of one connection's reads, which its `transport` is told. `bytes` is what it is, `step` which one."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._take(0)

    def _take(self, step: int) -> None:
        self.step = step
        self.bytes = READ_SIZES[step]
        self._small_reads = 0
        self._transport.bufferSize = self.bytes

    def follow(self, size: int) -> None:
        """So many bytes have come at once. Need not be called at step 0, unless they are as many as were asked for."""
        step = self.step
        if size == self.bytes and step < len(READ_SIZES) - 1:
            self._take(step + 1)
        elif size >= READ_SIZES[max(step - 1, 0)] // 2:
            self._small_reads = 0
        elif step > 0:
            self._small_reads += 1
            if self._small_reads == SMALL_READS:
                self._take(step - 1)
