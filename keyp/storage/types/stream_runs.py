"""Runs of a stream: entries that follow each other, counted together, as many as one node of Redis's has."""

from __future__ import annotations

from struct import Struct
from typing import Final

_RUN: Final = Struct(">16sII")  # last id, entries left, entries ever


class Run:
    """Entries from the id `start` to `last`, of which `live` are left of `total`. `is_open` is the last one."""

    def __init__(self, start: bytes, last: bytes, live: int, total: int, is_open: bool = False) -> None:
        self.start = start
        self.last = last
        self.live = live
        self.total = total
        self.is_open = is_open

    def packed(self) -> bytes:
        """As it is stored."""
        return _RUN.pack(self.last, self.live, self.total)


def read_run(start: bytes, data: bytes) -> Run:
    """The run that is stored under the id `start`."""
    last, live, total = _RUN.unpack_from(data)
    return Run(start, last, live, total)
