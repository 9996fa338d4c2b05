"""Arguments as numbers: what C's functions make of a text, as Redis calls them."""

from __future__ import annotations

from math import inf

import pytest

from keyp.command.arguments import bound, real, unsigned
from keyp.errors import NOT_A_FLOAT, CommandError

ERROR = "ERR not this"

NUMBERS = [
    (b"0", 0.0), (b"-0", 0.0), (b"1", 1.0), (b"+1", 1.0), (b".5", 0.5), (b"5.", 5.0), (b"1e3", 1000.0),
    (b"1E-3", 0.001), (b"0x10", 16.0), (b"0X.8p1", 1.0), (b"-0x1p3", -8.0), (b"inf", inf), (b"-INFINITY", -inf),
    (b"0e-999", 0.0), (b"0x0p-9999", 0.0), (b"5e-324", 5e-324), (b"1.7976931348623157e308", 1.7976931348623157e308),
    (b"00012", 12.0),
]  # fmt: skip
NO_NUMBERS = [
    b" ", b"abc", b"1 ", b"1\n", b"nan", b"NaN", b"-nan", b"1_0", b"0x", b"0x1p", b"1e", b"e5", b".", b"+", b"--1",
    b"1,5", b"1.5.5", b"0x1_0", b"\xff", b"1\xff", b"infinit", b"inf1",
]  # fmt: skip


@pytest.mark.parametrize(("text", "number"), NUMBERS)
def test_numbers(text: bytes, number: float) -> None:
    assert real(text) == bound(text, ERROR) == number


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number(text: bytes) -> None:
    with pytest.raises(CommandError, match=NOT_A_FLOAT):
        real(text)
    with pytest.raises(CommandError, match=ERROR):
        bound(text, ERROR)


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"", 0.0), (b"\0", 0.0), (b"1\0abc", 1.0), (b" 1", 1.0), (b"\t\n\v\f\r 1", 1.0), (b"1e400", inf),
     (b"-1e400", -inf), (b"1e-400", 0.0), (b"0x1p5000", inf), (b"-0x1p5000", -inf), (b"0x1p-5000", 0.0)],
)  # fmt: skip
def test_what_only_a_bound_may_be(text: bytes, number: float) -> None:
    assert bound(text, ERROR) == number
    with pytest.raises(CommandError, match=NOT_A_FLOAT):
        real(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"", 0), (b"0", 0), (b"00", 0), (b"-0", 0), (b"+7", 7), (b"007", 7), (b"18446744073709551615", (1 << 64) - 1),
     (b"-1", (1 << 64) - 1), (b"-18446744073709551615", 1), (b"0" * 5000 + b"5", 5), (b"5\0abc", 5), (b"\0", 0)],
)  # fmt: skip
def test_what_strtoul_reads(text: bytes, number: int) -> None:
    assert unsigned(text, ERROR) == number


@pytest.mark.parametrize(
    "text",
    [b"18446744073709551616", b"-18446744073709551616", b"9" * 5000, b"-" + b"9" * 5000, b"1" + b"0" * 20, b" 1", b"1 ",
     b"+", b"-", b"--1", b"+-1", b"0x1", b"1.5", b"1_0", b"\xff", "\u0661".encode(), b"-\0"],
)  # fmt: skip
def test_what_strtoul_does_not_read(text: bytes) -> None:
    with pytest.raises(CommandError, match=ERROR):
        unsigned(text, ERROR)
