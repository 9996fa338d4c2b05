"""Memory that is no longer used goes back to the system.

What a large request, reply or transaction took is free when it is over, but the C library keeps most of it in its
heaps: half a gigabyte stayed resident after one string of that length. `malloc_trim` gives back all whole pages that
are free. It takes time for what it finds and holds the heaps meanwhile, so it is called on a reader's thread, and only
when the process has grown by KEPT_MAX since the last time and has stopped growing.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred

from keyp.server import process

KEPT_MAX: Final = 32 << 20  # bytes more than after the last time that are left alone


def find_trim() -> Callable[[int], object]:
    """The C library's `malloc_trim`; a function that does nothing where there is none (only glibc has one)."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return lambda kept_bytes: None
    trim.argtypes = [ctypes.c_size_t]
    found: Callable[[int], object] = trim
    return found


class SpareMemory:
    """What the process has and does not use. `run` calls a function on another thread.

    `private_bytes` returns how much private memory the process has, `trim` gives back what is free of it.
    """

    def __init__(
        self,
        run: Callable[[Callable[[Any], Any], Any], Deferred[Any]],
        private_bytes: Callable[[], int] = lambda: process.memory().private,
        trim: Callable[[int], object] | None = None,
    ) -> None:
        self._run = run
        self._private_bytes = private_bytes
        self._trim = trim or find_trim()
        self._needed = self._last = private_bytes()
        self._trimming = False

    def look(self) -> None:
        """Called once a second: gives back what is free if it may be much."""
        now = self._private_bytes()
        grows, self._last = now > self._last, now
        self._needed = min(self._needed, now)
        if now > self._needed + KEPT_MAX and not grows and not self._trimming:
            self._trimming = True
            self._run(self._trim, 0).addBoth(self._trimmed)

    def _trimmed(self, result: object) -> None:
        self._trimming = False
        self._needed = self._last = self._private_bytes()
