"""Is the data file safe to open? Reads its bytes, maps nothing, changes nothing.

LMDB maps the file and believes it: where the file is shorter than it says, or its head makes no sense, a signal may end
the process. So the head is looked at before each opening, which takes the same time whatever the size: `doubt`. Only
where there is doubt the structure of the whole file is verified: `problems`, some five seconds for each gigabyte.

The head is LMDB's two meta pages, as engine 0.9 writes them on a 64-bit machine: transaction N writes page N modulo 2,
and the page of the later transaction counts. They are described in `mdb.c` (MDB_page, MDB_db, MDB_meta).
"""

from __future__ import annotations

import os
from struct import Struct, error
from typing import BinaryIO, Final

from lmdb import verify

MAGIC: Final = 0xBEEFC0DE
DATA_VERSION: Final = 1

BRANCH_PAGE: Final = 0x01
LEAF_PAGE: Final = 0x02
META_PAGE: Final = 0x08
INTEGER_KEYS: Final = 0x08
NO_SUBDIRECTORY: Final = 0x4000  # in the file for ever, where it was made by its own name and not by its directory's
NO_ROOT: Final = (1 << 64) - 1

FIRST_DATA_PAGE: Final = 2
USUAL_PAGE_BYTES: Final = 4096
PAGE_BYTES_MAX: Final = 1 << 15

_PAGE: Final = Struct("=QHHHH")  # number, not for us, flags, not for us (2)
_META: Final = Struct("=IIQQ")  # magic, version, not for us (2)
_TREE: Final = Struct("=IHHQQQQQ")  # page size or nothing, flags, depth, counters (4), root
_END: Final = Struct("=QQ")  # last page, transaction


class Unusable(Exception):
    """The file is no store at all; the text says what it is."""


class Tree:
    """One of the two trees that a meta page knows: the free pages, and the sub-databases."""

    def __init__(self, data: bytes, offset: int) -> None:
        self.page_bytes, self.flags, self.depth, _, _, _, _, self.root = _TREE.unpack_from(data, offset)


class Head:
    """One of the two meta pages."""

    SIZE: Final = _PAGE.size + _META.size + 2 * _TREE.size + _END.size

    def __init__(self, data: bytes) -> None:
        self.page, _, self.flags, _, _ = _PAGE.unpack_from(data)
        self.magic, self.version, _, _ = _META.unpack_from(data, _PAGE.size)
        trees = _PAGE.size + _META.size
        self.free = Tree(data, trees)
        self.main = Tree(data, trees + _TREE.size)
        self.last_page, self.transaction = _END.unpack_from(data, trees + 2 * _TREE.size)

    @property
    def page_bytes(self) -> int:
        """The size of all pages."""
        return int(self.free.page_bytes)

    def is_sound(self, place: int) -> bool:
        """Whether this can be the meta page number `place`."""
        size = self.page_bytes
        return (
            (self.magic, self.version, self.page, self.flags) == (MAGIC, DATA_VERSION, place, META_PAGE)
            and 256 <= size <= PAGE_BYTES_MAX
            and size & (size - 1) == 0
            and (self.transaction == 0 or self.transaction % 2 == place)
            and (self.free.flags & ~NO_SUBDIRECTORY, self.main.flags) == (INTEGER_KEYS, 0)
        )


def doubt(path: str) -> str:
    """Why the data file `path` should be verified before LMDB maps it; empty where its head gives no reason.

    Raises `Unusable` where it is not an LMDB file, OSError where it cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise Unusable("it is empty, what it held is gone")
        try:
            heads = _heads(file)
        except error:
            return "it is cut off in its head"
        if all(head.magic != MAGIC for head in heads):
            raise Unusable("it is not a store of Keyp")
        first, second = heads
        if not first.is_sound(0) or not second.is_sound(1) or first.page_bytes != second.page_bytes:
            return "its head is damaged"
        if abs(first.transaction - second.transaction) > 1:
            return "its two heads do not belong together"
        newest = max(heads, key=lambda head: head.transaction)
        if not all(_is_root(file, newest, tree) for tree in (newest.free, newest.main)):
            return "its head points to a wrong page"
        if size < full_size(newest):
            return "it is shorter than its head says"
    return ""


def _heads(file: BinaryIO) -> tuple[Head, Head]:
    first = Head(file.read(Head.SIZE))
    size = first.page_bytes
    file.seek(size if FIRST_DATA_PAGE * 128 <= size <= PAGE_BYTES_MAX else USUAL_PAGE_BYTES)
    return first, Head(file.read(Head.SIZE))


def _is_root(file: BinaryIO, head: Head, tree: Tree) -> bool:
    if tree.root == NO_ROOT:
        return bool(tree.depth == 0)
    if not FIRST_DATA_PAGE <= tree.root <= head.last_page:
        return False
    file.seek(tree.root * head.page_bytes)
    data = file.read(_PAGE.size)
    if len(data) < _PAGE.size:
        return False
    number, _, flags, _, _ = _PAGE.unpack(data)
    return bool(number == tree.root and flags == (LEAF_PAGE if tree.depth == 1 else BRANCH_PAGE))


def full_size(head: Head) -> int:
    """The size in bytes that a file with this head has when all its pages are written."""
    return int((head.last_page + 1) * head.page_bytes)


def problems(path: str) -> list[str]:
    """What is wrong with the structure of the data file `path`, a line each; an empty list if nothing is.

    A sound file may be shorter than its head says, where its last pages have never been used.
    """
    try:
        return [str(problem) for problem in verify.verify(path, subdir=False)]
    except verify.VerifyError as failure:
        return [str(failure)]


def lengthen(path: str) -> None:
    """Gives a sound file the size its head says, so that its next opening is without doubt. Costs no room."""
    with open(path, "r+b") as file:
        size = full_size(max(_heads(file), key=lambda head: head.transaction))
        if size > os.fstat(file.fileno()).st_size:
            file.truncate(size)
