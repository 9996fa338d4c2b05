"""Random talk of several clients about channels: each of them hears the same from a real server and from Keyp.

The order of messages by several patterns, which the reference takes from a hash table, is left out of account.
"""

from __future__ import annotations

from contextlib import closing

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential.servers import Keyp, Reference
from tests.differential.talk import Talk
from tests.differential.words import words

PROTOCOLS = (2, 3, 3)

NAMES = st.sampled_from([b"a", b"b", b"ab", b"", b"\0\r\n"])
PATTERNS = st.sampled_from([b"*", b"a*", b"?", b"[ab]", b"", b"ab"])
TEXTS = st.sampled_from([b"", b"x", b"\r\n", b"y" * 300])
KEYS = st.sampled_from([b"k", b"l"])


def some(names: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    return st.lists(names, min_size=1, max_size=3)


CALLS = st.one_of(
    words("SUBSCRIBE", some(NAMES)),
    words("PSUBSCRIBE", some(PATTERNS)),
    words("SSUBSCRIBE", some(NAMES)),
    words("UNSUBSCRIBE", some(NAMES)),
    words("PUNSUBSCRIBE", some(PATTERNS)),
    words("SUNSUBSCRIBE", some(NAMES)),
    words("PUBLISH", NAMES, TEXTS),
    words("PUBLISH", NAMES, TEXTS),
    words("SPUBLISH", NAMES, TEXTS),
    words("PUBSUB", st.just(b"NUMSUB"), some(NAMES)),
    words("PUBSUB", st.just(b"SHARDNUMSUB"), some(NAMES)),
    words("PUBSUB", st.just(b"NUMPAT")),
    words("CLIENT", st.just(b"REPLY"), st.sampled_from([b"ON", b"OFF", b"SKIP"])),
    words("SET", KEYS, TEXTS),
    words("GET", KEYS),
    words("DEL", some(KEYS)),
    words("PING"),
    words("MULTI"),
    words("EXEC"),
    words("EXEC"),
    words("DISCARD"),
    words("RESET"),
    words("NOSUCH"),
)
CHUNKS = st.lists(
    st.tuples(st.integers(0, len(PROTOCOLS) - 1), st.lists(CALLS, min_size=1, max_size=5)), min_size=2, max_size=15
)


class Channels(Talk):
    """Clients that subscribe and publish, at servers which publish the events of keys as well."""

    def __init__(self, reference: Reference, keyp: Keyp) -> None:
        super().__init__(reference, keyp, PROTOCOLS)
        self.publish(b"AKE")

    def say(self, speaker: int, calls: list[list[bytes]]) -> None:
        queue = self.ours[speaker].connection.connection.client.state.queue
        calls = without_differences(calls, queue is not None)
        for index, (theirs, ours) in enumerate(self.heard(speaker, calls)):
            assert in_order(theirs) == in_order(ours), (
                f"client {index} hears after {calls}: from them {theirs}, from us {ours}"
            )


def without_differences(calls: list[list[bytes]], queueing: bool) -> list[list[bytes]]:
    """The calls but for those that Valkey refuses to queue, with words of its own."""
    kept: list[list[bytes]] = []
    for call in calls:
        if queueing and call[0] in (b"MULTI", b"CLIENT"):
            continue
        queueing = call[0] == b"MULTI" or (queueing and call[0] not in (b"EXEC", b"DISCARD", b"RESET"))
        kept.append(call)
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
    with closing(Channels(reference, keyp)) as talk:
        for speaker, calls in chunks:
            talk.say(speaker, calls)
