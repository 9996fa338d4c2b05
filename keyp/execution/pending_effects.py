"""What the calls of one run of a batch want to happen after it, and how that changes the replies.

Few batches have any: it is made for the first effect that is asked for. An effect belongs to the call that asked for
it. What it sends to the batch's own client stands behind that call's reply; where it fails, the reply becomes an error.
"""

from __future__ import annotations

from keyp.command.effects import Effect
from keyp.resp.encoder import encode
from keyp.resp.values import ReplyError


class PendingEffects:
    """The `effects` of a run, in the order in which they were asked for. Where it `is_silent` no reply leaves.

    Where it `pauses` clients, the requests behind the call that asked for it are the batch's rest.
    """

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.is_silent = False
        self.pauses = False
        self._asked_at: list[tuple[int, int]] = []  # for each effect, where the reply of its call begins and ends
        self._pushes: list[tuple[int, bytes]] = []  # what the client gets besides, and the place among the replies

    def replied(self, start: int, stop: int) -> None:
        """The reply of one call takes up these places among the batch's: the effects that are new are that call's."""
        self._asked_at += [(start, stop)] * (len(self.effects) - len(self._asked_at))

    def push(self, index: int, data: bytes) -> None:
        """The client itself gets a message, behind the reply of the call that asked for effect number `index`."""
        self._pushes.append((self._asked_at[index][1], data))

    def with_pushes(self, replies: list[bytes]) -> list[bytes]:
        """The replies that leave, with the messages among them."""
        if self.is_silent:
            return []
        if not self._pushes:
            return replies
        placed: list[bytes] = []
        at = 0
        for place, data in self._pushes:
            placed += replies[at:place]
            placed.append(data)
            at = place
        self._pushes = []
        return placed + replies[at:]

    def fail(self, index: int, text: str, replies: list[bytes], protocol: int) -> None:
        """The call that asked for effect number `index` gets an error in place of its reply; the others keep theirs."""
        start, end = self._asked_at[index]
        if start < end:
            replies[start:end] = [encode(ReplyError(text), protocol)] + [b""] * (end - start - 1)
