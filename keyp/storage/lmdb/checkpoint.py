"""What a checkpoint knows of the data file: the meta page of one transaction, which each start writes back.

LMDB is never synced by itself. So after a power cut its meta pages may be newer than what they lead to, or torn. The
pages of the checkpoint's transaction are on the disk, and none of them is written over before the next checkpoint is
there as well (`journal.py` keeps a snapshot of it open). So a start writes that transaction's meta page into both
places, as that of the transaction and of the one before, and LMDB opens exactly there.

A data file that somebody has put in the place of the right one must not get a meta page of another: the checkpoint
also has the CRC-32 of the two root pages, which differ from commit to commit.

The mark. A data file needs no journal while nothing has been committed to it since it was closed, made, or copied. It
says so itself, by its newest transaction's number in a part of page 0 that LMDB does not use: any later commit makes
that untrue without another write. So a data file can be copied by itself, and one that is found without its journal
is not taken for whole where it is not.
"""

from __future__ import annotations

import os
from struct import Struct
from typing import Final
from zlib import crc32

from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.meta_pages import NO_ROOT, USUAL_PAGE_BYTES, MetaPage, Tree

_PAYLOAD: Final = Struct("<II")  # the CRC-32 of the roots: of the free pages, of the sub-databases
_NUMBER: Final = Struct("=Q")
_MARK: Final = Struct("<8sQI")
_MARK_MAGIC: Final = b"KEYPMARK"
_MARK_PLACE: Final = 2048  # in page 0
_TRANSACTION: Final = MetaPage.SIZE - _NUMBER.size  # where a meta page has its transaction's number

OPEN: Final = 0  # for the mark: it is whole as of no transaction
NO_MARK: Final = -1


class DataCheckpoint:
    """A transaction's meta page, as it stood in the data file, and what its roots were."""

    def __init__(self, raw: bytes, roots: tuple[int, int]) -> None:
        self._raw = raw
        self._roots = roots
        self._meta = MetaPage(raw)
        self.transaction = int(self._meta.transaction)
        self._place = self.transaction & 1

    def pack(self) -> bytes:
        """The payload of a checkpoint in the ring."""
        return _PAYLOAD.pack(*self._roots) + self._raw

    def matches(self, fd: int) -> bool:
        """Whether the data file is the one that it was taken of."""
        size = os.fstat(fd).st_size
        return size >= self._meta.page_bytes and _roots(fd, self._meta) == self._roots

    def is_current(self, fd: int) -> bool:
        """Whether nothing has been committed since, and both meta pages are whole."""
        size, other_place = self._meta.page_bytes, 1 - self._place
        own, other_raw = [os.pread(fd, MetaPage.SIZE, place * size) for place in (self._place, other_place)]
        if own != self._raw or len(other_raw) < MetaPage.SIZE:
            return False
        other = MetaPage(other_raw)
        return other.is_sound(other_place) and bool(other.transaction < self.transaction)

    def restore(self, fd: int) -> None:
        """Has LMDB open the data file at this transaction, whatever its meta pages are. Needs no sync. Raises OSError.

        It may be done again at any moment before the next checkpoint.
        """
        for place in (0, 1):
            page = bytearray(self._raw)
            _NUMBER.pack_into(page, 0, place)
            _NUMBER.pack_into(page, _TRANSACTION, self.transaction - (place != self._place))
            if place == 0:
                page = page.ljust(_MARK_PLACE, b"\0") + _mark(OPEN)
            os.pwrite(fd, bytes(page.ljust(self._meta.page_bytes, b"\0")), place * self._meta.page_bytes)
        if os.fstat(fd).st_size < self._meta.file_bytes:  # its last pages were never used
            os.ftruncate(fd, self._meta.file_bytes)


def unpack(payload: bytes) -> DataCheckpoint:
    """What `DataCheckpoint.pack` made."""
    return DataCheckpoint(payload[_PAYLOAD.size :], _PAYLOAD.unpack_from(payload))


def take(fd: int, transaction: int) -> DataCheckpoint:
    """The checkpoint of the data file's last commit, which was `transaction`. No commit may come meanwhile.

    Raises `Damaged` where the file has another meta page.
    """
    place = transaction & 1
    raw = os.pread(fd, MetaPage.SIZE, place * _page_bytes(fd))
    if len(raw) == MetaPage.SIZE:
        meta = MetaPage(raw)
        if meta.transaction == transaction and meta.is_sound(place):
            return DataCheckpoint(raw, _roots(fd, meta))
    raise Damaged(f"the meta page of transaction {transaction} is not in the file")


def _page_bytes(fd: int) -> int:
    raw = os.pread(fd, MetaPage.SIZE, 0)
    return MetaPage(raw).page_bytes if len(raw) == MetaPage.SIZE else USUAL_PAGE_BYTES


def _newest(fd: int) -> MetaPage:
    """The newest of the meta pages, sound or not. Raises `struct.error` where the file is too short."""
    size = _page_bytes(fd)
    first, second = [MetaPage(os.pread(fd, MetaPage.SIZE, place * size)) for place in (0, 1)]
    return first if first.transaction > second.transaction else second


def _roots(fd: int, meta: MetaPage) -> tuple[int, int]:
    return _root(fd, meta, meta.free), _root(fd, meta, meta.main)


def _root(fd: int, meta: MetaPage, tree: Tree) -> int:
    if tree.root == NO_ROOT:
        return 0
    return crc32(os.pread(fd, meta.page_bytes, tree.root * meta.page_bytes))


def _mark(transaction: int) -> bytes:
    number = _NUMBER.pack(transaction)
    return _MARK.pack(_MARK_MAGIC, transaction, crc32(number))


def mark_whole(fd: int) -> None:
    """Marks a data file as whole without a journal. All of it must be on the disk, or be synced with this."""
    os.pwrite(fd, _mark(int(_newest(fd).transaction)), _MARK_PLACE)


def read_mark(fd: int) -> int:
    """The transaction as of which the file is whole by itself; OPEN for none, NO_MARK where there is no mark."""
    raw = os.pread(fd, _MARK.size, _MARK_PLACE)
    if len(raw) < _MARK.size:
        return NO_MARK
    magic, transaction, crc = _MARK.unpack(raw)
    if magic != _MARK_MAGIC or crc != crc32(_NUMBER.pack(transaction)):
        return NO_MARK
    return int(transaction)


def needs_journal(fd: int) -> bool:
    """Whether the file by itself is not all that was committed. False as well for one that never had a journal."""
    mark = read_mark(fd)
    return mark != NO_MARK and mark != _newest(fd).transaction
