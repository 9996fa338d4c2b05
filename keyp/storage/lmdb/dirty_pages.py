"""How much LMDB writes for changes, about: it writes anew each page on the way to an entry that has changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from keyp.storage.journal.redo import Change
from keyp.storage.lmdb.layout import NUMBER
from keyp.storage.lmdb.store import ELEMENTS, GARBAGE, PARTS

PAGE_BYTES: Final = 4096

# Of a change: a leaf, and part of a branch. Further changes of one collection's elements are mostly in the same leaf.
PAGES_OF_CHANGE: Final = 2

# Of a commit: those of `meta`, of the sub-databases, of the free pages.
PAGES_OF_COMMIT: Final = 4

# Where there would be more than so many, many changes are of the same pages; a tree has no more than it has.
PAGES_OF_FEW: Final = 256


def dirty_bytes(changes: list[Change], tree_pages: Callable[[int], int]) -> int:
    """About what a commit of these changes writes to the data file.

    `tree_pages` of a sub-database's number in the journal is how many pages its tree has.
    """
    pages, size, collection = PAGES_OF_COMMIT, 0, b""
    for _, database, name, data in changes:
        size += len(data)
        if database % len(PARTS) == ELEMENTS and database > GARBAGE:
            if name[:NUMBER] == collection:
                continue
            collection = name[:NUMBER]
        pages += PAGES_OF_CHANGE
    if pages > PAGES_OF_FEW:
        counts = Counter([change[1] for change in changes])
        most = [min(PAGES_OF_CHANGE * count, tree_pages(number)) for number, count in counts.items()]
        pages = min(pages, PAGES_OF_COMMIT + sum(most))
    return pages * PAGE_BYTES + size
