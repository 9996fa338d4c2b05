"""Words for random calls: names, values, numbers, times and nonsense, and how arguments are made of them.

Names and values come from small alphabets, so that commands meet.

Deadlines are absolute and far in the future, or long past, so that replies are exact. Those counted from now are
`Span`s: each gets a length of its own when it is sent, because two that are equal would be ordered by the
milliseconds between them.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.differential.servers import ONE_MEGABYTE

Strategy = st.SearchStrategy[Any]


class Span:
    """A time from now: about `seconds`, given in units of so many milliseconds."""

    def __init__(self, seconds: int, unit_ms: int) -> None:
        self.seconds = seconds
        self.unit_ms = unit_ms

    def __repr__(self) -> str:
        return f"<about {self.seconds} s, in units of {self.unit_ms} ms>"

    def word(self, serial: int) -> bytes:
        """The number to send; another for every `serial` below a hundred."""
        return b"%d" % ((self.seconds + 100 * serial) * 1000 // self.unit_ms)


def lengthened(text: str) -> bytes:
    """`text`, or what a short form like `x*480` stands for."""
    letter, star, count = text.partition("*")
    return letter.encode("latin-1") * int(count) if star and count.isdigit() else text.encode("latin-1")


KEYS = st.sampled_from(["a", "a", "b", "b", "c", "", "\0\xff\r\n", "k*480", "k*600"]).map(lengthened)
INTEGERS = st.sampled_from(
    ["0", "1", "-1", "2", "3", "10", "-10", "100", "1023", "9223372036854775807", "9223372036854775806",
     "-9223372036854775808", "-9223372036854775807", "4611686018427387904"]
).map(str.encode)  # fmt: skip
FLOATS = st.sampled_from(
    ["0.1", "-0.1", "1.5", "3", "1e3", "1e-3", ".5", "5.", "1e17", "1e20", "-1e22", "0x10", "0x1p-3", "inf", "-inf",
     "1e308", "1e400", "123456789.123456789", "0.000001", "3.0000000000000001", "1e-17", "1e-18", "-0", "+5",
     "17179869185.5"]
).map(str.encode)  # fmt: skip
NONSENSE = st.sampled_from(
    ["", " ", "abc", "1.5", " 1", "1 ", "+1", "01", "-0", "--1", "1e3", "0x10", "nan", "inf", "9223372036854775808",
     "-9223372036854775809", "99999999999999999999", "2147483648", "1_0", "\0", "1\0", "\r\n", "\xe9", "*", "[",
     "x*130", "NX", "GET", "EX", "DB", "COUNT", "REPLACE", "PERSIST", "KEEPTTL"]
).map(lengthened)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(["", "abc", "hello world", "0", "1", "-5", "10", "3.5", "\0\r\n", "x*44", "x*64", "x*70000"]).map(
        lengthened
    ),
    INTEGERS,
    FLOATS,
    NONSENSE,
    st.binary(max_size=4),
)
OFFSETS = st.one_of(
    st.integers(0, 12).map(str).map(str.encode),
    st.sampled_from([65519, 65520, 70000, ONE_MEGABYTE - 1, ONE_MEGABYTE, 2**31, 2**63 - 1]).map(lambda n: b"%d" % n),
)
POSITIONS = st.one_of(st.integers(-15, 15).map(str).map(str.encode), OFFSETS, INTEGERS)
PATTERNS = st.sampled_from(["*", "a", "a*", "?", "[ab]", "[^a]", "*k", "k*", "\\a", "[", "[a", "", "b?", "**"]).map(
    str.encode
)
INDEXES = st.sampled_from(["0", "1", "2", "15", "16", "-1", "01", "abc"]).map(str.encode)

SPANS_S = st.sampled_from([100_000, 200_000, 5_000_000])
SECONDS = st.one_of(
    SPANS_S.map(lambda seconds: Span(seconds, 1000)),
    st.sampled_from(["0", "-1", "9223372036854775807", "9223372036854775", "9223372036854776", "x"]).map(str.encode),
)
MILLISECONDS = st.one_of(
    SPANS_S.map(lambda seconds: Span(seconds, 1)),
    st.sampled_from(["0", "-1", "9223372036854775807", "9223372036854775808", "x"]).map(str.encode),
)
UNIX_SECONDS = st.sampled_from(["4000000000", "4000000001", "9000000000", "1", "0", "-1", "9223372036854776"]).map(
    str.encode
)
UNIX_MILLISECONDS = st.sampled_from(
    ["4000000000123", "4000000000499", "4000000000500", "9000000000000", "1", "0", "-1", "9223372036854775807"]
).map(str.encode)


def words(*parts: Any) -> Strategy:
    """Arguments: each from its strategy, or as it stands; a list is several of them."""
    drawn = [part if isinstance(part, st.SearchStrategy) else st.just(part.encode()) for part in parts]
    return st.tuples(*drawn).map(lambda found: [word for part in found for word in _flat(part)])


def _flat(part: Any) -> list[Any]:
    return part if isinstance(part, list) else [part]


def some(*choices: Strategy) -> Strategy:
    """Up to three options, in any order."""
    return st.lists(st.one_of(*choices), max_size=3).map(lambda found: [word for part in found for word in part])


def flags(*names: str) -> Strategy:
    return st.sampled_from(names).map(lambda name: [name.encode()])


TIMES = st.one_of(
    words("EX", SECONDS), words("PX", MILLISECONDS), words("EXAT", UNIX_SECONDS), words("PXAT", UNIX_MILLISECONDS)
)
VALID_TIMES = st.one_of(
    words("EX", SPANS_S.map(lambda seconds: Span(seconds, 1000))),
    words("PXAT", st.sampled_from([b"4000000000123", b"4000000000500", b"1"])),
    words("EXAT", st.sampled_from([b"4000000000", b"1"])),
)
MANY_KEYS = st.lists(KEYS, min_size=1, max_size=4)
PAIRS = st.lists(st.tuples(KEYS, VALUES).map(list), min_size=1, max_size=3).map(
    lambda found: [word for pair in found for word in pair]
)
