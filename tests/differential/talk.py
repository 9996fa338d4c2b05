"""Several clients at a real server and the same ones at Keyp, for random talk of which each of them hears something."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import note

from tests import wire
from tests.differential.servers import Keyp, KeypConnection, Reference, ReferenceConnection


class Talk:
    """The same clients at both servers, which are emptied; `controls` are one more at each, who takes no part."""

    def __init__(self, reference: Reference, keyp: Keyp, protocols: Sequence[int]) -> None:
        reference.clear()
        keyp.clear()
        self.theirs = [reference.connect() for _ in protocols]
        self.ours = [keyp.connect() for _ in protocols]
        self.controls = (reference.connect(), keyp.connect())
        for index, protocol in enumerate(protocols):
            for client in (self.theirs[index], self.ours[index]):
                client.send(wire.request(b"HELLO", b"%d" % protocol), 1)

    def publish(self, events: bytes) -> None:
        """Has both servers publish these events of keys, until `close`."""
        for control in self.controls:
            control.send(wire.request(b"CONFIG", b"SET", b"notify-keyspace-events", events), 1)

    def heard(self, speaker: int, calls: list[list[bytes]]) -> list[tuple[list[bytes], list[bytes]]]:
        """Sends calls in one chunk; what each client hears then, from them and from us."""
        note(f"client {speaker}: {calls}")
        data = b"".join([wire.request(*words) for words in calls])
        self.theirs[speaker].send(data, 0)
        said = self.ours[speaker].send(data, 0)
        both = [(one.hear(), other.hear()) for one, other in zip(self.theirs, self.ours, strict=True)]
        theirs, ours = both[speaker]
        both[speaker] = (theirs, said + ours)
        return both

    def close(self) -> None:
        self.publish(b"")
        clients: list[ReferenceConnection | KeypConnection] = [*self.theirs, *self.ours, *self.controls]
        for client in clients:
            client.close()
