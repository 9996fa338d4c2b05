"""The real clock, the one place where time is asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable


class SystemClock:
    """The machine's time. `nanoseconds` is a counter that never goes back; it is looked at for every command."""

    def __init__(self) -> None:
        self.nanoseconds: Callable[[], int] = time.perf_counter_ns

    def now_us(self) -> int:
        """Microseconds since 1970."""
        return time.time_ns() // 1000

    def breathe(self) -> None:
        """Lets other threads run that wait for Python's lock."""
        time.sleep(0)

    def step_aside(self) -> None:
        """Lets other processes run that wait for this processor."""
        os.sched_yield()
