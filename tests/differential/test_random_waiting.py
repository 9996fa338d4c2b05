"""Random calls of several clients that may wait for keys: each of them gets the same from a real server and from Keyp.

A listener receives every event of a key too, so that what is done for blocked clients is done in the same order. Nobody
sends anything behind a command that waits: whose pipeline goes on first, when several go on, is each server's own.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests import wire
from tests.differential.servers import Keyp, KeypConnection, Reference, ReferenceConnection

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


def call(name: bytes, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[list[bytes]]:
    """Calls of one command; an argument may be a list of several."""
    return st.tuples(*arguments).map(
        lambda found: [name, *[word for part in found for word in (part if isinstance(part, list) else [part])]]
    )


WAITING = st.one_of(
    call(b"BLPOP", MANY_KEYS, NO_END),
    call(b"BRPOP", MANY_KEYS, NO_END),
    call(b"BLMOVE", KEYS, KEYS, ENDS, ENDS, NO_END),
    call(b"BRPOPLPUSH", KEYS, KEYS, NO_END),
    call(b"BLMPOP", NO_END, NUMBERED, ENDS, COUNTS),
    call(b"BZPOPMIN", MANY_KEYS, NO_END),
    call(b"BZPOPMAX", MANY_KEYS, NO_END),
    call(b"BZMPOP", NO_END, NUMBERED, EXTREMES, COUNTS),
)
OTHERS = st.one_of(
    call(b"RPUSH", KEYS, ELEMENTS),
    call(b"LPUSH", KEYS, ELEMENTS),
    call(b"RPUSH", KEYS, ELEMENTS),
    call(b"ZADD", KEYS, MEMBERS),
    call(b"LMOVE", KEYS, KEYS, ENDS, ENDS),
    call(b"LINSERT", KEYS, st.just(b"BEFORE"), st.just(b"1"), st.just(b"2")),
    call(b"LPOP", KEYS),
    call(b"LRANGE", KEYS, st.just(b"0"), st.just(b"-1")),
    call(b"DEL", KEYS),
    call(b"SET", KEYS, st.just(b"text")),
    call(b"RENAME", KEYS, KEYS),
    call(b"COPY", KEYS, KEYS),
    call(b"EXISTS", MANY_KEYS),
    call(b"MULTI"),
    call(b"EXEC"),
    call(b"EXEC"),
    call(b"PING"),
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


class Talk:
    """The same clients at both servers, and a listener to what happens to keys."""

    def __init__(self, reference: Reference, keyp: Keyp) -> None:
        reference.clear()
        keyp.clear()
        self.theirs: list[ReferenceConnection] = [reference.connect() for _ in range(len(PROTOCOLS) + 1)]
        self.ours: list[KeypConnection] = [keyp.connect() for _ in range(len(PROTOCOLS) + 1)]
        self.queueing = [False for _ in PROTOCOLS]
        self.controls = (reference.connect(), keyp.connect())
        for control in self.controls:
            control.send(wire.request(b"CONFIG", b"SET", b"notify-keyspace-events", b"AEn"), 1)
        for client in (self.theirs[-1], self.ours[-1]):
            client.send(wire.request(b"PSUBSCRIBE", b"*"), 1)
        for index, protocol in enumerate(PROTOCOLS):
            for client in (self.theirs[index], self.ours[index]):
                client.send(wire.request(b"HELLO", b"%d" % protocol), 1)

    def say(self, speaker: int, calls: list[list[bytes]]) -> None:
        if self.ours[speaker].connection.connection.client.waiting:
            return
        calls = self._possible(speaker, calls)
        data = b"".join([wire.request(*words) for words in calls])
        self.theirs[speaker].send(data, 0)
        said = self.ours[speaker].send(data, 0)
        note(f"client {speaker}: {calls}")
        for index, (one, other) in enumerate(zip(self.theirs, self.ours, strict=True)):
            theirs, ours = one.hear(), other.hear()
            if index == speaker:
                ours = said + ours
            assert theirs == ours, f"client {index} hears after {calls}: from them {theirs}, from us {ours}"

    def _possible(self, speaker: int, calls: list[list[bytes]]) -> list[list[bytes]]:
        """Calls up to one that may wait, without a MULTI inside another one, which Valkey refuses in its own words."""
        kept: list[list[bytes]] = []
        for words in calls:
            if words[0] == b"MULTI" and self.queueing[speaker]:
                continue
            kept.append(words)
            if words[0] in (b"MULTI", b"EXEC"):
                self.queueing[speaker] = words[0] == b"MULTI"
            elif words[0].startswith(b"B") and not self.queueing[speaker]:
                break
        return kept

    def close(self) -> None:
        for control in self.controls:
            control.send(wire.request(b"CONFIG", b"SET", b"notify-keyspace-events", b""), 1)
        clients: list[ReferenceConnection | KeypConnection] = [*self.theirs, *self.ours, *self.controls]
        for client in clients:
            client.close()


@settings(max_examples=settings().max_examples)  # an example takes ten milliseconds
@given(chunks=CHUNKS)
def test_everybody_gets_the_same(reference: Reference, keyp: Keyp, chunks: list[tuple[int, list[list[bytes]]]]) -> None:
    with closing(Talk(reference, keyp)) as talk:
        for speaker, calls in chunks:
            talk.say(speaker, calls)
