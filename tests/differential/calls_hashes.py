"""Random calls of the commands on hashes."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.differential.words import FLOATS, INTEGERS, KEYS, PATTERNS, VALUES, Strategy, lengthened, some, words

FIELDS = st.sampled_from(["a", "a", "b", "c", "1", "", "x*64", "x*65", "x*480", "x*600"]).map(lengthened)
MANY_FIELDS = st.lists(FIELDS, min_size=1, max_size=4)
SHORT_VALUES = st.one_of(st.sampled_from([b"", b"abc", b"5", b"-7", b"1.5", b"x" * 64]), INTEGERS, FLOATS)
PAIRS = st.lists(
    st.tuples(FIELDS, st.one_of(SHORT_VALUES, SHORT_VALUES, VALUES)).map(list), min_size=1, max_size=3
).map(lambda found: [word for pair in found for word in pair])
COUNTS = st.sampled_from([b"0", b"1", b"5", b"-2", b"1000"])
SCAN_OPTIONS = some(words("MATCH", PATTERNS), words("COUNT", st.sampled_from([b"1000", b"5000", b"0", b"x"])))

TEMPLATES: dict[str, Strategy] = {
    "HSET": words(KEYS, PAIRS),
    "HMSET": words(KEYS, PAIRS),
    "HSETNX": words(KEYS, FIELDS, VALUES),
    "HGET": words(KEYS, FIELDS),
    "HMGET": words(KEYS, MANY_FIELDS),
    "HGETALL": words(KEYS),
    "HDEL": words(KEYS, MANY_FIELDS),
    "HEXISTS": words(KEYS, FIELDS),
    "HLEN": words(KEYS),
    "HKEYS": words(KEYS),
    "HVALS": words(KEYS),
    "HSTRLEN": words(KEYS, FIELDS),
    "HINCRBY": words(KEYS, FIELDS, INTEGERS),
    "HINCRBYFLOAT": words(KEYS, FIELDS, FLOATS),
    "HRANDFIELD": words(
        KEYS, st.one_of(st.just([]), words(COUNTS), words(COUNTS, "WITHVALUES"), words(INTEGERS, "WITHVALUES"))
    ),
    "HSCAN": words(KEYS, "0", "COUNT", "1000", SCAN_OPTIONS),
}
