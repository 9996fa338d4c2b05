"""Decisions drawn from bytes: how a target reads its input.

Each decision takes one byte, mostly, so that a fuzzer which changes a byte changes a decision. Where the bytes are used
up every decision is the first choice, or no.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Source:
    """Reads decisions from `data`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def has_more(self) -> bool:
        """Whether there are bytes left."""
        return self._at < len(self._data)

    def byte(self) -> int:
        """The next byte, 0 at the end."""
        at = self._at
        if at >= len(self._data):
            return 0
        self._at = at + 1
        return self._data[at]

    def below(self, count: int) -> int:
        """A number from 0 on, smaller than `count`."""
        if count <= 256:
            return self.byte() % count
        return (self.byte() << 8 | self.byte()) % count

    def chance(self, percent: int) -> bool:
        """Whether something happens that happens so often."""
        return self.byte() * 100 >= 256 * (100 - percent)

    def choice(self, choices: Sequence[T]) -> T:
        """One of several."""
        return choices[self.below(len(choices))]

    def text(self, most: int = 255) -> bytes:
        """Some bytes, as they are."""
        length = min(self.byte(), most)
        start, self._at = self._at, self._at + length
        return self._data[start : self._at]

    def rest(self) -> bytes:
        """All bytes that are left."""
        start, self._at = self._at, len(self._data)
        return self._data[start:]
