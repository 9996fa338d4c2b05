"""What commands that may wait have in common: the time they wait at most."""

from __future__ import annotations

from typing import Final

from keyp.algorithms import long_double
from keyp.command.arguments import INT64_MAX, integer
from keyp.command.context import ReadContext, WriteContext
from keyp.errors import BAD_TIMEOUT, NEGATIVE_TIMEOUT, TIMEOUT_TOO_LONG, CommandError

NOT_A_TIMEOUT: Final = "ERR timeout is not a float or out of range"

_SHORT: Final = 12  # digits that are in range whatever they are


def timeout_ms(context: WriteContext, data: bytes) -> int:
    """A timeout, given in seconds, in milliseconds rounded up; 0 stands for no end. Raises Redis's errors.

    Which error depends on what a `long double` can hold, as in getTimeoutFromObjectOrReply of 7.2.
    """
    if data.isdigit() and len(data) <= _SHORT:  # the usual ones are whole numbers
        return int(data) * 1000
    seconds = long_double.parse(data)
    if seconds is None:
        raise CommandError(NOT_A_TIMEOUT)
    product = long_double.times(seconds, 1000)
    if not product.finite:
        raise CommandError(NEGATIVE_TIMEOUT if data.startswith(b"-") else TIMEOUT_TOO_LONG)
    milliseconds = long_double.ceiling(product)
    if milliseconds < 0:
        raise CommandError(NEGATIVE_TIMEOUT)
    if milliseconds > INT64_MAX - context.now_ms:
        raise CommandError(TIMEOUT_TOO_LONG)
    return milliseconds


def whole_timeout_ms(context: ReadContext, data: bytes) -> int:
    """A timeout, given in milliseconds; 0 stands for no end. Raises Redis's errors."""
    milliseconds = integer(data, BAD_TIMEOUT)
    if milliseconds < 0:
        raise CommandError(NEGATIVE_TIMEOUT)
    if milliseconds > INT64_MAX - context.now_ms:
        raise CommandError(TIMEOUT_TOO_LONG)
    return milliseconds
