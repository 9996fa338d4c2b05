"""When keys were last used, in memory and to the second: what OBJECT IDLETIME tells, and nothing else.

A table of fixed size, whatever the number of keys: a place in it follows from the hash of a name, and keys that share a
place share the time of the last use of any of them. So a key was idle for at least as long as is told, never for less.
Before the first use counts the start of the server, as in the reference, which does not store uses either.
"""

from __future__ import annotations

from typing import Any, Final

PLACES: Final = 1 << 16


def place_of(key: bytes) -> int:
    """The place of a key in the table, another one in each process."""
    return hash(key) & (PLACES - 1)


class Uses:
    """The table of a server that starts now. All times are seconds since 1970.

    `Any` is a second as an object: all who note the same second share it, so a note is a store and nothing else.
    """

    def __init__(self, now_s: int) -> None:
        self._now_s = now_s
        self._second: Any = now_s
        self._last: list[Any] = [self._second] * PLACES

    def note(self, key: bytes, now_s: int) -> None:
        """A key is used."""
        if now_s != self._now_s:
            self._now_s = self._second = now_s
        self._last[place_of(key)] = self._second

    def idle_s(self, key: bytes, now_s: int) -> int:
        """For how many seconds a key has not been used, at least."""
        last_s: int = self._last[place_of(key)]
        return max(0, now_s - last_s)
