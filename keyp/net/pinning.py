"""Two threads that take turns stay on one processor while they do.

To wake a thread on a processor that sleeps takes a virtual machine 25 to 40 microseconds, as long as a small group's
commands; on the processor of the waking thread, two. A kernel likes to spread threads over processors, because it
cannot know that one does nothing while the other works. So the thread that hands work over says it: both are pinned to
the processor it runs on now. No processor is chosen here: that is left to the kernel, which gets the chance to choose
another one every HOLD_S seconds, for LOOSE_S: something else may have become busy where they are.

Where the system does not offer this (it is Linux's), or forbids it, nothing happens.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

HOLD_S: Final = 0.1
LOOSE_S: Final = 0.005


class PinnedThread:
    """Another thread of this process, by the number the kernel has for it, and where it may run.

    `this_processor` gives the number of the processor that the calling thread runs on (`find_sched_getcpu`), and
    `call_later` of so many seconds and a function calls it then, on that thread.
    """

    def __init__(
        self, native_id: int, this_processor: Callable[[], int] | None, call_later: Callable[..., Any]
    ) -> None:
        self._native_id = native_id
        self._this_processor = this_processor
        self._call_later = call_later
        self._is_pinned = False
        self._is_loose = False  # and is not to be pinned yet
        self._anywhere: set[int] = set()  # where the calling thread may run when the two are apart

    def pin(self) -> None:
        """Both threads stay on the processor where the calling one runs, for a while."""
        if self._is_pinned or self._is_loose or sys.platform != "linux" or self._this_processor is None:
            return
        try:
            self._anywhere = os.sched_getaffinity(0)  # which may have been changed from outside
            processor = (self._this_processor(),)
            os.sched_setaffinity(self._native_id, processor)
            os.sched_setaffinity(0, processor)
        except OSError:
            self._this_processor = None
            return
        self._is_pinned = True
        self._call_later(HOLD_S, self._loosen)

    def unpin(self) -> None:
        """Both threads may go anywhere: the other one is busy, and needs room."""
        if not self._is_pinned or sys.platform != "linux":
            return
        self._is_pinned = False
        with suppress(OSError):
            os.sched_setaffinity(self._native_id, self._anywhere)
            os.sched_setaffinity(0, self._anywhere)

    def _loosen(self) -> None:
        self.unpin()
        self._is_loose = True
        self._call_later(LOOSE_S, self._tighten)

    def _tighten(self) -> None:
        self._is_loose = False


def find_sched_getcpu() -> Callable[[], int] | None:
    """The C library's function; None where there is none. Python has no name for it."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function: Callable[[], int] = ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError):
        return None
    return function if function() >= 0 else None
