"""Random calls of SORT.

Always with ALPHA or as it is, for Valkey reads some numbers that Redis does not, and does not read others; and never by
other keys, for what weighs the same is in no order where a set is sorted or only a part is wanted.
"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.differential.words import INTEGERS, KEYS, PATTERNS, Strategy, flags, some, words

NUMBERS = st.one_of(st.integers(-2, 5).map(lambda number: b"%d" % number), INTEGERS)
GETS = st.one_of(PATTERNS, st.sampled_from([b"#", b"*", b"*->a", b"*->", b"nosuch*"]))
OPTIONS = some(words("LIMIT", NUMBERS, NUMBERS), words("GET", GETS), flags("ASC", "DESC"))
STORED = st.one_of(words(), words("STORE", KEYS))

TEMPLATES: dict[str, Strategy] = {
    "SORT": st.one_of(
        words(KEYS, "ALPHA", OPTIONS, STORED),
        words(KEYS, "BY", st.sampled_from([b"nosort", b"", b"#"]), OPTIONS, words("STORE", KEYS)),
    ),
    "SORT_RO": words(KEYS, OPTIONS, "ALPHA"),
}
