"""When keys were last used, in memory and to the second: what OBJECT IDLETIME replies.

A table of fixed size, whatever the number of keys: a key's slot follows from the CRC-32 of its stored name, which every
lookup needs to prove the record. (Python's own hash of 64 bits would be an object of its own in compiled code.) Keys
that share a slot share the time of the last access to any of them. So a key was idle for at least as long as is
replied, never for less. Before the first access the start of the server counts, as in Redis, which does not store
access times either.
"""

from __future__ import annotations

from typing import Any, Final

SLOTS: Final = 1 << 16
LAST_SLOT: Final = SLOTS - 1


class AccessTimes:
    """The table of a server that starts now. All times are seconds since 1970; a key is given as `layout.name_crc`.

    `Any` is a second as an object: all accesses of the same second share it, so `touch` is a store and nothing else.
    """

    def __init__(self, now_s: int) -> None:
        self._now_s = now_s
        self._second: Any = now_s
        self._last: list[Any] = [self._second] * SLOTS

    def touch(self, name_crc: int, now_s: int) -> None:
        """Records an access to a key."""
        if now_s != self._now_s:
            self._now_s = self._second = now_s
        self._last[name_crc & LAST_SLOT] = self._second

    def idle_s(self, name_crc: int, now_s: int) -> int:
        """For how many seconds at least a key has not been accessed."""
        last_s: int = self._last[name_crc & LAST_SLOT]
        return max(0, now_s - last_s)
