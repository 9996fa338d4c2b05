"""Where Keyp and the reference are known to differ, and why: the one list of them.

An entry is a conversation like a row; its last command is answered differently, and `theirs` and `ours` say how
(regular expressions that match a whole RESP2 reply). A test runs every entry, so one that is no longer true shows.
Rows and random sequences avoid what stands here.
"""

from __future__ import annotations


class Difference:
    """`valkey_only`: Redis 7.2 does as Keyp does; only Valkey has moved on."""

    def __init__(self, row: str, theirs: bytes, ours: bytes, reason: str, valkey_only: bool = False) -> None:
        self.row = row
        self.theirs = theirs
        self.ours = ours
        self.reason = reason
        self.valkey_only = valkey_only


DIFFERENCES: list[Difference] = []
