"""Do the pages of a data file look like pages of LMDB's? The upper part of every tree is judged before it is mapped.

LMDB takes the first bytes of a page for granted. One that is no leaf where there must be one ends the process by an
assertion, a key that is longer than its page by a signal. So each start looks itself at what LMDB will meet first:
level by level from the roots, and at the lists of free pages, up to a number of pages that does not grow with the
store. Of a small store that is all there is. What is deeper in a large one is found by LMDB; then the marker that a
signal leaves (`shutdown_marker.py`) has the next start verify the whole file.

Only structure is judged here: a page at a time, and whether its keys are those that its parent says. The contents of
entries are proved by their checksums; whether every page of the file is accounted for, by `verification.problems`.
"""

from __future__ import annotations

import os
from functools import partial
from itertools import islice
from operator import lt
from struct import Struct
from typing import Final

from keyp.storage.lmdb.meta_pages import (
    BRANCH_PAGE,
    FIRST_DATA_PAGE,
    LEAF_PAGE,
    NO_ROOT,
    DataFile,
    Tree,
    is_sound_record,
)

JUDGED_MAX: int = 1024  # pages; some 30 ms

OVERFLOW_PAGE: Final = 0x04
BIG_DATA: Final = 0x01  # of a node: its data have pages of their own

_PAGE: Final = Struct("=QHHHH")  # number, not for us, flags, end of the list of nodes, beginning of the nodes
_OVERFLOW: Final = Struct("=QHHI")  # number, not for us, flags, how many pages
_NODE: Final = Struct("=HHHH")  # length of data in two parts, flags, length of key; for branches see `meta_pages.py`
_NUMBER: Final = Struct("=Q")
_KEY_MAX: Final = 511

# What a tree is for.
FREE, MAIN, OURS = 0, 1, 2


class _Page:
    """A page of a tree to be judged: its number, its distance from the leaves, the tree it is of.

    Its keys are at least `low` and below `high`, which is None for the last page of a level.
    """

    def __init__(self, number: int, height: int, purpose: int, low: bytes, high: bytes | None) -> None:
        self.number = number
        self.height = height
        self.purpose = purpose
        self.low = low
        self.high = high


class _Unsound(Exception):
    """What is wrong with a page."""


class Pages:
    """The pages that the newest meta page of a data file leads to."""

    def __init__(self, file: DataFile) -> None:
        self._fd = file.descriptor
        self._size = file.newest.page_bytes
        self._last = file.newest.last_page
        self._left = 0
        self._next: list[_Page] = []
        self._seen: set[int] = set()
        self._add_tree(file.newest.free, FREE)
        self._add_tree(file.newest.main, MAIN)

    def problem(self) -> str:
        """What is wrong with one of the first JUDGED_MAX pages, level by level; empty where nothing is."""
        self._left = JUDGED_MAX
        while self._next and self._left > 0:
            level = sorted(self._next, key=_number)
            self._next = []
            for page in level[: self._left]:
                self._left -= 1
                try:
                    self._judge(page)
                except _Unsound as error:
                    return f"page {page.number} {error}"
        return ""

    def _add_tree(self, tree: Tree, purpose: int) -> None:
        if tree.root != NO_ROOT:
            self._add(_Page(tree.root, tree.depth - 1, purpose, b"", None))

    def _add(self, page: _Page) -> None:
        number = page.number
        if not FIRST_DATA_PAGE <= number <= self._last:
            raise _Unsound("leads out of the file")
        if number in self._seen:
            raise _Unsound("leads to a page that is met twice")
        self._seen.add(number)
        self._next.append(page)

    def _read(self, number: int, offset: int, size: int) -> bytes:
        data = os.pread(self._fd, size, number * self._size + offset)
        if len(data) != size:
            raise _Unsound("cannot be read")
        return data

    def _judge(self, page: _Page) -> None:
        data = self._read(page.number, 0, self._size)
        number, _, flags, lower, upper = _PAGE.unpack_from(data)
        if number != page.number or flags != (BRANCH_PAGE if page.height else LEAF_PAGE):
            raise _Unsound("is not what it should be")
        fewest = 2 if page.height and page.purpose != FREE else 1
        if not (_PAGE.size + 2 * fewest <= lower <= upper <= self._size) or lower & 1:
            raise _Unsound("has impossible bounds")
        places = memoryview(data)[_PAGE.size : lower].cast("H").tolist()
        keys = [self._key(data, place, upper) for place in places]
        if page.height:
            keys[0] = page.low  # what stands there is not for us
        if sum(map(partial(_node_bytes, data, page.height), places)) != self._size - upper:
            raise _Unsound("has nodes that are not in its list, or twice")
        if page.purpose != FREE and not _are_in_place(keys, page):
            raise _Unsound("has keys that belong elsewhere")
        if page.height:
            for place, first, behind in zip(places, keys, [*keys[1:], page.high], strict=True):
                low, middle, high, _ = _NODE.unpack_from(data, place)
                self._add(_Page(low | middle << 16 | high << 32, page.height - 1, page.purpose, first, behind))
        else:
            for place, key in zip(places, keys, strict=True):
                self._judge_data(page, data, place, place + _NODE.size + len(key))

    def _key(self, data: bytes, place: int, upper: int) -> bytes:
        if not upper <= place <= self._size - _NODE.size or place & 1:
            raise _Unsound("has a node that is not in it")
        key_bytes = _NODE.unpack_from(data, place)[3]
        start = place + _NODE.size
        if key_bytes > _KEY_MAX or start + key_bytes > self._size:
            raise _Unsound("has a key that is not in it")
        return data[start : start + key_bytes]

    def _judge_data(self, page: _Page, data: bytes, place: int, start: int) -> None:
        """Judges the data of a leaf's node, which start behind its key."""
        low, middle, flags, _ = _NODE.unpack_from(data, place)
        length = low | middle << 16
        if flags == BIG_DATA:
            if start + _NUMBER.size > self._size:
                raise _Unsound("has data that are not in it")
            first = _NUMBER.unpack_from(data, start)[0]
            pages = -(-(_PAGE.size + length) // self._size)
            if not FIRST_DATA_PAGE <= first <= first + pages - 1 <= self._last:
                raise _Unsound("has data that are not in the file")
            if page.purpose == FREE and pages <= self._left:
                self._left -= pages
                self._judge_free(self._big_data(first, pages, length))
        elif start + length > self._size or (flags and page.purpose != MAIN):
            raise _Unsound("has data that are not in it")
        elif page.purpose == FREE:
            self._judge_free(data[start : start + length])
        elif page.purpose == MAIN and is_sound_record(data[start : start + length], self._last):
            self._add_tree(Tree(data, start), OURS)  # what is no sound record is refused when it is opened

    def _big_data(self, first: int, pages: int, length: int) -> bytes:
        number, _, flags, stored = _OVERFLOW.unpack(self._read(first, 0, _OVERFLOW.size))
        # More of them where LMDB has written data over longer ones of the same transaction.
        if number != first or flags != OVERFLOW_PAGE or not pages <= stored <= self._last + 1 - first:
            raise _Unsound("has data in pages that are not theirs")
        return self._read(first, _PAGE.size, length)

    def _judge_free(self, data: bytes) -> None:
        """A list of free pages: how many, and their numbers, falling."""
        if len(data) % _NUMBER.size:
            raise _Unsound("has a list of free pages that is none")
        numbers = memoryview(data).cast("Q").tolist()
        if not numbers or numbers[0] != len(numbers) - 1:
            raise _Unsound("has a list of free pages that is none")
        free = numbers[1:]
        if free and (free[0] > self._last or free[-1] < FIRST_DATA_PAGE or free != sorted(set(free), reverse=True)):
            raise _Unsound("has a list of free pages that cannot be")


def _node_bytes(data: bytes, height: int, place: int) -> int:
    """The bytes of a page that a node takes: its head, its key, and in a leaf its data or the number of their pages."""
    low, middle, flags, key_bytes = _NODE.unpack_from(data, place)
    used: int = _NODE.size + key_bytes
    if not height:
        used += _NUMBER.size if flags == BIG_DATA else low | middle << 16
    return used + (used & 1)


def _number(page: _Page) -> int:
    return page.number


def _are_in_place(keys: list[bytes], page: _Page) -> bool:
    """Whether keys ascend within the bounds of their page."""
    in_order = all(map(lt, keys, islice(keys, 1, None)))
    return in_order and page.low <= keys[0] and (page.high is None or keys[-1] < page.high)
