"""Times that clients give, turned into deadlines: milliseconds since 1970, within a signed 64-bit number.

A time is relative to now or absolute, in seconds or milliseconds. Two families of commands read it differently, as in
Redis: EXPIRE, PEXPIRE … take any number (a deadline in the past removes the key), SET and GETEX refuse what is not
positive. Both refuse a number that does not fit once it is a deadline.
"""

from __future__ import annotations

from typing import Final

from keyp.command.arguments import INT64_MAX, INT64_MIN, integer
from keyp.errors import CommandError

SECONDS: Final = 1000
MILLISECONDS: Final = 1


def invalid_expire_time(command: str) -> CommandError:
    """The error for a time that makes no deadline; `command` is the full name in lower case."""
    return CommandError(f"ERR invalid expire time in '{command}' command")


def deadline_ms(context_now_ms: int, value: bytes, unit_ms: int, absolute: bool, command: str) -> int:
    """The deadline of EXPIRE, PEXPIRE, EXPIREAT and PEXPIREAT; it may lie in the past, even before 1970.

    `unit_ms` is SECONDS or MILLISECONDS. Raises the error for a text that is no integer or a deadline that does not
    fit into 64 bits.
    """
    moment = integer(value) * unit_ms
    if not INT64_MIN <= moment <= INT64_MAX:
        raise invalid_expire_time(command)
    if not absolute:
        moment += context_now_ms
    if moment > INT64_MAX:
        raise invalid_expire_time(command)
    return moment


def positive_deadline_ms(context_now_ms: int, value: bytes, unit_ms: int, absolute: bool, command: str) -> int:
    """The deadline of SET, SETEX and GETEX: as `deadline_ms`, but zero and less are refused too.

    An absolute deadline may still lie in the past.
    """
    if integer(value) <= 0:
        raise invalid_expire_time(command)
    return deadline_ms(context_now_ms, value, unit_ms, absolute, command)
