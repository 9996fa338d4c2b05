"""Counters: rows of what a key holds, what is added, and the new number or error, as a real server gave it."""

from __future__ import annotations

from typing import Any

import pytest

from keyp.algorithms import long_double

NOT_AN_INTEGER = "ERR value is not an integer or out of range"
NOT_A_FLOAT = "ERR value is not a valid float"
NOT_FINITE = "ERR increment would produce NaN or Infinity"
OVERFLOW = "ERR increment or decrement would overflow"
MAX, MIN = 9223372036854775807, -9223372036854775808


@pytest.mark.parametrize(
    ("old", "command", "expected"),
    [
        (None, "INCR k", 1),
        (None, "DECR k", -1),
        (None, "INCRBY k 5", 5),
        (None, "DECRBY k 5", -5),
        ("10", "INCR k", 11),
        ("10", "DECR k", 9),
        ("-10", "INCRBY k 10", 0),
        ("-10", "DECRBY k -10", 0),
        (f"{MAX - 1}", "INCR k", MAX),
        (f"{MAX}", "INCR k", OVERFLOW),
        (f"{MIN}", "DECR k", OVERFLOW),
        (f"{MIN}", f"INCRBY k {MAX}", -1),
        (f"{MAX}", f"INCRBY k {MIN}", -1),
        (None, f"INCRBY k {MAX}", MAX),
        (None, f"INCRBY k {MIN}", MIN),
        ("1", f"INCRBY k {MAX}", OVERFLOW),
        (None, f"DECRBY k {MIN}", "ERR decrement would overflow"),
        ("x", f"DECRBY k {MIN}", "ERR decrement would overflow"),
        (None, f"DECRBY k {MAX}", -MAX),
        (None, "INCRBY k 9223372036854775808", NOT_AN_INTEGER),
        (None, "INCRBY k 1.0", NOT_AN_INTEGER),
        (None, "INCRBY k ''", NOT_AN_INTEGER),
        (None, "INCRBY k +1", NOT_AN_INTEGER),
        ("", "INCR k", NOT_AN_INTEGER),
        ("1.5", "INCR k", NOT_AN_INTEGER),
        (" 1", "INCR k", NOT_AN_INTEGER),
        ("1 ", "INCR k", NOT_AN_INTEGER),
        ("01", "INCR k", NOT_AN_INTEGER),
        ("-0", "INCR k", NOT_AN_INTEGER),
        ("9223372036854775808", "INCR k", NOT_AN_INTEGER),
        ("1" * 70_000, "INCR k", NOT_AN_INTEGER),
    ],
)
def test_whole_numbers(keyp: Any, old: str | None, command: str, expected: int | str) -> None:
    if old is not None:
        keyp.run("SET", "k", old)
    assert keyp.answer(command) == expected
    left = str(expected) if isinstance(expected, int) else old
    assert keyp.run("GET", "k") == (None if left is None else left.encode())


FLOATS = [
    (None, "0", "0"),
    (None, "10.5", "10.5"),
    ("10.50", "0.1", "10.6"),
    ("3.0e3", "200", "3200"),
    ("5.0e3", "2.0e2", "5200"),
    ("3", "5.0e-2", "3.05"),
    ("1", "-1", "0"),
    ("0", "-0.0", "0"),
    ("-0.0", "-0.0", "0"),
    ("1.5", "1.5", "3"),
    ("0.1", "0.2", "0.3"),
    ("1", "1e-17", "1.00000000000000001"),
    ("0", "1e-17", "0.00000000000000001"),
    ("0", "1e-18", "0"),
    ("0", "-1e-18", "0"),
    ("100000000000000000000", "1", "100000000000000000000"),
    ("1e30", "1", "1000000000000000000024696061952"),
    ("9223372036854775807", "1", "9223372036854775808"),
    ("3.14159265358979323846", "0", "3.14159265358979324"),
    ("17179869184", "1.5", "17179869185.5"),
    ("0x10", "0x.8p1", "17"),
    ("0", "inf", NOT_FINITE),
    ("-inf", "1", NOT_FINITE),
    ("infinity", "-Infinity", NOT_FINITE),
    ("1.18973149535723176502e+4932", "1.18973149535723176502e+4932", NOT_FINITE),
    ("0", "1e4933", NOT_A_FLOAT),
    ("0", "1e-5000", NOT_A_FLOAT),
    ("0", "1e-4940", "0"),
    ("0", "0e99999999999999999999", "0"),
    ("0", "1e99999999999999999999", NOT_A_FLOAT),
    ("0", "nan", NOT_A_FLOAT),
    ("0", "", NOT_A_FLOAT),
    ("", "1", NOT_A_FLOAT),
    ("0", " 1", NOT_A_FLOAT),
    ("0", "1 ", NOT_A_FLOAT),
    ("0", "1_0", NOT_A_FLOAT),
    ("0", "1e", NOT_A_FLOAT),
    ("0", ".", NOT_A_FLOAT),
    ("0", "0x", NOT_A_FLOAT),
    ("0", "1\0", NOT_A_FLOAT),
    ("abc", "1", NOT_A_FLOAT),
    ("1" * 5119, "1", NOT_A_FLOAT),
    ("0" * 5118 + "1", "1", "2"),
    ("0" * 5119 + "1", "1", NOT_A_FLOAT),
    ("1" * 70_000, "1", NOT_A_FLOAT),
]


@pytest.mark.parametrize(("old", "increment", "expected"), FLOATS)
def test_floats(keyp: Any, old: str | None, increment: str, expected: str) -> None:
    if old is not None:
        keyp.run("SET", "k", old)
    assert keyp.answer("INCRBYFLOAT k", increment) == (expected if expected.startswith("ERR") else expected.encode())
    left = old if expected.startswith("ERR") else expected
    assert keyp.run("GET", "k") == (None if left is None else left.encode())


def test_the_largest_number_is_written_out(keyp: Any) -> None:
    largest = keyp.answer("INCRBYFLOAT k 1.18973149535723176502e+4932")
    assert len(largest) == 4933
    assert largest.startswith(b"118973149535723176502126385303097020516906332229462420044032")
    assert keyp.answer("INCRBYFLOAT k 1") == largest


@pytest.mark.parametrize(
    ("data", "mantissa", "exponent"),
    [
        (b"1", 1, 0),
        (b"18446744073709551615", (1 << 64) - 1, 0),
        (b"18446744073709551617", 1 << 63, 1),  # a tie goes to the even mantissa
        (b"18446744073709551619", (1 << 63) + 2, 1),
        (b"18446744073709551617.0000000000000000000001", (1 << 63) + 1, 1),
        (b"0.5", 1, -1),
        (b"3.64519953188247460253e-4951", 1, -16445),  # the smallest of all
        (b"-0x1.8p1", -3, 0),
    ],
)
def test_rounding_to_the_mantissa(data: bytes, mantissa: int, exponent: int) -> None:
    number = long_double.parse(data)
    assert number is not None
    assert number.mantissa * 2 ** (number.exponent + 16445) == mantissa * 2 ** (exponent + 16445)
