"""Random calls of the commands on streams. Ids are given, so that both servers have the same ones."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.differential.words import INTEGERS, KEYS, Strategy, flags, some, words

IDS = st.one_of(
    st.sampled_from(["0", "1", "1-1", "1-2", "2", "2-1", "3", "4", "5", "5-5", "9", "0-0", "0-1"]).map(str.encode),
    st.sampled_from(
        ["18446744073709551615-18446744073709551615", "18446744073709551615", "7-18446744073709551615"]
    ).map(str.encode),
)
ODD_IDS = st.sampled_from(
    ["", "-", "+", "$", ">", "*", "01", "+1", " 1", "1-", "-1", "1-1-1", "1-+1", "1-01", "1--1", "1-x", "1 ", "1-1 ",
     "18446744073709551616", "1-18446744073709551616", "0x1", "1e3", "1.5", "*-1", "1-**", "1\0", "1-\0", "1-1\0x"]
).map(str.encode)  # fmt: skip
NEW_IDS = st.one_of(IDS, st.sampled_from(["1-*", "2-*", "3-*", "9-*", "0-*"]).map(str.encode), IDS, ODD_IDS)
SOME_IDS = st.lists(IDS, min_size=1, max_size=3)
ENDS = st.one_of(IDS, st.sampled_from(["-", "+", "(1", "(2-1", "(-", "(+", "(0-0", "("]).map(str.encode), ODD_IDS)
FIELDS = st.sampled_from([[b"f", b"v"], [b"f", b"v", b"g", b"w"], [b"", b"\r\n"], [b"f"], [b"f", b"v" * 5000]])
GROUPS = st.sampled_from(["g", "g", "h", ""]).map(str.encode)
CONSUMERS = st.sampled_from(["c", "c", "d", "e"]).map(str.encode)
COUNTS = some(words("COUNT", st.sampled_from([b"0", b"1", b"2", b"-1", b"100"])))
SIZES = st.sampled_from([b"0", b"1", b"2", b"3", b"100", b"-1"])
TRIMMING = st.one_of(
    words("MAXLEN", flags("=", "~"), SIZES),
    words("MAXLEN", SIZES),
    words("MINID", flags("=", "~"), IDS),
    words("MINID", IDS),
    words("MAXLEN", "~", SIZES, "LIMIT", SIZES),
)
READ = st.tuples(st.lists(st.tuples(KEYS, IDS), min_size=1, max_size=3)).map(
    lambda found: [*[key for key, _ in found[0]], *[entry_id for _, entry_id in found[0]]]
)
IDLE = st.sampled_from([b"0", b"-1", b"1000000"])  # milliseconds: any time that passes between is short of the last

TEMPLATES: dict[str, Strategy] = {
    "XADD": words(KEYS, some(flags("NOMKSTREAM"), TRIMMING), NEW_IDS.filter(lambda word: word != b"*"), FIELDS),
    "XLEN": words(KEYS),
    "XRANGE": words(KEYS, ENDS, ENDS, COUNTS),
    "XREVRANGE": words(KEYS, ENDS, ENDS, COUNTS),
    "XDEL": words(KEYS, SOME_IDS),
    "XTRIM": words(KEYS, TRIMMING),
    "XSETID": words(KEYS, IDS, some(words("ENTRIESADDED", INTEGERS), words("MAXDELETEDID", IDS))),
    "XREAD": words(COUNTS, "STREAMS", READ),
    "XACK": words(KEYS, GROUPS, SOME_IDS),
    "XPENDING": words(KEYS, GROUPS, st.one_of(st.just([]), words(ENDS, ENDS, st.just(b"0")))),
    "XCLAIM": words(
        KEYS, GROUPS, CONSUMERS, IDLE, SOME_IDS, some(flags("FORCE"), flags("JUSTID"), words("LASTID", IDS))
    ),
    "XAUTOCLAIM": words(KEYS, GROUPS, CONSUMERS, IDLE, ENDS, some(flags("JUSTID"), words("COUNT", SIZES))),
    "XREADGROUP": words("GROUP", GROUPS, CONSUMERS, COUNTS, some(flags("NOACK")), "STREAMS", READ),
    "XGROUP": st.one_of(
        words("CREATE", KEYS, GROUPS, IDS, some(flags("MKSTREAM"), words("ENTRIESREAD", INTEGERS))),
        words("SETID", KEYS, GROUPS, st.one_of(IDS, st.just(b"$"))),
        words("DESTROY", KEYS, GROUPS),
        words("CREATECONSUMER", KEYS, GROUPS, CONSUMERS),
        words("DELCONSUMER", KEYS, GROUPS, CONSUMERS),
    ),
}
