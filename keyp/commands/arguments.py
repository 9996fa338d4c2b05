"""Arguments from bytes to numbers, as strictly as the reference does it."""

from __future__ import annotations

from math import isinf, isnan
from typing import Final

from keyp.errors import NOT_A_FLOAT, NOT_AN_INTEGER, CommandError

INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1


def to_int64(data: bytes) -> int | None:
    """The signed 64-bit number in its one canonical spelling; None for every other text.

    No sign but a minus, no leading zeros, no spaces, not `-0` (the reference's string2ll).
    """
    length = len(data)
    if length == 0 or length > 20:
        return None
    if length == 1:
        return data[0] - 48 if 48 <= data[0] <= 57 else None
    digits = data[1:] if data[0] == 45 else data
    if not digits.isdigit() or digits[0] == 48:
        return None
    value = int(data)
    return value if INT64_MIN <= value <= INT64_MAX else None


def integer(data: bytes, error: str = NOT_AN_INTEGER) -> int:
    """A signed 64-bit argument. Raises `error`."""
    value = to_int64(data)
    if value is None:
        raise CommandError(error)
    return value


def integer_between(data: bytes, low: int, high: int, error: str = NOT_AN_INTEGER) -> int:
    """An integer argument within bounds, both included. Raises `error`."""
    value = to_int64(data)
    if value is None or not low <= value <= high:
        raise CommandError(error)
    return value


def real(data: bytes, error: str = NOT_A_FLOAT) -> float:
    """A floating-point argument, infinities allowed, NaN not. Raises `error`."""
    text = data.strip() if data[:1].isspace() else data
    if text != data or not data or b"_" in data or data[-1:].isspace():
        raise CommandError(error)
    try:
        value = float(data)
    except ValueError:
        value = _hexadecimal(data, error)
    if isnan(value) or (isinf(value) and b"n" not in data.lower()):
        raise CommandError(error)
    return value


def _hexadecimal(data: bytes, error: str) -> float:
    """strtod reads C's hexadecimal floats too, and so must we."""
    digits = data.lower().lstrip(b"+-")
    if digits.startswith(b"0x"):
        try:
            return float.fromhex(data.decode("ascii"))
        except (ValueError, OverflowError):
            pass
    raise CommandError(error)
