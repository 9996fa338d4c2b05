"""How one thread of Python wakes another without getting in its way.

A lock that is released wakes the thread that waits for it while the releasing thread still holds Python's own lock; the
woken one goes back to sleep until it gets that. A file is written without Python's lock, so that the woken thread can
run at once. A commit group has two such wake-ups, which makes some percent of its time. The file is an eventfd; a pipe
would do, and does on other systems, but Linux runs the reader of a pipe on the processor of its writer, also where
another one is awake and idle.
"""

from __future__ import annotations

import os
import select
import sys
from collections import deque
from typing import Any, Final

ONE: Final = (1).to_bytes(8, sys.byteorder)  # what adds one to an eventfd


class EventCounter:
    """A semaphore in the kernel: one thread signals, another waits.

    To write ONE to the descriptor `signalled` is to signal, to read it from `waited` to wait.
    """

    def __init__(self) -> None:
        if sys.platform == "linux":
            self.waited = self.signalled = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_CLOEXEC)
        else:
            self.waited, self.signalled = os.pipe()
        self._poll = select.poll()
        self._poll.register(self.waited, select.POLLIN)

    def signal(self) -> None:
        """Ends one wait, now or later."""
        os.write(self.signalled, ONE)

    def wait(self) -> None:
        """Waits for a signal."""
        os.read(self.waited, len(ONE))

    def wait_for(self, seconds: float) -> bool:
        """Waits for a signal, up to so many seconds; whether it came."""
        if not self._poll.poll(seconds * 1000):
            return False
        os.read(self.waited, len(ONE))
        return True

    def close(self) -> None:
        """It is not used any more."""
        for fd in {self.signalled, self.waited}:
            os.close(fd)


class EventQueue:
    """A queue with one thread at its end, as `queue.SimpleQueue` is."""

    def __init__(self) -> None:
        self._counter = EventCounter()
        self._items: deque[Any] = deque()

    def put(self, item: Any) -> None:
        """Puts an item in the queue."""
        self._items.append(item)
        os.write(self._counter.signalled, ONE)

    def get(self) -> Any:
        """Takes the first item, waiting for it."""
        os.read(self._counter.waited, len(ONE))
        return self._items.popleft()

    def close(self) -> None:
        """It is not used any more."""
        self._counter.close()
