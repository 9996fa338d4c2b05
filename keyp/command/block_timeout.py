"""What commands that may wait have in common: the time they wait at most."""

from __future__ import annotations

from math import ceil
from typing import Final

from keyp.command.arguments import INT64_MAX, real
from keyp.command.context import WriteContext
from keyp.errors import CommandError

NOT_A_TIMEOUT: Final = "ERR timeout is not a float or out of range"
NEGATIVE: Final = "ERR timeout is negative"
OUT_OF_RANGE: Final = "ERR timeout is out of range"


def timeout_ms(context: WriteContext, data: bytes) -> int:
    """A timeout, given in seconds, in milliseconds rounded up; 0 stands for no end. Raises Redis's errors."""
    seconds = real(data, NOT_A_TIMEOUT)
    if seconds < 0:
        raise CommandError(NEGATIVE)
    if seconds * 1000 > INT64_MAX - context.now_ms:
        raise CommandError(OUT_OF_RANGE)
    return ceil(seconds * 1000)
