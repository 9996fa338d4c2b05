"""Passwords are kept as SHA-256 in hexadecimal digits, and compared in a time that does not depend on them."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Final

_HASH: Final = re.compile(rb"[0-9a-f]{64}")


def password_hash(password: bytes) -> bytes:
    """What is kept of a password."""
    return hashlib.sha256(password).hexdigest().encode()


def is_hash(text: bytes) -> bool:
    """Whether a text has the form of what is kept."""
    return _HASH.fullmatch(text) is not None


def is_among(password: bytes, hashes: Iterable[bytes]) -> bool:
    """Whether a password is one of those that are kept. All are looked at, found or not."""
    given = password_hash(password)
    found = False
    for kept in hashes:
        found = hmac.compare_digest(given, kept) or found
    return found
