"""Random sequences on two streams with several groups and consumers: the same replies, byte for byte but for times.

Ids are given, so that both servers have the same; times since something are compared within a tolerance.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests import wire
from tests.differential.servers import Keyp, Reference
from tests.differential.words import Strategy, flags, some, words

TOLERANCE_MS = 5000

KEYS = st.sampled_from([b"s", b"s", b"t"])
MANY_KEYS = st.lists(KEYS, min_size=1, max_size=2)
IDS = st.integers(0, 12).map(lambda number: b"0-%d" % number)
SOME_IDS = st.lists(IDS, min_size=1, max_size=4)
GROUPS = st.sampled_from([b"g", b"g", b"h"])
CONSUMERS = st.sampled_from([b"a", b"b", b"c"])
COUNTS = some(words("COUNT", st.sampled_from([b"1", b"2", b"3"])))
SIZES = st.integers(0, 8).map(lambda number: b"%d" % number)
TRIMMING = st.one_of(
    words("MAXLEN", "=", SIZES),
    words("MAXLEN", "~", SIZES),
    words("MINID", "=", IDS),
    words("MINID", "~", IDS),
    words("MAXLEN", "~", SIZES, "LIMIT", SIZES),
)
IDLE = st.sampled_from([b"0", b"1000000"])
NEW = MANY_KEYS.map(lambda keys: [*keys, *[b">"] * len(keys)])
HISTORY = words(KEYS, IDS)

CALLS: Strategy = st.one_of(
    words("XADD", KEYS, "0-*", "f", "v"),
    words("XADD", KEYS, "0-*", "f", "v"),
    words("XADD", KEYS, TRIMMING, "0-*", "f", "v", "g", "w"),
    words("XADD", KEYS, IDS, "f", "v"),
    words("XRANGE", KEYS, IDS, IDS),
    words("XREVRANGE", KEYS, "+", IDS, COUNTS),
    words("XREAD", COUNTS, "STREAMS", HISTORY),
    words("XDEL", KEYS, SOME_IDS),
    words("XTRIM", KEYS, TRIMMING),
    words("XSETID", KEYS, IDS, some(words("ENTRIESADDED", SIZES), words("MAXDELETEDID", IDS))),
    words("XGROUP", "CREATE", KEYS, GROUPS, st.sampled_from([b"0", b"$"]), "MKSTREAM"),
    words("XGROUP", "CREATE", KEYS, GROUPS, IDS, "ENTRIESREAD", SIZES),
    words("XGROUP", "SETID", KEYS, GROUPS, IDS),
    words("XGROUP", "DESTROY", KEYS, GROUPS),
    words("XGROUP", "CREATECONSUMER", KEYS, GROUPS, CONSUMERS),
    words("XGROUP", "DELCONSUMER", KEYS, GROUPS, CONSUMERS),
    words("XREADGROUP", "GROUP", GROUPS, CONSUMERS, COUNTS, "STREAMS", NEW),
    words("XREADGROUP", "GROUP", GROUPS, CONSUMERS, COUNTS, "STREAMS", NEW),
    words("XREADGROUP", "GROUP", GROUPS, CONSUMERS, "NOACK", COUNTS, "STREAMS", NEW),
    words("XREADGROUP", "GROUP", GROUPS, CONSUMERS, COUNTS, "STREAMS", HISTORY),
    words("XACK", KEYS, GROUPS, SOME_IDS),
    words("XPENDING", KEYS, GROUPS),
    words("XPENDING", KEYS, GROUPS, IDS, "+", "10", some(CONSUMERS.map(lambda name: [name]))),
    words("XCLAIM", KEYS, GROUPS, CONSUMERS, IDLE, SOME_IDS, some(flags("FORCE"), flags("JUSTID"))),
    words("XCLAIM", KEYS, GROUPS, CONSUMERS, "0", SOME_IDS, "IDLE", "1000000", some(words("RETRYCOUNT", SIZES))),
    words("XCLAIM", KEYS, GROUPS, CONSUMERS, "0", SOME_IDS, "LASTID", IDS),
    words("XAUTOCLAIM", KEYS, GROUPS, CONSUMERS, IDLE, IDS, COUNTS, some(flags("JUSTID"))),
    words("COPY", "s", "t", "REPLACE"),
    words("RENAME", "t", "s"),
    words("DEL", "t"),
)
LOOKS = [
    [b"XRANGE", b"-", b"+"],
    [b"XINFO", b"STREAM", b"FULL"],
    [b"XPENDING", b"g", b"-", b"+", b"100"],
    [b"XPENDING", b"h"],
    [b"XINFO", b"CONSUMERS", b"g"],
    [b"XINFO", b"GROUPS"],
]
TIMES = (b"seen-time", b"active-time", b"idle", b"inactive")
COUNTERS = (b"lag", b"entries-read")  # where Valkey 9 has another idea than Redis 7.2 (see `test_same_counters`)


def without_times(call: list[bytes], reply: Any) -> Any:
    """A reply in which times since something are rounded beyond what may pass between two calls, others left out."""
    if call[0] == b"XPENDING" and len(call) > 3 and isinstance(reply, list):
        return [[entry_id, name, idle // TOLERANCE_MS, count] for entry_id, name, idle, count in reply]
    is_full = call[:2] == [b"XINFO", b"STREAM"]
    return _without_times(reply, is_full)


def _without_times(reply: Any, is_full: bool) -> Any:
    if isinstance(reply, list):
        return [_without_times(one, is_full) for one in reply]
    if not isinstance(reply, dict):
        return reply
    shown: dict[bytes, Any] = {}
    for name, value in reply.items():
        if name in TIMES:
            shown[name] = value > 0 if is_full else value // TOLERANCE_MS
        elif name == b"pending" and isinstance(value, list):
            shown[name] = [[*one[:-2], one[-1]] for one in value]
        elif name not in COUNTERS:
            shown[name] = _without_times(value, is_full)
    return shown


def looks() -> list[list[bytes]]:
    """What asks for all there is of both streams."""
    found: list[list[bytes]] = []
    for key in (b"s", b"t"):
        for look in LOOKS:
            at = 2 if look[0] == b"XINFO" else 1
            found.append([*look[:at], key, *look[at:]])
    return found


BEGIN = [[b"XGROUP", b"CREATE", b"s", b"g", b"0", b"MKSTREAM"]]


@settings(max_examples=2 * settings().max_examples)
@given(calls=st.lists(CALLS, min_size=5, max_size=40))
def test_same_replies(reference: Reference, keyp: Keyp, calls: list[list[bytes]]) -> None:
    reference.clear()
    keyp.clear()
    with closing(reference.connect()) as theirs, closing(keyp.connect()) as ours:
        for client in (theirs, ours):
            client.send(wire.request(b"HELLO", b"3"), 1)
        for call in [*BEGIN, *calls, *looks()]:
            data = wire.request(*call)
            one, other = [wire.parse(client.send(data, 1)[0]) for client in (theirs, ours)]
            note(f"{call}: {other}")
            assert without_times(call, one) == without_times(call, other), f"{call}: they say {one}, we say {other}"


@settings(max_examples=2 * settings().max_examples)
@given(calls=st.lists(CALLS, min_size=5, max_size=40))
def test_same_counters(redis_server: Reference, keyp: Keyp, calls: list[list[bytes]]) -> None:
    """How many entries a group has read and has still to read, as Redis counts and estimates them."""
    redis_server.clear()
    keyp.clear()
    with closing(redis_server.connect()) as theirs, closing(keyp.connect()) as ours:
        for client in (theirs, ours):
            client.send(wire.request(b"HELLO", b"3"), 1)
        for call in [*BEGIN, *calls]:
            if call[0] == b"XSETID":
                continue  # Redis 7.0 accepts ids that are less than what was deleted
            for client in (theirs, ours):
                client.send(wire.request(*call), 1)
            look = wire.request(b"XINFO", b"GROUPS", b"s")
            one, other = [_counters(wire.parse(client.send(look, 1)[0])) for client in (theirs, ours)]
            note(f"{call}: {other}")
            assert one == other, f"{call}: they say {one}, we say {other}"


def _counters(groups: list[dict[bytes, Any]]) -> list[dict[bytes, Any]]:
    """What XINFO GROUPS says of reading; other fields are compared elsewhere."""
    return [{name: one[name] for name in (b"name", b"last-delivered-id", *COUNTERS)} for one in groups]
