"""Numbers with a mantissa of 64 bits, as INCRBYFLOAT adds them."""

from __future__ import annotations

import pytest

from keyp.algorithms import long_double


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
