"""What SCAN, HSCAN, SSCAN and ZSCAN are given: a cursor, then MATCH, COUNT and TYPE."""

from __future__ import annotations

from typing import Final

from keyp.algorithms.glob import Glob
from keyp.command.arguments import integer, unsigned
from keyp.errors import SYNTAX, CommandError

COUNT_DEFAULT: Final = 10
COUNT_MAX: Final = 1_000_000  # a larger COUNT is only a hint: the reactor must not be held up

INVALID_CURSOR: Final = "ERR invalid cursor"


def scan_cursor(data: bytes) -> int:
    """A cursor as Redis reads it. Raises `ERR invalid cursor`."""
    return unsigned(data, INVALID_CURSOR)


def scan_options(words: list[bytes], with_type: bool) -> tuple[Glob | None, int, str]:
    """The pattern, how many to visit, and the name of the type wanted, empty where any is or none can be given."""
    glob, count, type_name = None, COUNT_DEFAULT, ""
    rest = iter(words)
    for word in rest:
        option = word.upper()
        value = next(rest, None)
        if value is None:
            raise CommandError(SYNTAX)
        if option == b"MATCH":
            glob = Glob(value)
        elif option == b"COUNT":
            count = integer(value)
            if count < 1:
                raise CommandError(SYNTAX)
        elif option == b"TYPE" and with_type:
            type_name = value.decode("latin-1").lower()
        else:
            raise CommandError(SYNTAX)
    return glob, min(count, COUNT_MAX), type_name
