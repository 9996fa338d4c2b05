"""How long one client waits for its GETs while something else goes on.

The probe sends its GETs at a fixed pace on one connection, whether or not the replies before them are there. So a
server that stands still for a second is late for each of the two thousand GETs of that second. A probe that waits
politely for each reply would count that second as one slow GET among thousands of quick ones, and hide just what it
looks for.
"""

from __future__ import annotations

import random
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from benchmarks.wire import Connection, encode, key

PACE_NS = 500_000
SHARES = (50.0, 99.0, 99.9)
LAST_REPLIES_S = 60.0
WATCH_EVERY_S = 0.05


def probe(port: int, keys: int, enough: Callable[[int], bool], seed: int = 1) -> list[int]:
    """Nanoseconds of each GET on one of so many keys, in order. `enough` is asked before each, with their number.

    Raises `RuntimeError` where a GET brings anything but a value.
    """
    chance = random.Random(seed)
    requests = [encode("GET", key(chance.randrange(keys))) for _ in range(5000)]
    times: list[int] = []
    under_way: deque[int] = deque()  # when each of the GETs without a reply was sent
    clock = time.perf_counter_ns
    with Connection(port) as connection:
        sent = 0
        line_ends = 0
        due = clock()
        while under_way or not enough(sent):
            now = clock()
            ended = enough(sent)
            if now >= due and not ended:
                under_way.append(now)
                connection.socket.sendall(requests[sent % len(requests)])
                sent += 1
                due += PACE_NS
                if now - due > PACE_NS:
                    due = now  # the probe itself was held up; it does not make good for that with a burst
            wait_s = LAST_REPLIES_S if ended else max(0, due - clock()) / 1e9
            if select.select([connection.socket], [], [], wait_s)[0]:
                received = connection.socket.recv(65536)
                now = clock()
                if not received or b"-" in received:
                    raise RuntimeError(f"a GET of the probe brought {received!r}")
                line_ends += received.count(b"\n")
                while line_ends >= 2:  # of a value's length and of the value
                    line_ends -= 2
                    times.append(now - under_way.popleft())
            elif ended:
                raise RuntimeError(f"{len(under_way)} GETs of the probe have had no reply for {LAST_REPLIES_S:.0f} s")
    return times


def percentile(ordered: list[int], share: float) -> int:
    """The smallest of the ordered times that `share` percent of them do not exceed."""
    rank = -(-len(ordered) * share // 100)
    return ordered[max(0, min(len(ordered), int(rank)) - 1)]


class Watch(threading.Thread):
    """Looks again and again, on a connection of its own, until a database has so many keys or fewer, or time is up."""

    def __init__(self, port: int, keys: int, until_s: float) -> None:
        super().__init__(daemon=True)
        self.over_s: float | None = None  # when that was (Unix time)
        self._port = port
        self._keys = keys
        self._until_s = until_s

    def run(self) -> None:
        """Called by the thread."""
        with Connection(self._port) as connection:
            while time.time() < self._until_s:
                size = connection.call("DBSIZE")
                if isinstance(size, int) and size <= self._keys:
                    break
                time.sleep(WATCH_EVERY_S)
        self.over_s = time.time()
