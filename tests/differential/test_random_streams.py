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


def without_times(call: list[bytes], reply: Any) -> Any:
    """A reply in which times since something, and times of day, are rounded beyond what may pass between two calls."""
    if call[0] == b"XPENDING" and len(call) > 3 and isinstance(reply, list):
        return [[entry_id, name, idle // TOLERANCE_MS, count] for entry_id, name, idle, count in reply]
    if call[:2] == [b"XINFO", b"STREAM"]:
        return _without_deliveries(reply)
    return _rounded(reply)


def _without_deliveries(reply: Any) -> Any:
    """The same for XINFO STREAM FULL, whose lists of pending entries have the times among other numbers.

    Where tombstones stand before the first entry, Valkey has another idea of a group's lag than Redis 7.2.
    """
    if isinstance(reply, dict):
        shown = {name: _without_deliveries(value) for name, value in reply.items() if name not in (b"lag", *TIMES)}
        if b"pending" in shown:
            shown[b"pending"] = [[*one[:-2], one[-1]] for one in reply[b"pending"]]
        return shown
    return [_without_deliveries(one) for one in reply] if isinstance(reply, list) else reply


def _rounded(reply: Any) -> Any:
    if isinstance(reply, dict):
        return {
            name: value // TOLERANCE_MS if name in TIMES else _rounded(value)
            for name, value in reply.items()
            if name not in (b"lag", b"entries-read")
        }
    return [_rounded(one) for one in reply] if isinstance(reply, list) else reply


@settings(max_examples=2 * settings().max_examples)
@given(calls=st.lists(CALLS, min_size=5, max_size=40))
def test_same_replies(reference: Reference, keyp: Keyp, calls: list[list[bytes]]) -> None:
    reference.clear()
    keyp.clear()
    looks = [[*look[: 2 if look[0] == b"XINFO" else 1], key, *look[2 if look[0] == b"XINFO" else 1 :]]
             for key in (b"s", b"t") for look in LOOKS]  # fmt: skip
    with closing(reference.connect()) as theirs, closing(keyp.connect()) as ours:
        for client in (theirs, ours):
            client.send(wire.request(b"HELLO", b"3"), 1)
        for call in [[b"XGROUP", b"CREATE", b"s", b"g", b"0", b"MKSTREAM"], *calls, *looks]:
            data = wire.request(*call)
            one, other = [wire.parse(client.send(data, 1)[0]) for client in (theirs, ours)]
            note(f"{call}: {other}")
            assert without_times(call, one) == without_times(call, other), f"{call}: they say {one}, we say {other}"
