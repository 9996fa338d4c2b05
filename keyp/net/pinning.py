"""Two threads that take turns stay on one processor while they do.

To wake a thread on a processor that sleeps takes a virtual machine 25 to 40 microseconds, as long as a small group's
commands; on the processor of the waking thread, two. A kernel likes to spread threads over processors, because it
cannot know that one does nothing while the other works. So the thread that hands work over says it: both are pinned to
the processor it runs on now, until the work is done. No processor is chosen here: that is left to the kernel.

Where the system does not offer this (it is Linux's), or forbids it, nothing happens.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from contextlib import suppress


class PinnedThread:
    """Another thread of this process, by the number the kernel has for it, and where it may run.

    `this_processor` gives the number of the processor that the calling thread runs on (`find_sched_getcpu`).
    """

    def __init__(self, native_id: int, this_processor: Callable[[], int] | None) -> None:
        self._native_id = native_id
        self._this_processor = this_processor
        self._processor = -1  # where the other thread must stay, -1 for anywhere
        self._anywhere: set[int] = set()  # where the calling thread may run when the two are apart

    def pin(self) -> None:
        """Both threads stay on the processor where the calling one runs."""
        if sys.platform != "linux" or self._this_processor is None:
            return
        try:
            self._anywhere = os.sched_getaffinity(0)  # which may have been changed from outside
            processor = self._this_processor()
            if processor != self._processor:
                os.sched_setaffinity(self._native_id, (processor,))
                self._processor = processor
            os.sched_setaffinity(0, (processor,))
        except OSError:
            self._this_processor = None

    def unpin(self, is_busy: bool) -> None:
        """The calling thread may go anywhere. The other one stays where it is, unless it `is_busy` and needs room."""
        if sys.platform != "linux" or self._this_processor is None or self._processor < 0:
            return
        with suppress(OSError):
            os.sched_setaffinity(0, self._anywhere)
            if is_busy:
                os.sched_setaffinity(self._native_id, self._anywhere)
                self._processor = -1


def find_sched_getcpu() -> Callable[[], int] | None:
    """The C library's function; None where there is none. Python has no name for it."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function: Callable[[], int] = ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError):
        return None
    return function if function() >= 0 else None
