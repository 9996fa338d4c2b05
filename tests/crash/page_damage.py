"""What a disk may make of a whole page, or of the few bytes of it that LMDB goes by."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from random import Random
from typing import Final

from tests.crash.damage import PAGE

WHAT: Final = ("other page", "other content", "zeros", "number", "flags", "lower", "upper", "place", "node", "noise")

_HEADER: Final = {"flags": 10, "lower": 12, "upper": 14}
_PLACES: Final = 16  # where the list of a page's nodes begins


class PageDamage:
    """A change of one page of a data file that is `data` so far."""

    def __init__(self, data: bytes, random: Random) -> None:
        pages = len(data) // PAGE
        self.what = random.choice(WHAT)
        self.number = random.randrange(2, pages)
        self.page = bytearray(data[self.number * PAGE : (self.number + 1) * PAGE])
        other = random.randrange(2, pages) * PAGE
        if self.what == "other page":
            self.page[:] = data[other : other + PAGE]
        elif self.what == "other content":
            self.page[8:] = data[other + 8 : other + PAGE]
        elif self.what == "zeros":
            self.page[:] = bytes(PAGE)
        elif self.what == "number":
            self.page[:8] = random.choice((1, 1 << 40, random.randrange(2 * pages))).to_bytes(8, "little")
        elif self.what == "noise":
            start = random.randrange(PAGE - 16)
            self.page[start : start + 16] = random.randbytes(16)
        else:
            self._change_number(random)

    def _change_number(self, random: Random) -> None:
        """Changes one of the 16-bit numbers of the page's header, of its list of nodes, or of a node."""
        (lower,) = struct.unpack_from("=H", self.page, 12)
        nodes = max(1, min(lower - _PLACES, 1000) // 2)
        place = _PLACES + 2 * random.randrange(nodes)
        if self.what == "node":
            (start,) = struct.unpack_from("=H", self.page, place)
            place = min(start, PAGE - 8) + 2 * random.randrange(4)
        offset = _HEADER.get(self.what, place)
        (old,) = struct.unpack_from("=H", self.page, offset)
        new = random.choice(
            (old ^ 1 << random.randrange(16), old + 2 * random.randrange(-8, 8), random.randrange(PAGE))
        )
        struct.pack_into("=H", self.page, offset, new % 65536)

    def apply(self, data_file: Path) -> None:
        """Writes the page; the file's time stays."""
        about = data_file.stat()
        with data_file.open("r+b") as file:
            file.seek(self.number * PAGE)
            file.write(self.page)
        os.utime(data_file, ns=(about.st_atime_ns, about.st_mtime_ns))

    def __repr__(self) -> str:
        return f"page {self.number}: {self.what}"
