"""Arguments from bytes to numbers, as strictly as Redis does it."""

from __future__ import annotations

from math import inf, isinf, isnan
from typing import Final

from keyp.errors import NOT_A_FLOAT, NOT_AN_INTEGER, CommandError

INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1
UINT64_END: Final = 1 << 64
UINT64_DIGITS: Final = 20


def to_int64(data: bytes) -> int | None:
    """The signed 64-bit number in its one canonical spelling; None for every other text.

    No sign but a minus, no leading zeros, no spaces, not `-0` (Redis's string2ll).
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


def unsigned(data: bytes, error: str) -> int:
    """An unsigned 64-bit argument as C's strtoul reads one, up to a zero byte: negative numbers count from the end.

    Nothing at all is 0; spaces are no part of it. Raises `error`.
    """
    text = data.partition(b"\0")[0]
    digits = text[1:] if text[:1] in (b"+", b"-") else text
    magnitude = digits.lstrip(b"0")
    if (text and not digits.isdigit()) or len(magnitude) > UINT64_DIGITS:
        raise CommandError(error)
    value = int(magnitude or b"0")
    if value >= UINT64_END:
        raise CommandError(error)
    return -value % UINT64_END if text[:1] == b"-" else value


def real(data: bytes, error: str = NOT_A_FLOAT) -> float:
    """A floating-point argument, infinities allowed, NaN not. Raises `error`, for what is out of range too."""
    if data[:1].isspace():
        raise CommandError(error)
    value = _strtod(data)
    if value is None or isnan(value) or (isinf(value) and b"n" not in data.lower()):
        raise CommandError(error)
    if value == 0 and _has_significant_digit(data):
        raise CommandError(error)
    return value


def bound(data: bytes, error: str) -> float:
    """A bound of a range of numbers: as C reads a number, up to a zero byte; nothing at all is 0. Raises `error`.

    White space before it is passed over; what is too large is infinite, what is too small is 0.
    """
    text = data.partition(b"\0")[0]
    value = _strtod(text.lstrip()) if text else 0.0
    if value is None or isnan(value):
        raise CommandError(error)
    return value


def _strtod(data: bytes) -> float | None:
    """The number that all of a text is for C's strtod, None where there is none; white space is no part of it."""
    if b"_" in data or data[-1:].isspace():
        return None
    try:
        return float(data)
    except ValueError:
        return _hexadecimal(data)


def _hexadecimal(data: bytes) -> float | None:
    """strtod reads C's hexadecimal floats too, and so must we."""
    if not data.lower().lstrip(b"+-").startswith(b"0x"):
        return None
    try:
        return float.fromhex(data.decode("latin-1"))
    except ValueError:
        return None
    except OverflowError:
        return -inf if data.startswith(b"-") else inf


def _has_significant_digit(data: bytes) -> bool:
    """Whether the text of a number that was read as 0 stands for another one, too small for a float."""
    text = data.lower()
    mantissa = text.partition(b"p" if b"x" in text else b"e")[0]
    return bool(mantissa.strip(b"+-0x."))
