"""The real clocks, the one place where time is asked for.

The machine's time may be set back or forth while a server runs. So all that waits or measures goes by a counter that
is never set; the machine's time is for deadlines of keys, and for what is shown.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any


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


def keep_steady(reactor: Any) -> None:
    """Has a reactor's timed calls follow the counter that is never set, those that were made before too.

    Twisted's own reactors ask `time.time`: set back by an hour, all that waits would wait an hour longer.
    """
    if reactor.seconds is not time.time:
        return
    made_before = [(call, call.getTime() - reactor.seconds()) for call in reactor.getDelayedCalls()]
    reactor.seconds = time.monotonic
    for call, left in made_before:
        call.seconds = time.monotonic
        call.reset(max(left, 0.0))
