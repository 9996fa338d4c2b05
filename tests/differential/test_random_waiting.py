"""Random calls of several clients that may wait for keys: each of them gets the same from a real server and from Keyp.

A listener receives every event of a key too, so that what is done for blocked clients is done in the same order. Nobody
sends anything behind a command that waits: whose pipeline goes on first, when several go on, is each server's own.
"""

from __future__ import annotations

from contextlib import closing

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import wire
from tests.differential.servers import Keyp, Reference
from tests.differential.talk import Talk
from tests.differential.words import words

PROTOCOLS = (2, 3, 2, 3)

KEYS = st.sampled_from([b"a", b"b", b"c"])
ENDS = st.sampled_from([b"LEFT", b"RIGHT"])
EXTREMES = st.sampled_from([b"MIN", b"MAX"])
ELEMENTS = st.lists(st.sampled_from([b"1", b"2", b"3"]), min_size=1, max_size=3)
SCORES = st.lists(st.tuples(st.sampled_from([b"1", b"2", b"3"]), st.sampled_from([b"x", b"y"])), min_size=1, max_size=2)
MEMBERS = SCORES.map(lambda found: [word for pair in found for word in pair])
MANY_KEYS = st.lists(KEYS, min_size=1, max_size=3)
NUMBERED = MANY_KEYS.map(lambda keys: [b"%d" % len(keys), *keys])
COUNTS = st.sampled_from([[], [b"COUNT", b"2"]])
NO_END = st.just(b"0")
GROUPS = st.sampled_from([b"g", b"h"])
CONSUMERS = st.sampled_from([b"x", b"y"])
BEHIND = st.lists(st.tuples(KEYS, st.sampled_from([b"0", b"$", b"0-2", b"1"])), min_size=1, max_size=3).map(
    lambda found: [word for column in zip(*found, strict=True) for word in column]
)
NEW = MANY_KEYS.map(lambda keys: [*keys, *[b">"] * len(keys)])

WAITING = st.one_of(
    words("BLPOP", MANY_KEYS, NO_END),
    words("BRPOP", MANY_KEYS, NO_END),
    words("BLMOVE", KEYS, KEYS, ENDS, ENDS, NO_END),
    words("BRPOPLPUSH", KEYS, KEYS, NO_END),
    words("BLMPOP", NO_END, NUMBERED, ENDS, COUNTS),
    words("BZPOPMIN", MANY_KEYS, NO_END),
    words("BZPOPMAX", MANY_KEYS, NO_END),
    words("BZMPOP", NO_END, NUMBERED, EXTREMES, COUNTS),
    words("XREAD", "BLOCK", NO_END, COUNTS, "STREAMS", BEHIND),
    words("XREADGROUP", "GROUP", GROUPS, CONSUMERS, "BLOCK", NO_END, COUNTS, "STREAMS", NEW),
)
OTHERS = st.one_of(
    words("RPUSH", KEYS, ELEMENTS),
    words("LPUSH", KEYS, ELEMENTS),
    words("RPUSH", KEYS, ELEMENTS),
    words("ZADD", KEYS, MEMBERS),
    words("XADD", KEYS, "0-*", "f", "v"),
    words("XADD", KEYS, "0-*", "f", "v"),
    words("XADD", KEYS, "MAXLEN", "0", "0-*", "f", "v"),
    words("XGROUP", "CREATE", KEYS, GROUPS, st.sampled_from([b"0", b"$"]), "MKSTREAM"),
    words("XGROUP", "DESTROY", KEYS, GROUPS),
    words("XGROUP", "SETID", KEYS, GROUPS, "0"),
    words("XACK", KEYS, GROUPS, "0-1", "0-2"),
    words("XDEL", KEYS, "0-2"),
    words("LMOVE", KEYS, KEYS, ENDS, ENDS),
    words("LINSERT", KEYS, st.just(b"BEFORE"), st.just(b"1"), st.just(b"2")),
    words("LPOP", KEYS),
    words("LRANGE", KEYS, st.just(b"0"), st.just(b"-1")),
    words("DEL", KEYS),
    words("SET", KEYS, st.just(b"text")),
    words("RENAME", KEYS, KEYS),
    words("COPY", KEYS, KEYS),
    words("COPY", KEYS, KEYS, "REPLACE"),
    words("SWAPDB", "0", "1"),
    words("MOVE", KEYS, "1"),
    words("FLUSHALL"),
    words("EXISTS", MANY_KEYS),
    words("MULTI"),
    words("EXEC"),
    words("EXEC"),
    words("PING"),
)
CHUNKS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, len(PROTOCOLS) - 1), WAITING.map(lambda words: [words])),
        st.tuples(st.integers(0, len(PROTOCOLS) - 1), st.lists(OTHERS, min_size=1, max_size=3)),
        st.tuples(
            st.integers(0, len(PROTOCOLS) - 1), st.lists(st.one_of(WAITING, OTHERS, OTHERS), min_size=1, max_size=5)
        ),
    ),
    min_size=3,
    max_size=20,
)


class Waiters(Talk):
    """Clients that wait and others that bring something, and a listener to what happens to keys, the last one."""

    def __init__(self, reference: Reference, keyp: Keyp) -> None:
        super().__init__(reference, keyp, [*PROTOCOLS, 2])
        self.queueing = [False for _ in PROTOCOLS]
        self.publish(b"AEn")
        for client in (self.theirs[-1], self.ours[-1]):
            client.send(wire.request(b"PSUBSCRIBE", b"*"), 1)

    def say(self, speaker: int, calls: list[list[bytes]]) -> None:
        if self.ours[speaker].connection.connection.client.waiting:
            return
        calls = self._possible(speaker, calls)
        for index, (theirs, ours) in enumerate(self.heard(speaker, calls)):
            assert theirs == ours, f"client {index} hears after {calls}: from them {theirs}, from us {ours}"

    def _possible(self, speaker: int, calls: list[list[bytes]]) -> list[list[bytes]]:
        """Calls up to one that may wait, without a MULTI inside another one, which Valkey refuses in its own words."""
        kept: list[list[bytes]] = []
        for call in calls:
            if call[0] == b"MULTI" and self.queueing[speaker]:
                continue
            kept.append(call)
            if call[0] in (b"MULTI", b"EXEC"):
                self.queueing[speaker] = call[0] == b"MULTI"
            elif (call[0].startswith(b"B") or b"BLOCK" in call) and not self.queueing[speaker]:
                break
        return kept


@settings(max_examples=settings().max_examples)  # an example takes ten milliseconds
@given(chunks=CHUNKS)
def test_everybody_gets_the_same(reference: Reference, keyp: Keyp, chunks: list[tuple[int, list[list[bytes]]]]) -> None:
    with closing(Waiters(reference, keyp)) as talk:
        for speaker, calls in chunks:
            talk.say(speaker, calls)
