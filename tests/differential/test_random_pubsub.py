"""Random talk of several clients about channels: each of them hears the same from a real server and from Keyp.

The order of messages by several patterns, which the reference takes from a hash table, is left out of account.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests import wire
from tests.differential.servers import Keyp, KeypConnection, Reference, ReferenceConnection

PROTOCOLS = (2, 3, 3)

NAMES = st.sampled_from([b"a", b"b", b"ab", b"", b"\0\r\n"])
PATTERNS = st.sampled_from([b"*", b"a*", b"?", b"[ab]", b"", b"ab"])
TEXTS = st.sampled_from([b"", b"x", b"\r\n", b"y" * 300])
KEYS = st.sampled_from([b"k", b"l"])


def call(name: bytes, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[list[bytes]]:
    """Calls of one command; an argument may be a list of several."""
    return st.tuples(*arguments).map(
        lambda found: [name, *[word for part in found for word in (part if isinstance(part, list) else [part])]]
    )


def some(names: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    return st.lists(names, min_size=1, max_size=3)


CALLS = st.one_of(
    call(b"SUBSCRIBE", some(NAMES)),
    call(b"PSUBSCRIBE", some(PATTERNS)),
    call(b"SSUBSCRIBE", some(NAMES)),
    call(b"UNSUBSCRIBE", some(NAMES)),
    call(b"PUNSUBSCRIBE", some(PATTERNS)),
    call(b"SUNSUBSCRIBE", some(NAMES)),
    call(b"PUBLISH", NAMES, TEXTS),
    call(b"PUBLISH", NAMES, TEXTS),
    call(b"SPUBLISH", NAMES, TEXTS),
    call(b"PUBSUB", st.just(b"NUMSUB"), some(NAMES)),
    call(b"PUBSUB", st.just(b"SHARDNUMSUB"), some(NAMES)),
    call(b"PUBSUB", st.just(b"NUMPAT")),
    call(b"CLIENT", st.just(b"REPLY"), st.sampled_from([b"ON", b"OFF", b"SKIP"])),
    call(b"SET", KEYS, TEXTS),
    call(b"GET", KEYS),
    call(b"DEL", some(KEYS)),
    call(b"PING"),
    call(b"MULTI"),
    call(b"EXEC"),
    call(b"EXEC"),
    call(b"DISCARD"),
    call(b"RESET"),
    call(b"NOSUCH"),
)
CHUNKS = st.lists(
    st.tuples(st.integers(0, len(PROTOCOLS) - 1), st.lists(CALLS, min_size=1, max_size=5)), min_size=2, max_size=15
)


class Talk:
    """The same clients at both servers, which publish the events of keys as well."""

    def __init__(self, reference: Reference, keyp: Keyp) -> None:
        reference.clear()
        keyp.clear()
        self.theirs: list[ReferenceConnection] = [reference.connect() for _ in PROTOCOLS]
        self.ours: list[KeypConnection] = [keyp.connect() for _ in PROTOCOLS]
        self.controls = (reference.connect(), keyp.connect())
        for control in self.controls:
            control.send(wire.request(b"CONFIG", b"SET", b"notify-keyspace-events", b"AKE"), 1)
        for index, protocol in enumerate(PROTOCOLS):
            for client in (self.theirs[index], self.ours[index]):
                client.send(wire.request(b"HELLO", b"%d" % protocol), 1)

    def say(self, speaker: int, calls: list[list[bytes]]) -> None:
        queue = self.ours[speaker].connection.connection.client.state.queue
        calls = without_differences(calls, queue is not None)
        data = b"".join([wire.request(*words) for words in calls])
        self.theirs[speaker].send(data, 0)
        said = self.ours[speaker].send(data, 0)
        note(f"client {speaker}: {calls}")
        for index, (one, other) in enumerate(zip(self.theirs, self.ours, strict=True)):
            theirs, ours = one.hear(), other.hear()
            if index == speaker:
                ours = said + ours
            assert in_order(theirs) == in_order(ours), (
                f"client {index} hears after {calls}: from them {theirs}, from us {ours}"
            )

    def close(self) -> None:
        for control in self.controls:
            control.send(wire.request(b"CONFIG", b"SET", b"notify-keyspace-events", b""), 1)
        clients: list[ReferenceConnection | KeypConnection] = [*self.theirs, *self.ours, *self.controls]
        for client in clients:
            client.close()


def without_differences(calls: list[list[bytes]], queueing: bool) -> list[list[bytes]]:
    """The calls but for those that Valkey refuses to queue, with words of its own."""
    kept: list[list[bytes]] = []
    for words in calls:
        if queueing and words[0] in (b"MULTI", b"CLIENT"):
            continue
        queueing = words[0] == b"MULTI" or (queueing and words[0] not in (b"EXEC", b"DISCARD", b"RESET"))
        kept.append(words)
    return kept


def in_order(received: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """All but the messages by pattern, in their order, and these in any."""
    by_pattern = [b"$8\r\npmessage\r\n" in message[:20] for message in received]
    pairs = list(zip(received, by_pattern, strict=True))
    return [one for one, is_such in pairs if not is_such], sorted(one for one, is_such in pairs if is_such)


@settings(max_examples=settings().max_examples)
@given(chunks=CHUNKS)
def test_everybody_hears_the_same(
    reference: Reference, keyp: Keyp, chunks: list[tuple[int, list[list[bytes]]]]
) -> None:
    with closing(Talk(reference, keyp)) as talk:
        for speaker, calls in chunks:
            talk.say(speaker, calls)
