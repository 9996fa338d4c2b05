"""The latest commands that took long: what SLOWLOG shows.

The caller compares a command's duration with `threshold_ns` and calls `add` only for those that reach it, so that the
others cost one comparison. Arguments are cut as Redis cuts them, so an entry stays small whatever the request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

ARGUMENTS_MAX: Final = 32
ARGUMENT_BYTES_MAX: Final = 128
NEVER: Final = 1 << 63


class SlowEntry:
    """One slow call. `at_s` is seconds since 1970, `client` its address, `name` what CLIENT SETNAME gave."""

    def __init__(
        self, entry_id: int, at_s: int, microseconds: int, args: list[bytes], client: bytes, name: bytes
    ) -> None:
        self.id = entry_id
        self.at_s = at_s
        self.microseconds = microseconds
        self.args = args
        self.client = client
        self.name = name


class SlowLog:
    """The last slow calls, newest first: those that took at least `threshold_ns`."""

    def __init__(self) -> None:
        self.threshold_ns = NEVER
        self._next_id = 0
        self._entries: deque[SlowEntry] = deque(maxlen=128)

    def configure(self, slower_than_us: int, max_len: int) -> None:
        """Sets the threshold in microseconds, negative for none, and how many entries are kept."""
        self.threshold_ns = NEVER if slower_than_us < 0 else slower_than_us * 1000
        if max_len != self._entries.maxlen:
            self._entries = deque(list(self._entries)[:max_len], maxlen=max_len)

    def add(self, args: Sequence[bytes], nanoseconds: int, at_s: int, client: str, name: bytes) -> None:
        """Adds a slow call."""
        entry = SlowEntry(self._next_id, at_s, nanoseconds // 1000, _cut(args), client.encode(), name)
        self._next_id += 1
        self._entries.appendleft(entry)

    def latest(self, count: int) -> list[SlowEntry]:
        """Up to `count` entries, the newest first."""
        return list(self._entries)[:count]

    def reset(self) -> None:
        """Removes all entries; their numbers are not used again."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


def _cut(args: Sequence[bytes]) -> list[bytes]:
    kept = list(args[:ARGUMENTS_MAX])
    if len(args) > ARGUMENTS_MAX:
        kept[-1] = b"... (%d more arguments)" % (len(args) - ARGUMENTS_MAX + 1)
    return [_cut_one(arg) for arg in kept]


def _cut_one(arg: bytes) -> bytes:
    if len(arg) <= ARGUMENT_BYTES_MAX:
        return arg
    return arg[:ARGUMENT_BYTES_MAX] + b"... (%d more bytes)" % (len(arg) - ARGUMENT_BYTES_MAX)
