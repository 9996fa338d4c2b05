"""Random talk about the session itself: as many replies, in the same order, from a real server and from Keyp.

Chunks of commands that change what a client's next replies look like - transactions, CLIENT REPLY, protocols,
subscriptions, RESET, QUIT - from clients of both protocols. After each chunk another client asks for the client's line
in CLIENT LIST, whose fields agree as well.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests import wire
from tests.differential.servers import Keyp, Reference
from tests.differential.talk import Talk

PROTOCOLS = (2, 3)

# Valkey's own words for what MULTI refuses to queue, which are Redis's without the command's name.
NAMED = b"-ERR Command 'client|reply' not allowed inside a transaction\r\n"
UNNAMED = b"-ERR Command not allowed inside a transaction\r\n"

LINES = st.sampled_from(
    ["MULTI", "MULTI", "MULTI", "EXEC", "EXEC", "EXEC", "DISCARD", "WATCH k", "WATCH k l", "UNWATCH", "CLIENT REPLY ON",
     "CLIENT REPLY ON", "CLIENT REPLY OFF", "CLIENT REPLY SKIP", "CLIENT REPLY FOO", "CLIENT REPLY", "HELLO 2",
     "HELLO 3", "HELLO 4", "HELLO x", "HELLO 3 SETNAME joe", "HELLO 2 FOO", "RESET", "SELECT 0", "SELECT 1",
     "SELECT 99", "SELECT x", "PING", "PING a", "PING a b", "ECHO a", "SET k 1", "SET k 2", "SET l 1", "INCR k",
     "GET k", "GET", "LPUSH k a", "NOSUCH", "NOSUCH a b", "CLIENT NOSUCH", "CLIENT SETNAME a",
     "CLIENT SETNAME", "CLIENT GETNAME", "CLIENT NO-EVICT ON", "CLIENT NO-EVICT OFF", "CLIENT NO-TOUCH ON",
     "CLIENT SETINFO LIB-NAME py", "CLIENT UNPAUSE", "SUBSCRIBE a", "SUBSCRIBE a b", "UNSUBSCRIBE", "UNSUBSCRIBE a",
     "PSUBSCRIBE a*", "PUNSUBSCRIBE", "SSUBSCRIBE s", "SUNSUBSCRIBE", "PUBLISH a m", "BLPOP nosuch x",
     "AUTH default x", "AUTH x y", "COMMAND COUNT x", "QUIT", "EXEC x", "MULTI x",
     "DISCARD x", "WATCH", "UNSUBSCRIBE a b"]
)  # fmt: skip
CHUNKS = st.lists(
    st.tuples(st.integers(0, len(PROTOCOLS) - 1), st.lists(LINES, min_size=1, max_size=6)), min_size=1, max_size=8
)
SHOWN = ("name", "flags", "db", "sub", "psub", "ssub", "multi", "multi-mem", "cmd", "user", "redir", "resp", "lib-name")


class Sessions(Talk):
    """Clients, and one that observes them."""

    def __init__(self, reference: Reference, keyp: Keyp) -> None:
        super().__init__(reference, keyp, PROTOCOLS)
        self.queueing = [False for _ in PROTOCOLS]
        self.ids = [
            [client.send(wire.request(b"CLIENT", b"ID"), 1)[0][1:-2] for client in pair]
            for pair in zip(self.theirs, self.ours, strict=True)
        ]

    def say(self, speaker: int, lines: list[str]) -> None:
        theirs, ours = self.theirs[speaker], self.ours[speaker]
        calls = self.without_differences(speaker, [line.encode().split() for line in lines])
        if theirs.closed or not calls:
            return
        note(f"client {speaker}: {calls}")
        data = b"".join([wire.request(*words) for words in calls])
        theirs.send(data, 0)
        expected, found = theirs.hear(), ours.send(data, 0)
        assert [reply.replace(NAMED, UNNAMED) for reply in map(comparable, expected)] == list(map(comparable, found))
        if ours.is_closed():
            # The reference hangs up when the reply to QUIT has left: never on a client that has its replies off.
            assert theirs.is_closed() or found[-1:] != [b"+OK\r\n"]
            theirs.closed = True
        else:
            assert not theirs.closed
            assert self.shown(0, speaker) == self.shown(1, speaker)

    def without_differences(self, speaker: int, calls: list[list[bytes]]) -> list[list[bytes]]:
        """The calls but for those by which Valkey calls a transaction off that Redis goes on with."""
        kept: list[list[bytes]] = []
        for words in calls:
            if self.queueing[speaker] and words in ([b"MULTI"], [b"WATCH", b"k"], [b"WATCH", b"k", b"l"]):
                continue
            if words == [b"MULTI"]:
                self.queueing[speaker] = True
            elif words[0] in (b"EXEC", b"DISCARD", b"RESET") and (len(words) == 1 or words[0] == b"EXEC"):
                self.queueing[speaker] = False
            kept.append(words)
        return kept

    def shown(self, side: int, speaker: int) -> dict[str, str]:
        """What CLIENT LIST says of a client."""
        call = wire.request(b"CLIENT", b"LIST", b"ID", self.ids[speaker][side])
        text = wire.parse(self.controls[side].send(call, 1)[0]).decode()
        fields = dict(field.split("=", 1) for field in text.split())
        fields["flags"] = fields["flags"].replace("U", "") or "N"  # only the reference listens on a Unix socket
        state = self.ours[speaker].connection.connection.client.state
        if state.queue is None or state.queue_broken or "d" in fields["flags"]:
            del fields["multi"], fields["multi-mem"]  # Valkey forgets what was queued when it will not run
        return {name: fields.get(name, "") for name in SHOWN}


def comparable(reply: bytes) -> bytes:
    """A reply without what HELLO says of each server."""
    return b"HELLO" if b"$7\r\nmodules\r\n" in reply else reply


@settings(max_examples=2 * settings().max_examples)
@given(chunks=CHUNKS)
def test_same_replies_in_the_same_order(reference: Reference, keyp: Keyp, chunks: list[tuple[int, list[Any]]]) -> None:
    with closing(Sessions(reference, keyp)) as talk:
        for speaker, lines in chunks:
            talk.say(speaker, lines)
