"""The real clock, the one place where time is asked for."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's time."""

    def now_us(self) -> int:
        """Microseconds since 1970."""
        return time.time_ns() // 1000

    def nanoseconds(self) -> int:
        """Nanoseconds of a counter that never goes back."""
        return time.perf_counter_ns()

    def breathe(self) -> None:
        """Lets other threads run that wait for Python's lock."""
        time.sleep(0)
