"""Random calls of the commands on sorted sets and on places of the earth.

Scores are such that sums have few digits. Ranges by member are asked only of the key `lex`, whose members have all the
same score, because elsewhere the reference's replies depend on how it keeps the set. A long member comes without
conditions, because one that is not added changes the set's encoding all the same.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.differential.words import INTEGERS, KEYS, MANY_KEYS, PATTERNS, Strategy, flags, some, words

SCORES = st.sampled_from(
    ["0", "1", "2", "3", "-1", "1.5", "0.25", "-2.5", "10", "1e10", "inf", "-inf", "-0", "+inf", "nan", "x"]
).map(str.encode)
SHORT_MEMBERS = st.sampled_from(["a", "b", "c", "d", "e", "f", ""]).map(str.encode)
MEMBERS = st.one_of(SHORT_MEMBERS, SHORT_MEMBERS, st.sampled_from([b"x" * 65, b"y" * 500]))
LEX_MEMBERS = st.sampled_from(["a", "aa", "ab", "b", "ba", "c", "", "\xff", "z"]).map(
    lambda text: text.encode("latin-1")
)
SMALL = st.integers(-7, 7).map(lambda number: b"%d" % number)
RANKS = st.one_of(SMALL, SMALL, SMALL, INTEGERS)
BOUNDS = st.sampled_from(["0", "1", "(1", "(2", "3", "-inf", "+inf", "(inf", "-1", "1.5", "", "(", "x"]).map(str.encode)
LEX_BOUNDS = st.sampled_from(["-", "+", "[a", "(a", "[ab", "(b", "[c", "(", "[", "[zz", "x"]).map(str.encode)
LEX = b"lex"
NO_OPTIONS: Any = st.just([])
LIMITS = words("LIMIT", st.integers(0, 7).map(lambda number: b"%d" % number), SMALL)
WITHSCORES = flags("WITHSCORES")
NUMBERED = MANY_KEYS.map(lambda keys: [b"%d" % len(keys), *keys])
AGGREGATES = words("AGGREGATE", st.sampled_from([b"SUM", b"MIN", b"MAX", b"min"]))
WEIGHTS = st.lists(SCORES, min_size=1, max_size=4).map(lambda found: [b"WEIGHTS", *found])
ENDS = st.sampled_from([b"MIN", b"MAX", b"max"])
COUNTS = st.lists(st.sampled_from([b"0", b"1", b"2", b"5", b"-1"]), max_size=1)


def elements(members: Strategy) -> Strategy:
    """Up to four scores with members."""
    pairs = st.lists(st.tuples(SCORES, members).map(list), min_size=1, max_size=4)
    return pairs.map(lambda found: [word for pair in found for word in pair])


ONE_LEX_ELEMENT = words(st.just(LEX), "0", LEX_MEMBERS)

CONDITIONS = some(flags("NX", "XX", "GT", "LT", "CH", "INCR"))
STORED = some(WEIGHTS, AGGREGATES)
COMBINED = some(WEIGHTS, AGGREGATES, WITHSCORES)


def by_member(options: Strategy) -> Strategy:
    return words(st.just(LEX), LEX_BOUNDS, LEX_BOUNDS, options)


RANGES = st.one_of(
    words(RANKS, RANKS, some(flags("REV", "WITHSCORES"), LIMITS)),
    words(BOUNDS, BOUNDS, "BYSCORE", some(flags("REV", "WITHSCORES"), LIMITS)),
)
STORED_RANGES = st.one_of(
    words(RANKS, RANKS, some(flags("REV"))),
    words(BOUNDS, BOUNDS, "BYSCORE", some(flags("REV"), LIMITS)),
)
BY_SCORE = words(KEYS, BOUNDS, BOUNDS, some(WITHSCORES, LIMITS))

LONGITUDES = st.sampled_from(["0", "10", "-10.5", "13.361389", "15.087269", "179.9", "-180", "181"]).map(str.encode)
LATITUDES = st.sampled_from(["0", "5", "-5.25", "38.115556", "37.502669", "-80", "85.05112878", "86"]).map(str.encode)
RADII = st.sampled_from(["0", "1", "200", "1000.5", "20000", "-1", "x"]).map(str.encode)
UNITS = st.sampled_from([b"m", b"km", b"KM", b"ft", b"mi", b"parsec"])


def places(members: Strategy) -> Strategy:
    """Some places to add."""
    place = st.tuples(LONGITUDES, LATITUDES, members).map(list)
    return st.lists(place, min_size=1, max_size=3).map(lambda found: [word for one in found for word in one])


# Not COUNT without ANY: which of two places at the same distance comes first is left to the reference's sorting.
SHOWN = some(flags("WITHCOORD", "WITHDIST", "WITHHASH"), words("COUNT", SMALL, "ANY"))
REGIONS = st.one_of(words("BYRADIUS", RADII, UNITS), words("BYBOX", RADII, RADII, UNITS))
MIDDLES = words("FROMLONLAT", LONGITUDES, LATITUDES)
STORES = some(words(st.sampled_from([b"STORE", b"STOREDIST"]), KEYS))

TEMPLATES: dict[str, Strategy] = {
    "ZADD": st.one_of(
        words(KEYS, elements(MEMBERS)), words(KEYS, CONDITIONS, elements(SHORT_MEMBERS)), ONE_LEX_ELEMENT
    ),
    "ZINCRBY": words(KEYS, SCORES, MEMBERS),
    "ZREM": words(KEYS, st.lists(MEMBERS, min_size=1, max_size=3)),
    "ZCARD": words(KEYS),
    "ZSCORE": words(KEYS, MEMBERS),
    "ZMSCORE": words(KEYS, st.lists(MEMBERS, min_size=1, max_size=3)),
    "ZRANK": words(KEYS, MEMBERS, some(flags("WITHSCORE"))),
    "ZREVRANK": words(KEYS, MEMBERS, some(flags("WITHSCORE"))),
    "ZCOUNT": words(KEYS, BOUNDS, BOUNDS),
    "ZLEXCOUNT": by_member(NO_OPTIONS),
    "ZRANGE": st.one_of(words(KEYS, RANGES), by_member(some(flags("BYLEX", "REV"), LIMITS))),
    "ZRANGESTORE": words(KEYS, KEYS, STORED_RANGES),
    "ZREVRANGE": words(KEYS, RANKS, RANKS, some(WITHSCORES)),
    "ZRANGEBYSCORE": BY_SCORE,
    "ZREVRANGEBYSCORE": BY_SCORE,
    "ZRANGEBYLEX": by_member(some(LIMITS)),
    "ZREVRANGEBYLEX": by_member(some(LIMITS)),
    "ZREMRANGEBYRANK": words(KEYS, RANKS, RANKS),
    "ZREMRANGEBYSCORE": words(KEYS, BOUNDS, BOUNDS),
    "ZREMRANGEBYLEX": by_member(NO_OPTIONS),
    "ZPOPMIN": words(KEYS, COUNTS),
    "ZPOPMAX": words(KEYS, COUNTS),
    "ZMPOP": words(NUMBERED, ENDS, some(words("COUNT", SMALL))),
    "ZUNION": words(NUMBERED, COMBINED),
    "ZINTER": words(NUMBERED, COMBINED),
    "ZDIFF": words(NUMBERED, some(WITHSCORES)),
    "ZINTERCARD": words(NUMBERED, some(words("LIMIT", SMALL))),
    "ZUNIONSTORE": words(KEYS, NUMBERED, STORED),
    "ZINTERSTORE": words(KEYS, NUMBERED, STORED),
    "ZDIFFSTORE": words(KEYS, NUMBERED),
    "ZRANDMEMBER": words(KEYS, st.one_of(NO_OPTIONS, words(SMALL, some(WITHSCORES)))),
    "ZSCAN": words(KEYS, "0", "COUNT", "1000", some(words("MATCH", PATTERNS), words("COUNT", st.just(b"5000")))),
    "GEOADD": st.one_of(
        words(KEYS, places(MEMBERS)), words(KEYS, some(flags("NX", "XX", "CH")), places(SHORT_MEMBERS))
    ),
    "GEOPOS": words(KEYS, st.lists(MEMBERS, max_size=3)),
    "GEOHASH": words(KEYS, st.lists(MEMBERS, max_size=3)),
    "GEODIST": words(KEYS, MEMBERS, MEMBERS, st.one_of(NO_OPTIONS, UNITS)),
    "GEOSEARCH": words(KEYS, MIDDLES, REGIONS, SHOWN),
    "GEOSEARCHSTORE": words(KEYS, KEYS, MIDDLES, REGIONS, some(words("COUNT", SMALL, "ANY"))),
    "GEORADIUS": words(KEYS, LONGITUDES, LATITUDES, RADII, UNITS, st.one_of(SHOWN, STORES)),
    "GEORADIUS_RO": words(KEYS, LONGITUDES, LATITUDES, RADII, UNITS, SHOWN),
}


def is_read_otherwise(call: list[object]) -> bool:
    """Whether a call has a word that Valkey reads as a score in another way than Redis 7.2 (`differences.py`)."""
    name = call[0]
    assert isinstance(name, bytes)
    return name[:1].upper() in (b"Z", b"G") and any(word in (b"0x10", b" 1") for word in call)
