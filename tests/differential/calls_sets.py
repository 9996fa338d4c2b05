"""Random calls of the commands on sets.

SPOP takes none or all: random members would make the two servers' sets different ones.
"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.differential.calls_hashes import SCAN_OPTIONS
from tests.differential.words import INTEGERS, KEYS, MANY_KEYS, Strategy, lengthened, some, words

MEMBERS = st.one_of(
    st.sampled_from(["1", "2", "3", "01", "-0"]).map(str.encode),
    INTEGERS,
    st.sampled_from(["a", "b", "c", "", "x*64", "x*65", "x*480", "x*600"]).map(lengthened),
)
MANY = st.lists(MEMBERS, min_size=1, max_size=5)
COUNTS = st.lists(st.sampled_from([b"0", b"1", b"5", b"-2", b"1000"]), max_size=1)
NUMBERED = MANY_KEYS.map(lambda keys: [b"%d" % len(keys), *keys])

TEMPLATES: dict[str, Strategy] = {
    "SADD": words(KEYS, MANY),
    "SREM": words(KEYS, MANY),
    "SMOVE": words(KEYS, KEYS, MEMBERS),
    "SPOP": words(KEYS, st.sampled_from([b"0", b"1000", b"-1", b"x"])),
    "SRANDMEMBER": words(KEYS, COUNTS),
    "SISMEMBER": words(KEYS, MEMBERS),
    "SMISMEMBER": words(KEYS, MANY),
    "SCARD": words(KEYS),
    "SMEMBERS": words(KEYS),
    "SSCAN": words(KEYS, "0", "COUNT", "1000", SCAN_OPTIONS),
    "SINTER": words(MANY_KEYS),
    "SUNION": words(MANY_KEYS),
    "SDIFF": words(MANY_KEYS),
    "SINTERSTORE": words(KEYS, MANY_KEYS),
    "SUNIONSTORE": words(KEYS, MANY_KEYS),
    "SDIFFSTORE": words(KEYS, MANY_KEYS),
    "SINTERCARD": words(NUMBERED, some(words("LIMIT", INTEGERS))),
}
