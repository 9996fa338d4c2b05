"""Random sequences of commands, from two clients in chunks of several commands, give the same replies on both servers.

One client speaks RESP2, the other RESP3. Replies are compared byte for byte; only what time, chance and the order of
names decide is compared as `agreement.py` says.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from keyp.command.encodings import EMBEDDED_MAX
from tests import wire
from tests.differential.agreement import ANY_ORDER, ENCODED, EXACT, KIND, NEARLY, OF_TEXTS, SCANNED, agree
from tests.differential.calls import CALLS
from tests.differential.servers import Keyp, Reference
from tests.differential.words import KEYS, Span

PROTOCOLS = (2, 3)
EXAMPLES = 2 * settings().max_examples  # an example takes ten milliseconds
CHUNKS = st.lists(
    st.tuples(st.integers(0, len(PROTOCOLS) - 1), st.lists(CALLS, min_size=1, max_size=5)), min_size=1, max_size=12
)
LONG_NAME = 40  # bytes; beyond it Valkey may not embed a value that we embed
FAR = 3_000_000_000  # deadlines beyond this many seconds were given as such, and are compared exactly
COMPARED = {
    b"TTL": NEARLY,
    b"PTTL": NEARLY,
    b"EXPIRETIME": NEARLY,
    b"PEXPIRETIME": NEARLY,
    b"KEYS": ANY_ORDER,
    b"SCAN": SCANNED,
    b"HGETALL": ANY_ORDER,
    b"HKEYS": ANY_ORDER,
    b"HVALS": ANY_ORDER,
    b"HSCAN": SCANNED,
    b"HRANDFIELD": KIND,
    b"SMEMBERS": ANY_ORDER,
    b"SINTER": ANY_ORDER,
    b"SUNION": ANY_ORDER,
    b"SDIFF": ANY_ORDER,
    b"SPOP": ANY_ORDER,
    b"SSCAN": SCANNED,
    b"SRANDMEMBER": KIND,
    b"ZSCAN": SCANNED,
    b"ZRANDMEMBER": KIND,
    b"OBJECT": ENCODED,
    b"RANDOMKEY": KIND,
    b"DBSIZE": KIND,  # while the reference forgets expired keys when it meets them, Keyp's reads change nothing
}


class Sides:
    """Both servers, emptied, with a client of each protocol."""

    def __init__(self, reference: Reference, keyp: Keyp) -> None:
        reference.clear()
        keyp.clear()
        self.theirs = [reference.connect() for _ in PROTOCOLS]
        self.ours = [keyp.connect() for _ in PROTOCOLS]
        for index, protocol in enumerate(PROTOCOLS):
            hello = wire.request(b"HELLO", b"%d" % protocol)
            self.theirs[index].send(hello, 1)
            self.ours[index].send(hello, 1)
        self.serial = 0
        self.has_sorted = False
        self.has_renamed_long = False
        self.has_run_scripts = False

    def say(self, client: int, calls: list[list[Any]]) -> None:
        """Sends a chunk to both and compares the replies."""
        chunk: list[list[bytes]] = []
        for call in calls:
            self.serial += 1
            chunk.append([word.word(self.serial) if isinstance(word, Span) else word for word in call])
            self.has_sorted = self.has_sorted or call[0].upper().startswith(b"SORT")
            self.has_run_scripts = self.has_run_scripts or call[0].upper().startswith(b"EVAL")
            if call[0].upper() in (b"RENAME", b"RENAMENX", b"COPY"):
                self.has_renamed_long = self.has_renamed_long or max(map(len, chunk[-1])) > LONG_NAME
        data = b"".join([wire.request(*call) for call in chunk])
        theirs = self.theirs[client].send(data, len(chunk))
        ours = self.ours[client].send(data, len(chunk))
        note(f"client {client}: {chunk}")
        assert len(theirs) == len(ours)
        for call, one, other in zip(chunk, theirs, ours, strict=True):
            assert agree(how_to_compare(call, one), call, one, other), (
                f"{call}: they say {one[:300]!r}, we say {other[:300]!r}"
            )

    def compare_everything(self) -> None:
        """What is stored in the end: every key, its value, deadline and encoding, in the databases commands use."""
        for index in (b"0", b"1", b"2", b"15"):
            self.say(0, [[b"SELECT", index], [b"KEYS", b"*"]])
            names = wire.parse(self.ours[0].send(wire.request(b"KEYS", b"*"), 1)[0])
            for name in names:
                self.say(0, [[b"GET", name], [b"PEXPIRETIME", name], [b"TYPE", name]])
                self.say(1, [[b"SELECT", index], [b"HGETALL", name], [b"SMEMBERS", name]])
                self.say(1, [[b"LRANGE", name, b"0", b"-1"], [b"ZRANGE", name, b"0", b"-1", b"WITHSCORES"]])
                self.compare_encodings(name)

    def compare_encodings(self, name: bytes) -> None:
        """Compares the encodings, but for what Valkey chooses in its own way.

        It embeds longer strings, the longer the shorter the name they were set under, and SORT changes the form of a
        sorted set. What a script sets may stay as the text that it was.
        """
        call = wire.request(b"OBJECT", b"ENCODING", name)
        length = self.ours[0].send(wire.request(b"STRLEN", name), 1)[0]
        theirs, ours = self.theirs[0].send(call, 1)[0], self.ours[0].send(call, 1)[0]
        is_long = (
            self.has_renamed_long or len(name) > LONG_NAME or (length[:1] == b":" and int(length[1:]) > EMBEDDED_MAX)
        )
        if self.has_run_scripts and {theirs, ours} <= {*OF_TEXTS, b"$3\r\nint\r\n"}:
            return
        how = ENCODED if is_long or self.has_sorted else EXACT
        assert agree(how, [b"OBJECT"], theirs, ours), f"the encoding of {name!r}: {theirs!r} for them, {ours!r} for us"

    def close(self) -> None:
        for one, other in zip(self.theirs, self.ours, strict=True):
            one.close()
            other.close()


def how_to_compare(call: list[bytes], theirs: bytes) -> str:
    """How the replies to a call have to agree."""
    name = call[0].upper()
    how = COMPARED.get(name, EXACT)
    if how == NEARLY and name.endswith(b"EXPIRETIME") and theirs[:1] == b":":
        return EXACT if int(theirs[1:]) // (1000 if name[:1] == b"P" else 1) > FAR else NEARLY
    return how


@settings(max_examples=EXAMPLES)
@given(chunks=CHUNKS)
def test_same_replies(reference: Reference, keyp: Keyp, chunks: list[tuple[int, list[list[Any]]]]) -> None:
    with closing(Sides(reference, keyp)) as sides:
        for client, calls in chunks:
            sides.say(client, calls)
        sides.compare_everything()


def is_watched_alike(call: list[Any]) -> bool:
    """Whether both servers take a call for the same change of what is watched (see `differences.py`)."""
    words = [word.upper() for word in call if isinstance(word, bytes)]
    return words[0] != b"SWAPDB" and not (words[0] == b"BITFIELD" and b"FAIL" in words)


# Transactions: the keys that are watched exist.
QUEUED = CALLS.filter(is_watched_alike)
WATCHED = st.lists(KEYS, min_size=1, max_size=3)
TRANSACTION_STEPS = st.one_of(
    QUEUED.map(lambda call: [call]),
    QUEUED.map(lambda call: [call]),
    WATCHED.map(lambda keys: [*[[b"SET", key, b"1"] for key in keys], [b"WATCH", *keys]]),
    st.just([[b"MULTI"]]),
    st.just([[b"EXEC"]]),
    st.just([[b"EXEC"]]),
    st.just([[b"DISCARD"]]),
    st.just([[b"UNWATCH"]]),
    st.lists(QUEUED, max_size=4).map(lambda calls: [[b"MULTI"], *calls, [b"EXEC"]]),
)


@settings(max_examples=EXAMPLES)
@given(steps=st.lists(st.tuples(st.integers(0, len(PROTOCOLS) - 1), TRANSACTION_STEPS), min_size=3, max_size=25))
def test_same_transactions(reference: Reference, keyp: Keyp, steps: list[tuple[int, list[list[Any]]]]) -> None:
    queues: list[list[list[Any]] | None] = [None for _ in PROTOCOLS]
    with closing(Sides(reference, keyp)) as sides:
        for client, calls in steps:
            for call in calls:
                say_one(sides, queues, client, call)


def say_one(sides: Sides, queues: list[list[list[Any]] | None], client: int, call: list[Any]) -> None:
    """One command; the replies inside an EXEC are compared one by one."""
    queue = queues[client]
    if call in ([b"MULTI"], [b"WATCH"]) and queue is not None:
        return  # errors whose text Valkey has changed
    if call[0] == b"WATCH" and queue is not None:
        return
    if call == [b"EXEC"] and queue is not None:
        queues[client] = None
        data = wire.request(b"EXEC")
        theirs, ours = sides.theirs[client].send(data, 1)[0], sides.ours[client].send(data, 1)[0]
        note(f"client {client}: EXEC")
        assert theirs[:2] == ours[:2], f"EXEC of {queue}: they say {theirs!r}, we say {ours!r}"
        if theirs[:1] != b"*" or theirs[:2] == b"*-":
            assert theirs == ours
            return
        pairs = zip(queue, inside(theirs), inside(ours), strict=True)
        for queued, one, other in pairs:
            assert agree(how_to_compare(queued, one), queued, one, other), (
                f"{queued} inside: they say {one[:300]!r}, we say {other[:300]!r}"
            )
        return
    sides.serial += 1
    sent = [word.word(sides.serial) if isinstance(word, Span) else word for word in call]
    data = wire.request(*sent)
    theirs, ours = sides.theirs[client].send(data, 1)[0], sides.ours[client].send(data, 1)[0]
    note(f"client {client}: {sent}")
    how = EXACT if queue is not None else how_to_compare(sent, theirs)
    assert agree(how, sent, theirs, ours), f"{sent}: they say {theirs[:300]!r}, we say {ours[:300]!r}"
    if call == [b"MULTI"]:
        queues[client] = []
    elif call == [b"DISCARD"]:
        queues[client] = None
    elif queue is not None and theirs == b"+QUEUED\r\n":
        queue.append(sent)


def inside(array: bytes) -> list[bytes]:
    """The replies that an array holds."""
    return wire.split(array[array.index(b"\r\n") + 2 :])
