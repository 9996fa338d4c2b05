"""Redis's floating-point numbers for counters and timeouts: C's `long double` on x86-64, to the last bit.

INCRBYFLOAT and HINCRBYFLOAT read two texts, add them with a 64-bit mantissa and write the sum with up to seventeen
decimals and no exponent. The mantissa's rounding shows in the replies, so it is done here with whole numbers as the
processor does it: to the nearest, ties to even.

A finite number is mantissa times two to the exponent.
"""

from __future__ import annotations

import re
from typing import Final

MANTISSA_BITS: Final = 64
LOWEST_EXPONENT: Final = -16445  # of the last bit of the smallest numbers
HIGHEST_EXPONENT: Final = 16384  # numbers reach up to, not including, two to this

LONGEST_TEXT: Final = 5119
DECIMALS: Final = 17

# Decimal exponents beyond these are out of range whatever the digits are.
_TOO_LARGE: Final = 5000
_TOO_SMALL: Final = -5000

# Python refuses to convert longer runs of digits at once.
_DIGITS_AT_ONCE: Final = 4000

_DECIMAL: Final = re.compile(rb"([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?")
_HEXADECIMAL: Final = re.compile(rb"([+-]?)0[xX]([0-9a-fA-F]*)\.?([0-9a-fA-F]*)(?:[pP]([+-]?[0-9]+))?")
_INFINITE: Final = re.compile(rb"[+-]?inf(?:inity)?", re.IGNORECASE)


class LongDouble:
    """One number; `finite` is False for the infinities, whose other fields mean nothing."""

    def __init__(self, mantissa: int, exponent: int, finite: bool = True) -> None:
        self.mantissa = mantissa
        self.exponent = exponent
        self.finite = finite


def parse(data: bytes) -> LongDouble | None:
    """The number a text stands for, infinities included; None where it is none or out of range (string2ld, strtold)."""
    if not 0 < len(data) <= LONGEST_TEXT:
        return None
    if match := _DECIMAL.fullmatch(data):
        sign, whole, fraction, power = match.groups()
        number = _from_decimal(whole + fraction, _exponent(power) - len(fraction))
    elif match := _HEXADECIMAL.fullmatch(data):
        sign, whole, fraction, power = match.groups()
        digits = whole + fraction
        number = _from_binary(int(digits, 16), _exponent(power) - 4 * len(fraction)) if digits else None
    else:
        return LongDouble(0, 0, finite=False) if _INFINITE.fullmatch(data) else None
    if number is None or not number.finite:
        return None
    return LongDouble(-number.mantissa, number.exponent) if sign == b"-" else number


def add(one: LongDouble, other: LongDouble) -> LongDouble:
    """The sum, rounded; not finite where an operand is not or the sum is too large."""
    if not (one.finite and other.finite):
        return LongDouble(0, 0, finite=False)
    exponent = min(one.exponent, other.exponent)
    total = (one.mantissa << one.exponent - exponent) + (other.mantissa << other.exponent - exponent)
    rounded = _round(abs(total), exponent)
    return LongDouble(-rounded.mantissa, rounded.exponent, rounded.finite) if total < 0 else rounded


def times(number: LongDouble, factor: int) -> LongDouble:
    """The product with a factor of at least 0, rounded; not finite where the number is not or it is too large."""
    if not number.finite:
        return number
    rounded = _round(abs(number.mantissa) * factor, number.exponent)
    return LongDouble(-rounded.mantissa, rounded.exponent, rounded.finite) if number.mantissa < 0 else rounded


def ceiling(number: LongDouble) -> int:
    """The least whole number that is not below a finite one (ceill)."""
    if number.exponent >= 0:
        return number.mantissa << number.exponent
    return -(-number.mantissa >> -number.exponent)


def text(number: LongDouble) -> bytes:
    """A finite number as digits with up to seventeen decimals, without trailing zeros, without an exponent."""
    magnitude = abs(number.mantissa)
    if number.exponent >= 0:
        digits = _digits(magnitude << number.exponent)
    else:
        scaled = _shift_right(magnitude * 10**DECIMALS, -number.exponent)
        whole, fraction = divmod(scaled, 10**DECIMALS)
        digits = (_digits(whole) + b"." + b"%017d" % fraction).rstrip(b"0").rstrip(b".")
    return b"-" + digits if number.mantissa < 0 and digits != b"0" else digits


def _from_decimal(digits: bytes, exponent: int) -> LongDouble | None:
    if not digits:
        return None
    significant = digits.lstrip(b"0")
    if not significant:
        return LongDouble(0, 0)
    if not _TOO_SMALL < len(significant) + exponent < _TOO_LARGE:
        return None
    value = _whole(significant)
    if exponent >= 0:
        return _round(value * 10**exponent, 0)
    divisor = 10**-exponent
    shift = max(0, MANTISSA_BITS + 2 + divisor.bit_length() - value.bit_length())
    quotient, rest = divmod(value << shift, divisor)
    # A last bit that only says "and a little more" is enough to round right.
    return _unless_lost(_round(quotient << 1 | (rest != 0), -shift - 1))


def _from_binary(value: int, exponent: int) -> LongDouble | None:
    if value == 0:
        return LongDouble(0, 0)
    if not LOWEST_EXPONENT - 2 < value.bit_length() + exponent <= HIGHEST_EXPONENT + 1:
        return None
    return _unless_lost(_round(value, exponent))


def _unless_lost(number: LongDouble) -> LongDouble | None:
    """None where something that is not zero has been rounded to zero."""
    return number if number.mantissa else None


def _round(value: int, exponent: int) -> LongDouble:
    """The nearest number to value times two to the exponent, for value >= 0."""
    excess = max(value.bit_length() - MANTISSA_BITS, LOWEST_EXPONENT - exponent)
    if excess > 0:
        value = _shift_right(value, excess)
        exponent += excess
    if value.bit_length() + exponent > HIGHEST_EXPONENT:
        return LongDouble(0, 0, finite=False)
    return LongDouble(value, exponent)


def _shift_right(value: int, bits: int) -> int:
    """value divided by two to the `bits`, to the nearest, ties to even."""
    quotient = value >> bits
    rest = value - (quotient << bits)
    half = 1 << bits - 1
    if rest > half or (rest == half and quotient & 1):
        quotient += 1
    return quotient


def _exponent(digits: bytes | None) -> int:
    """An exponent as written; one of absurd size is replaced by one that is out of range all the same."""
    if digits is None:
        return 0
    magnitude = digits.lstrip(b"+-").lstrip(b"0")
    value = int(magnitude or b"0") if len(magnitude) < 9 else 1 << 30
    return -value if digits.startswith(b"-") else value


def _whole(digits: bytes) -> int:
    if len(digits) <= _DIGITS_AT_ONCE:
        return int(digits)
    power: int = 10**_DIGITS_AT_ONCE
    return int(digits[:-_DIGITS_AT_ONCE]) * power + int(digits[-_DIGITS_AT_ONCE:])


def _digits(value: int) -> bytes:
    if value < 1 << 64:
        return b"%d" % value
    high, low = divmod(value, 10**_DIGITS_AT_ONCE)
    return b"%d" % low if high == 0 else b"%d" % high + b"%04000d" % low
