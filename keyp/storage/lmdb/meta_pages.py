"""LMDB's two meta pages at the start of a data file, as engine 0.9 writes them on a 64-bit machine.

Transaction N writes page N modulo 2, and the page of the later transaction counts. LMDB looks at the magic number and
the version and believes all the rest: where the flags of a tree are not what they were, an assertion ends the process;
where a transaction's number is not, a commit is lost silently. So all of it is judged here, before LMDB sees it.
Nothing here maps the file, and nothing is changed.

The bytes are described in `mdb.c` (MDB_page, MDB_node, MDB_db, MDB_meta).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from struct import Struct, error
from typing import BinaryIO, Final
from zlib import crc32

MAGIC: Final = 0xBEEFC0DE
DATA_VERSION: Final = 1

BRANCH_PAGE: Final = 0x01
LEAF_PAGE: Final = 0x02
META_PAGE: Final = 0x08
INTEGER_KEYS: Final = 0x08
NO_SUBDIRECTORY: Final = 0x4000  # kept in the file, where it was made by its own name and not by its directory's
NO_ROOT: Final = (1 << 64) - 1
DEPTH_MAX: Final = 32

FIRST_DATA_PAGE: Final = 2
USUAL_PAGE_BYTES: Final = 4096
PAGE_BYTES_MAX: Final = 1 << 15

_PAGE: Final = Struct("=QHHHH")  # number, not for us, flags, end of the list of nodes, not for us
_META: Final = Struct("=IIQQ")  # magic, version, not for us (2)
_TREE: Final = Struct("=IHHQQQQQ")  # page size or nothing, flags, depth, counters (4), root
_END: Final = Struct("=QQ")  # last page, transaction
_NODE: Final = Struct("=HHHH")  # low, middle and high part of a child's number, the key's length
_PLACE: Final = Struct("=H")
_NUMBER: Final = Struct("=Q")


class Tree:
    """What is written of a tree: of the free pages, of the sub-databases, of one of them."""

    SIZE: Final = _TREE.size

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self.page_bytes, self.flags, self.depth, _, _, _, _, self.root = _TREE.unpack_from(data, offset)

    def fits(self, last_page: int) -> bool:
        """Whether there can be such a tree in a file with this last page."""
        if self.root == NO_ROOT:
            return bool(self.depth == 0)
        return bool(1 <= self.depth <= DEPTH_MAX and FIRST_DATA_PAGE <= self.root <= last_page)


def is_sound_record(record: bytes, last_page: int) -> bool:
    """Whether this can be what the tree of sub-databases says of one of ours, none of which has any flags."""
    if len(record) != Tree.SIZE:
        return False
    tree = Tree(record)
    return (tree.page_bytes, tree.flags) == (0, 0) and tree.fits(last_page)


class MetaPage:
    """One of the two meta pages."""

    SIZE: Final = _PAGE.size + _META.size + 2 * _TREE.size + _END.size

    def __init__(self, data: bytes) -> None:
        self.page, _, self.flags, _, _ = _PAGE.unpack_from(data)
        self.magic, self.version, _, _ = _META.unpack_from(data, _PAGE.size)
        trees = _PAGE.size + _META.size
        self.free = Tree(data, trees)
        self.main = Tree(data, trees + _TREE.size)
        self.last_page, self.transaction = _END.unpack_from(data, trees + 2 * _TREE.size)
        self.digest = crc32(data[trees : self.SIZE])

    @property
    def page_bytes(self) -> int:
        """The size of all pages."""
        return int(self.free.page_bytes)

    @property
    def file_bytes(self) -> int:
        """The size of a file with this meta page when all its pages are written."""
        return int((self.last_page + 1) * self.page_bytes)

    def is_sound(self, place: int) -> bool:
        """Whether this can be the meta page number `place`."""
        size = self.page_bytes
        return (
            (self.magic, self.version, self.page, self.flags) == (MAGIC, DATA_VERSION, place, META_PAGE)
            and 256 <= size <= PAGE_BYTES_MAX
            and size & (size - 1) == 0
            and (self.transaction == 0 or self.transaction % 2 == place)
            and (self.free.flags & ~NO_SUBDIRECTORY, self.main.flags, self.main.page_bytes) == (INTEGER_KEYS, 0, 0)
            and self.last_page >= FIRST_DATA_PAGE - 1
            and self.free.fits(self.last_page)
            and self.main.fits(self.last_page)
        )


class DataFile:
    """A data file and its two meta pages, as they are now; a context. Raises OSError, `struct.error` if too short."""

    def __init__(self, path: str) -> None:
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - it is open as long as this object
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            first = MetaPage(self._file.read(MetaPage.SIZE))
            known = FIRST_DATA_PAGE * 128 <= first.page_bytes <= PAGE_BYTES_MAX
            self._file.seek(first.page_bytes if known else USUAL_PAGE_BYTES)
            self.meta_pages = (first, MetaPage(self._file.read(MetaPage.SIZE)))
        except BaseException:
            self._file.close()
            raise
        self.descriptor = self._file.fileno()
        self.newest = self.meta_pages[first.transaction < self.meta_pages[1].transaction]
        self.older = self.meta_pages[self.newest is first]

    def __enter__(self) -> DataFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def is_root(self, tree: Tree) -> bool:
        """Whether the tree begins where it says."""
        if tree.root == NO_ROOT:
            return bool(tree.depth == 0)
        flags, _ = self._page(tree.root)
        return flags == (LEAF_PAGE if tree.depth == 1 else BRANCH_PAGE)

    def transaction_problem(self, order_kept: bool) -> str:
        """What is wrong with the transactions' numbers; empty where the newest meta page is the last commit's for sure.

        Each commit writes down which pages it has freed, under its own number: the last entry of its tree of free
        pages. With `order_kept` all writes of the last run are known to be on the disk; the older meta page must
        then be of the commit before.
        """
        if self._last_freed(self.newest) not in (self.newest.transaction, None):
            return "the newer of its two heads is not of the transaction that it names"
        if not order_kept:
            return ""
        newest, older = self.newest, self.older
        if newest.transaction - older.transaction not in ((0, 1) if newest.transaction == 0 else (1,)):
            return "its two heads do not belong together, the last commit may be lost"
        if (older.free.root, older.main.root) == (newest.free.root, newest.main.root):
            return ""  # a start has written one checkpoint to both
        freed = self._last_freed(older)
        # Where the writing of a meta page fails, LMDB puts the old number into it again, beside the new trees.
        failed = freed == newest.transaction + 1 and older.last_page <= newest.last_page
        if freed in (older.transaction, None) or failed:
            return ""
        return "the older of its two heads is not of the transaction that it names, the last commit may be lost"

    def _last_freed(self, meta_page: MetaPage) -> int | None:
        """The last key of the tree of free pages: None where the tree is empty, -1 where it cannot be read."""
        page = meta_page.free.root
        if page == NO_ROOT:
            return None
        for _ in range(DEPTH_MAX):
            flags, data = self._page(page)
            try:
                node = self._nodes(data)[-1]
                low, middle, high, key_bytes = _NODE.unpack_from(data, node)
                if flags == LEAF_PAGE and key_bytes == _NUMBER.size:
                    return int(_NUMBER.unpack_from(data, node + _NODE.size)[0])
            except (IndexError, error):
                return -1
            if flags != BRANCH_PAGE:
                return -1
            page = low | middle << 16 | high << 32
        return -1

    def _page(self, number: int) -> tuple[int, bytes]:
        """The flags and the bytes of a page; neither where it cannot be read as the page of this number."""
        size = self.newest.page_bytes
        if not FIRST_DATA_PAGE <= number < self.size // max(1, size):
            return 0, b""
        self._file.seek(number * size)
        data = self._file.read(size)
        stored, _, flags, _, _ = _PAGE.unpack_from(data)
        return (flags, data) if stored == number else (0, b"")

    def _nodes(self, data: bytes) -> list[int]:
        """Where the nodes of a page are. Raises `struct.error`."""
        _, _, _, end, _ = _PAGE.unpack_from(data)
        return [_PLACE.unpack_from(data, place)[0] for place in range(_PAGE.size, end, _PLACE.size)]

    def damaged_records(self) -> list[str]:
        """The names of sub-databases of which something is written that cannot be. The structure must be sound."""
        damaged = []
        for data, node in self._leaf_nodes(self.newest.main.root):
            low, middle, _, key_bytes = _NODE.unpack_from(data, node)
            start = node + _NODE.size
            record = data[start + key_bytes : start + key_bytes + (low | middle << 16)]
            if not is_sound_record(record, self.newest.last_page):
                damaged.append(data[start : start + key_bytes].decode(errors="replace"))
        return damaged

    def _leaf_nodes(self, number: int) -> Iterator[tuple[bytes, int]]:
        flags, data = self._page(number)
        for node in self._nodes(data) if data else []:
            if flags == LEAF_PAGE:
                yield data, node
            elif flags == BRANCH_PAGE:
                low, middle, high, _ = _NODE.unpack_from(data, node)
                yield from self._leaf_nodes(low | middle << 16 | high << 32)
