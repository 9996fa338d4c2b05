"""Reactors whose timed calls follow a clock that is never set.

The machine's time may be set back or forth while a server runs. So all that waits or measures goes by a counter that
is never set; the machine's time is for deadlines of keys, and for what is shown.
"""

from __future__ import annotations

import time
from typing import Any


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
