"""The latest refusals: what ACL LOG shows.

A refusal that repeats one of the last is counted there. Rules are Redis's (acl.c): of the ten newest entries the one
with the same reason, context, object and user, less than a minute old, and it becomes the newest.
"""

from __future__ import annotations

from typing import Final

# Why something was refused.
COMMAND: Final = "command"
KEY: Final = "key"
AUTH: Final = "auth"
CHANNEL: Final = "channel"

# Where.
TOP_LEVEL: Final = "toplevel"
MULTI: Final = "multi"
LUA: Final = "lua"

LOOKED_AT: Final = 10
SAME_MS: Final = 60_000


class Refusal:
    """Something that a user was refused, at `at_ms` milliseconds since 1970; `client` is his line in CLIENT LIST."""

    def __init__(self, reason: str, where: str, refused: bytes, user: bytes, client: bytes, at_ms: int) -> None:
        self.reason = reason
        self.where = where
        self.refused = refused
        self.user = user
        self.client = client
        self.at_ms = at_ms


class Entry:
    """Refusals that are alike: how many, the first one's time, and the last one."""

    def __init__(self, entry_id: int, refusal: Refusal) -> None:
        self.id = entry_id
        self.count = 1
        self.created_ms = refusal.at_ms
        self.last = refusal

    def repeats(self, refusal: Refusal) -> bool:
        """Whether a refusal is one more of these."""
        last = self.last
        return (
            last.reason == refusal.reason
            and last.where == refusal.where
            and last.refused == refusal.refused
            and last.user == refusal.user
            and abs(refusal.at_ms - last.at_ms) <= SAME_MS
        )


class AclLog:
    """The entries, the newest first, `limit` at most; and how many refusals there were by reason."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.limit = 128
        self.counts = {AUTH: 0, COMMAND: 0, KEY: 0, CHANNEL: 0}
        self._next_id = 0

    def add(self, refusal: Refusal) -> None:
        """Notes a refusal."""
        self.counts[refusal.reason] += 1
        for place, entry in enumerate(self.entries[:LOOKED_AT]):
            if entry.repeats(refusal):
                entry.count += 1
                entry.last = refusal
                self.entries.insert(0, self.entries.pop(place))
                return
        self.entries.insert(0, Entry(self._next_id, refusal))
        self._next_id += 1
        self.trim()

    def trim(self) -> None:
        """Drops the oldest entries beyond the limit."""
        del self.entries[self.limit :]

    def reset(self) -> None:
        """Drops all entries."""
        self.entries.clear()
