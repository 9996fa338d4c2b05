"""SCAN cursors: numbers on the wire, names inside.

The store is ordered by name, so the true position of a scan is the last name it returned; Redis clients, however, take
a cursor for an unsigned 64-bit number. A cursor is therefore a digest of the position, and a table keeps the position
of each. No command's effect depends on it: a cursor that is not in the table (after a restart, or thousands of
abandoned scans) starts the scan again, and SCAN may return names twice but leave none out.
"""

from __future__ import annotations

from hashlib import blake2b
from threading import Lock
from typing import Final

CURSORS_KEPT: Final = 16384
BYTES_KEPT: Final = 16 << 20  # of their positions, which are names and may be long; but one is kept in any case


class CursorTable:
    """Positions by cursor, the least recently used dropped first. Any thread may use it."""

    def __init__(self, kept: int = CURSORS_KEPT, bytes_kept: int = BYTES_KEPT) -> None:
        self._kept = kept
        self._bytes_kept = bytes_kept
        self._positions: dict[int, bytes] = {}
        self.bytes = 0  # of all positions
        self._lock = Lock()

    def save(self, position: bytes) -> int:
        """The cursor for `position`: never 0, the same for the same position."""
        cursor = int.from_bytes(blake2b(position, digest_size=8).digest(), "big") or 1
        with self._lock:
            self.bytes += len(position) - len(self._positions.pop(cursor, b""))
            self._positions[cursor] = position
            while len(self._positions) > self._kept or (self.bytes > self._bytes_kept and len(self._positions) > 1):
                self.bytes -= len(self._positions.pop(next(iter(self._positions))))
        return cursor

    def __len__(self) -> int:
        return len(self._positions)

    def find(self, cursor: int) -> bytes:
        """The position a cursor stands for; the start where it is unknown."""
        with self._lock:
            position = self._positions.pop(cursor, b"")
            if position:
                self._positions[cursor] = position
        return position
