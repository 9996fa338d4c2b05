"""When keys were last used, in memory and to the second: what OBJECT IDLETIME tells, and nothing else.

A table of fixed size, whatever the number of keys: a place in it follows from the hash of a name, and keys that
share a place share the time of the last use of any of them. So a key was idle for at least as long as is told, never for
less. Before the first use counts the start of the server, as in the reference, which does not store uses either.
"""

from __future__ import annotations

from typing import Final

PLACES: Final = 1 << 16


def place_of(key: bytes) -> int:
    """The place of a key in the table, another one in each process."""
    return hash(key) & (PLACES - 1)


class Uses:
    """The table of a server that starts now. All times are seconds since 1970."""

    def __init__(self, now_s: int) -> None:
        self._last = [now_s] * PLACES

    def note(self, key: bytes, now_s: int) -> None:
        """A key is used."""
        self._last[place_of(key)] = now_s

    def idle_s(self, key: bytes, now_s: int) -> int:
        """For how many seconds a key has not been used, at least."""
        return max(0, now_s - self._last[place_of(key)])
