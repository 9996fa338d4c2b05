"""How one thread of Python wakes another without getting in its way.

A lock that is released wakes whoever waits for it while the releasing thread still holds Python's own lock; the one
that was woken goes back to sleep until it gets that. A file is written without Python's lock, so that who wakes can run
at once. A commit group has two such wake-ups, which makes some percent of its time. The file is an event counter; a
pipe would do, and does on other systems, but Linux runs who reads from a pipe on the processor of who writes to it,
also where another one is awake and idle.
"""

from __future__ import annotations

import os
import select
import sys
from collections import deque
from collections.abc import Callable
from typing import Final

_ONCE: Final = (1).to_bytes(8, sys.byteorder)  # what an event counter is given to count one more


class Bell:
    """Rung by one thread and heard by another, as often as it was rung."""

    def __init__(self) -> None:
        if sys.platform == "linux":
            self._out = self._in = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_CLOEXEC)
        else:
            self._out, self._in = os.pipe()
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)

    def ring(self) -> None:
        """Ends one `wait`, now or later."""
        os.write(self._in, _ONCE)

    def wait(self, seconds: float) -> bool:
        """Whether the bell was rung, waiting for it up to so many seconds."""
        if not self._poll.poll(seconds * 1000):
            return False
        self.listen()
        return True

    def listen(self) -> None:
        """Waits until the bell is rung."""
        os.read(self._out, len(_ONCE))

    def close(self) -> None:
        """Nobody rings or waits any more."""
        for fd in {self._in, self._out}:
            os.close(fd)


class BelledLine:
    """A line of work for one thread, as `queue.SimpleQueue` is."""

    def __init__(self) -> None:
        self._bell = Bell()
        self._works: deque[Callable[[], None] | None] = deque()

    def put(self, work: Callable[[], None] | None) -> None:
        """Puts work in line."""
        self._works.append(work)
        self._bell.ring()

    def get(self) -> Callable[[], None] | None:
        """Takes the work that is next, waiting for it."""
        self._bell.listen()
        return self._works.popleft()

    def close(self) -> None:
        """The line is not used any more."""
        self._bell.close()
