"""Random calls of the commands on lists."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.differential.words import INTEGERS, KEYS, MANY_KEYS, Strategy, some, words

ELEMENTS = st.sampled_from(["a", "b", "c", "1", "", "x" * 70]).map(str.encode)
MANY = st.lists(ELEMENTS, min_size=1, max_size=5)
SMALL = st.integers(-7, 7).map(lambda number: b"%d" % number)
INDEXES = st.one_of(SMALL, SMALL, SMALL, INTEGERS)
# The reference has defects beyond: LSET, or LREM from the end, with numbers of all 64 bits.
NARROW = st.one_of(SMALL, SMALL, SMALL, st.sampled_from([b"100", b"-100", b"2147483647"]))
ENDS = st.sampled_from([b"LEFT", b"RIGHT", b"left"])
COUNTS = st.lists(st.sampled_from([b"0", b"1", b"2", b"5"]), max_size=1)
NUMBERED = MANY_KEYS.map(lambda keys: [b"%d" % len(keys), *keys])

TEMPLATES: dict[str, Strategy] = {
    "LPUSH": words(KEYS, MANY),
    "RPUSH": words(KEYS, MANY),
    "LPUSHX": words(KEYS, MANY),
    "RPUSHX": words(KEYS, MANY),
    "LPOP": words(KEYS, COUNTS),
    "RPOP": words(KEYS, COUNTS),
    "LLEN": words(KEYS),
    "LINDEX": words(KEYS, INDEXES),
    "LRANGE": words(KEYS, INDEXES, INDEXES),
    "LSET": words(KEYS, NARROW, ELEMENTS),
    "LTRIM": words(KEYS, INDEXES, INDEXES),
    "LINSERT": words(KEYS, st.sampled_from([b"BEFORE", b"AFTER"]), ELEMENTS, ELEMENTS),
    "LREM": words(KEYS, NARROW, ELEMENTS),
    "LPOS": words(KEYS, ELEMENTS, some(words("RANK", INDEXES), words("COUNT", SMALL), words("MAXLEN", SMALL))),
    "LMOVE": words(KEYS, KEYS, ENDS, ENDS),
    "RPOPLPUSH": words(KEYS, KEYS),
    "LMPOP": words(NUMBERED, ENDS, some(words("COUNT", SMALL))),
}
