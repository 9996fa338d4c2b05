"""How long a commit group waits for clients that are on their way to it.

Clients that were answered together come back one after the other. The first of them alone would make a group of one,
and from then on there would be two groups that take turns, and everyone would wait for two commits each time; with a
disk that syncs, two groups cost nearly twice as much as one. So a group waits, first of all for one more iteration of
the event loop, which costs some microseconds, and then for the clients of the last two groups: as long as one after the
other arrives, and a fraction of a commit's time longer. A client that writes now and then is not waited for, and
neither is anybody when the last group is a while ago. (PostgreSQL knows the same as `commit_delay` and
`commit_siblings`.)

Of many clients two groups are better than one: what a group costs by itself is little then, and while one is committed,
the requests of the other are read.
"""

from __future__ import annotations

from typing import Final

from keyp.execution.loop import Loop

# A group of so many batches does not wait for more, and so many clients are not waited for.
GROUP_MAX: Final = 64

# How long after the last arrival it is worth while to wait: a part of what the last group took, and not less than an
# idle processor needs to wake up the client that sends the next request.
PATIENCE: Final = 4
PATIENCE_NS: Final = 30_000

# What a group took beyond this says nothing of its clients: it had much to write.
TOOK_MAX_NS: Final = 20_000_000

# A client that was answered longer ago than another group would take, and this, is not on the way.
RETURN_NS: Final = 200_000


class CommitDelay:
    """The group that waits, and what is known of the last ones."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._clients: set[int] = set()  # of the last group, …
        self._expected = 0  # … and how many of the last two
        self._took_ns = 0
        self._done_ns = 0
        self._seen = 0  # how many batches waited at the last look, …
        self._seen_ns = 0  # … and since when there were so many

    def should_wait(self, batches: int) -> bool:
        """Whether the group, of so many batches now, is to wait for one more iteration of the event loop.

        Asked only while there are clients at rest, which could still send something that joins it. Lets other
        processes have the processor: the clients it waits for may be waiting for just that.
        """
        if batches >= GROUP_MAX:
            return False
        if batches > self._seen:
            self._seen = batches
            self._seen_ns = self._loop.nanoseconds()
            return True
        if batches >= self._expected or self._expected > GROUP_MAX:
            return False
        self._loop.step_aside()
        now_ns = self._loop.nanoseconds()
        patience_ns = max(self._took_ns // PATIENCE, PATIENCE_NS)
        return now_ns - self._seen_ns < patience_ns and now_ns - self._done_ns < self._took_ns + RETURN_NS

    def group_started(self, clients: set[int]) -> None:
        """The group of these clients, by their ids, starts; who comes now belongs to the next one."""
        self._expected = len(clients | self._clients)
        self._clients = clients
        self._seen = 0

    def group_done(self, took_ns: int) -> None:
        """A group is done, which took so long: its clients are about to come back."""
        self._took_ns = min(took_ns, TOOK_MAX_NS)
        self._done_ns = self._loop.nanoseconds()
