"""Memory that is no longer used goes back to the system.

What a large request, reply or transaction took is free when it is over, but the C library keeps most of it in its
heaps: half a gigabyte stayed resident after one string of that length. `malloc_trim` gives back all whole pages that
are free. It takes time for what it finds and holds the heaps meanwhile, so it is called on a reader's thread, and only
where the process has KEPT_MAX more than it has once had and has stopped growing. What was in use then may be free
later, without another sign of it: so it is called again as long as that is so, each time after twice as long.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred

from keyp.server import process

KEPT_MAX: Final = 32 << 20  # bytes that are left alone
WAIT_MAX: Final = 64  # seconds


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
        self._least = self._last = self._left = private_bytes()
        self._trimming = False
        self._waited = 0  # seconds since it was called, …
        self._wait = 0  # … and how many there are to be between two calls

    def look(self) -> None:
        """Called once a second: gives back what is free if it may be much."""
        now = self._private_bytes()
        grows, self._last = now > self._last, now
        self._least = min(self._least, now)
        self._waited += 1
        if now > self._left + KEPT_MAX:
            self._wait = 0
        if now > self._least + KEPT_MAX and not grows and not self._trimming and self._waited > self._wait:
            self._trimming = True
            self._run(self._trim, 0).addBoth(self._trimmed)

    def _trimmed(self, result: object) -> None:
        self._trimming = False
        self._left = self._last = self._private_bytes()
        self._waited = 0
        self._wait = min(2 * self._wait + 1, WAIT_MAX)
