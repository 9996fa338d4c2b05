"""Random calls of the commands on bits of strings, and on HyperLogLogs."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.differential.servers import ONE_MEGABYTE
from tests.differential.words import INTEGERS, KEYS, MANY_KEYS, POSITIONS, VALUES, Strategy, flags, some, words

BITS = st.sampled_from(["0", "1", "1", "2", "-1", "x"]).map(str.encode)
BIT_OFFSETS = st.one_of(
    st.integers(0, 70).map(str).map(str.encode),
    st.sampled_from([524119, 524127, 524128, 600_000, 8 * ONE_MEGABYTE - 1, 8 * ONE_MEGABYTE, 2**32, -1]).map(
        lambda n: b"%d" % n
    ),
)
BIT_UNITS: Any = st.one_of(st.just([]), flags("BIT", "BYTE"))
FIELD_TYPES = st.one_of(
    st.integers(1, 64).map(lambda bits: b"i%d" % bits),
    st.integers(1, 63).map(lambda bits: b"u%d" % bits),
    st.sampled_from([b"u8", b"i8", b"u2", b"i64", b"u0", b"u64", b"i65", b"x8"]),
)
FIELD_OFFSETS = st.one_of(BIT_OFFSETS, st.integers(0, 9).map(lambda index: b"#%d" % index))
FIELD_READS = words("GET", FIELD_TYPES, FIELD_OFFSETS)
FIELD_OPERATIONS = some(
    FIELD_READS,
    words("SET", FIELD_TYPES, FIELD_OFFSETS, INTEGERS),
    words("INCRBY", FIELD_TYPES, FIELD_OFFSETS, INTEGERS),
    words("OVERFLOW", st.sampled_from([b"WRAP", b"SAT", b"FAIL"])),
)
ELEMENTS = st.lists(st.one_of(VALUES, st.integers(0, 10**6).map(str).map(str.encode)), max_size=20)

TEMPLATES: dict[str, Strategy] = {
    "SETBIT": words(KEYS, BIT_OFFSETS, BITS),
    "GETBIT": words(KEYS, BIT_OFFSETS),
    "BITCOUNT": words(KEYS, st.one_of(st.just([]), words(POSITIONS, POSITIONS, BIT_UNITS))),
    "BITPOS": words(KEYS, BITS, st.one_of(st.just([]), words(POSITIONS), words(POSITIONS, POSITIONS, BIT_UNITS))),
    "BITOP": words(st.sampled_from([b"AND", b"OR", b"XOR", b"NOT"]), KEYS, MANY_KEYS),
    "BITFIELD": words(KEYS, FIELD_OPERATIONS),
    "BITFIELD_RO": words(KEYS, some(FIELD_READS)),
    "PFADD": words(KEYS, ELEMENTS),
    "PFCOUNT": words(KEYS, KEYS, MANY_KEYS),
    "PFMERGE": words(KEYS, MANY_KEYS),
    "PFDEBUG": words(st.sampled_from([b"ENCODING", b"DECODE", b"TODENSE"]), KEYS),
}
