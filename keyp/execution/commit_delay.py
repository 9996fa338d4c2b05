"""When a commit group leaves: not before those who are on their way to it have come.

Clients that were answered together come back one after the other. The first of them alone would make a group of one,
and from then on there would be two groups that take turns, and everyone would wait for two commits each time; with a
disk that syncs, two groups cost nearly twice as much as one. So a group waits, first of all for one more iteration of
the reactor, which costs some microseconds, and then for the clients of the last two groups: as long as one after the
other arrives, and a fraction of a commit's time longer. Who writes now and then is not waited for, and neither is
anybody when the last group is a while ago.

Of many clients two groups are better than one: what a group costs by itself is little then, and while one is
committed, the requests of the other are read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# A group of so many batches does not wait for more, and so many clients are not waited for.
GATHERED_MAX: Final = 64

# How long after the last arrival it is worth while to wait: a part of what the last group took, and not less than an
# idle processor needs to wake up, who will send the next request.
PATIENCE: Final = 4
PATIENCE_NS: Final = 30_000

# What a group took beyond this says nothing of its clients: it had much to write.
TOOK_MAX_NS: Final = 20_000_000

# Who was answered longer ago than another group would take, and this, is not on the way.
RETURN_NS: Final = 200_000


class Gathering:
    """The group that waits, and what is known of the last ones.

    `nanoseconds` is a counter that never goes back. `others` tells how many clients could still send something.
    `step_aside` lets others have the processor: those who are waited for may be waiting for just that.
    """

    def __init__(
        self, nanoseconds: Callable[[], int], others: Callable[[], int], step_aside: Callable[[], None]
    ) -> None:
        self._nanoseconds = nanoseconds
        self._step_aside = step_aside
        self._others = others
        self._clients: set[int] = set()  # of the last group, …
        self._expected = 0  # … and how many of the last two
        self._took_ns = 0
        self._answered_ns = 0
        self._seen = 0  # how many waited at the last look, …
        self._seen_ns = 0  # … and since when there were so many

    def goes_on(self, waiting: int) -> bool:
        """Whether the group, of so many batches now, is to wait for one more iteration of the reactor."""
        if waiting >= GATHERED_MAX or self._others() <= 0:
            return False
        if waiting > self._seen:
            self._seen = waiting
            self._seen_ns = self._nanoseconds()
            return True
        if waiting >= self._expected or self._expected > GATHERED_MAX:
            return False
        self._step_aside()
        now_ns = self._nanoseconds()
        patience_ns = max(self._took_ns // PATIENCE, PATIENCE_NS)
        return now_ns - self._seen_ns < patience_ns and now_ns - self._answered_ns < self._took_ns + RETURN_NS

    def left(self, clients: set[int]) -> None:
        """The group of these clients, by their ids, leaves; who comes now belongs to the next one."""
        self._expected = len(clients | self._clients)
        self._clients = clients
        self._seen = 0

    def answered(self, took_ns: int) -> None:
        """A group is done, which took so long: its clients are about to come back."""
        self._took_ns = min(took_ns, TOOK_MAX_NS)
        self._answered_ns = self._nanoseconds()
