"""What a power cut can leave on the disk: files made from a recording, as the disk may have had them at one moment.

What is certain at that moment: what a sync that has returned found written, and what was written through an O_DSYNC
descriptor and has returned. All later writes may be on the disk or not, in any order. As the kernel writes pages and
not calls, each page holds some state of those it has had since the last certain one. A disk writes sectors: so may each
sector, and one that was to be written may hold anything. The file may have its old length or a newer one, and a name
that was not synced may not be there.

A disk and a file system may also keep everything in order: then all is there up to some moment after the last certain
one, and the write of that moment may be torn.
"""

from __future__ import annotations

import bisect
from pathlib import Path
from random import Random
from typing import Final

from tests.crash.trace import NEVER, File, FileSync, FileWrite, Recording

PAGE_BYTES: Final = 4096
SECTOR_BYTES: Final = 512
OTHER_BOOT: Final = b"00000000-0000-4000-8000-000000000000"

Image = dict[str, bytes]

# What the disk does: pages are there or not, or sectors; sectors may hold garbage; everything stays in order.
PAGES, SECTORS, GARBAGE, IN_ORDER = "pages", "sectors", "garbage", "in order"
MODELS: Final = (PAGES, SECTORS, GARBAGE, IN_ORDER)

# When the power goes: when a reply has left, before a sync of the journal returns, in a checkpoint or soon after it,
# while the store is made, or at any time.
REPLIES, SYNCS, CHECKPOINTS, START, ANY = "replies", "syncs", "checkpoints", "start", "any"
MOMENTS: Final = (ANY, REPLIES, CHECKPOINTS, SYNCS, REPLIES, CHECKPOINTS, ANY, REPLIES, SYNCS, ANY, CHECKPOINTS, START)

NONE, SOME, MOST, ALL = 0.0, 0.3, 0.95, 1.0
GARBAGE_SHARE: Final = 0.2

# Where files of a store are looked at by name.
DATA_FILE: Final = "data.mdb"
RING_FILE: Final = "journal"
LOCK_FILE: Final = "keyp.lock"


class Versions:
    """The contents that one sector has had, each with the moment it was written and the one since it is certain."""

    __slots__ = ("certain", "contents", "written")

    def __init__(self) -> None:
        self.written: list[int] = []
        self.certain: list[int] = []
        self.contents: list[bytes] = []

    def add(self, write: FileWrite, certain: int, content: bytes) -> None:
        self.written.append(write.begin)
        self.certain.append(certain)
        self.contents.append(content)

    def choose(self, cut: int, random: Random, share: float, garbage: bool = False) -> bytes | None:
        """A content the sector may have at `cut`; None for none yet. `share` is how likely a later one is taken."""
        newest = bisect.bisect_right(self.written, cut) - 1
        oldest = newest
        while oldest >= 0 and self.certain[oldest] > cut:
            oldest -= 1
        if oldest < newest:
            if garbage and random.random() < GARBAGE_SHARE:
                return random.randbytes(SECTOR_BYTES)
            if random.random() < share:
                oldest = newest if share == ALL or random.random() < 0.7 else random.randint(oldest + 1, newest)
        return self.contents[oldest] if oldest >= 0 else None


class Disk:
    """The states a file may be in, at sectors of `sector` bytes."""

    def __init__(self, file: File, sector: int) -> None:
        self.file = file
        self.sector = sector
        self.certain = [_certain(write, file.syncs) for write in file.writes]
        self.sectors: dict[int, Versions] = {}
        self.lengths = Versions()
        self._nothing = bytes(sector)  # one object for all sectors of zeros
        length = 0
        for write, certain in zip(file.writes, self.certain, strict=True):
            for number, content in self._zeros(write, length) if write.cuts else self._pieces(write):
                self.sectors.setdefault(number, Versions()).add(write, certain, content)
            length = write.offset if write.cuts else max(length, write.offset + len(write.data))
            self.lengths.add(write, certain, b"%d" % length)

    def _zeros(self, write: FileWrite, length: int) -> list[tuple[int, bytes]]:
        """What the sectors hold from which a file of `length` bytes is cut off."""
        first, start = divmod(write.offset, self.sector)
        pieces = []
        for number in range(first, -(-length // self.sector)):
            before = self.sectors[number].contents[-1] if number in self.sectors else b""
            kept = before[: start if number == first else 0]
            pieces.append((number, kept.ljust(self.sector, b"\0")))
        return pieces

    def _pieces(self, write: FileWrite) -> list[tuple[int, bytes]]:
        """The sectors that a write touches, and what each holds then."""
        size, pieces, position = self.sector, [], write.offset
        end = write.offset + len(write.data)
        while position < end:
            number, start = divmod(position, size)
            taken = write.data[position - write.offset : min(end, (number + 1) * size) - write.offset]
            if len(taken) < size:
                before = self.sectors[number].contents[-1] if number in self.sectors else self._nothing
                taken = before[:start] + taken + before[start + len(taken) :]
            pieces.append((number, self._nothing if taken == self._nothing else taken))
            position = (number + 1) * size
        return pieces

    def image(self, cut: int, random: Random, garbage: bool = False) -> bytes:
        """What may be found after a cut at `cut`."""
        share = random.choice((NONE, SOME, MOST, ALL))
        length = int(self.lengths.choose(cut, random, share) or 0)
        image = bytearray(length)
        size, nothing = self.sector, self._nothing
        for number, versions in self.sectors.items():
            content = versions.choose(cut, random, share, garbage)
            place = number * size
            if content is not None and content is not nothing and place < length:
                image[place : place + size] = content[: length - place]
        return bytes(image)

    def last_certain(self, cut: int) -> int:
        """When the last of the writes began that are certain at `cut`; 0 where none is."""
        pairs = zip(self.lengths.written, self.certain, strict=True)
        return max([begin for begin, certain in pairs if certain <= cut], default=0)

    def ordered_image(self, reached: int, random: Random) -> bytes:
        """What is found if all writes that began before the moment `reached` are there, and part of the next one."""
        whole = bisect.bisect_left(self.lengths.written, reached)
        image = bytearray()
        for write in self.file.writes[:whole]:
            if write.cuts:
                del image[write.offset :]
                image.extend(bytes(write.offset - len(image)))
            _put(image, write.offset, write.data)
        for write in self.file.writes[whole : bisect.bisect_right(self.lengths.written, reached)]:
            torn = min(len(write.data), self.sector * random.randint(0, len(write.data) // self.sector))
            _put(image, write.offset, write.data[:torn])
        return bytes(image)


def _put(image: bytearray, offset: int, data: bytes) -> None:
    if data:
        image.extend(bytes(max(0, offset + len(data) - len(image))))
        image[offset : offset + len(data)] = data


def _certain(write: FileWrite, syncs: list[FileSync]) -> int:
    """Since when the write is on the disk for sure."""
    ends = [sync.end for sync in syncs if sync.begin >= write.end]
    return min([write.end if write.synced else NEVER, *ends])


class PowerCuts:
    """Images of the data directory after power cuts in one recording."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._disks = {
            (id(file), sector): Disk(file, sector)
            for file in recording.files()
            for sector in (SECTOR_BYTES, PAGE_BYTES)
        }
        self._replies = sorted(call.begin for replies in recording.connections.values() for call in replies.calls)
        data, ring = recording.file(DATA_FILE).syncs, recording.file(RING_FILE).syncs
        self._syncs = sorted(sync.end for sync in ring if sync.end < NEVER)
        self._checkpoints = [(sync.begin, self._next_sync(sync.begin)) for sync in data]

    def _next_sync(self, moment: int) -> int:
        """When the next sync of the journal returns."""
        return next((end for end in self._syncs if end > moment), self.recording.last)

    def moment(self, random: Random, near: str) -> int:
        """When the power is cut: one of MOMENTS."""
        recording = self.recording
        if near == REPLIES:
            return random.choice(self._replies)
        if near == SYNCS:
            return random.choice(self._syncs) - 1
        if near == CHECKPOINTS:
            begin, end = random.choice(self._checkpoints)
            return random.randint(begin, end + (end - begin) // 2)
        return random.randint(recording.first, self._replies[0] if near == START else recording.last)

    def image(self, cut: int, random: Random, model: str) -> Image:
        """The files that may be found after a cut at `cut`, by their names."""
        if model == IN_ORDER:
            certain = self._last_certain(cut)
            reached = random.randint(certain, max(certain, cut))
            names = self.recording.namings[self._newest(reached)].names
            images = {
                name: self._disk(file, SECTOR_BYTES).ordered_image(reached, random) for name, file in names.items()
            }
        else:
            size = PAGE_BYTES if model == PAGES else SECTOR_BYTES
            names = self._named(cut, random)
            images = {name: self._disk(file, size).image(cut, random, model == GARBAGE) for name, file in names.items()}
        if LOCK_FILE in images:
            images[LOCK_FILE] = images[LOCK_FILE].replace(_boot(), OTHER_BOOT)
        return images

    def _disk(self, file: File, sector: int) -> Disk:
        return self._disks[id(file), sector]

    def _last_certain(self, cut: int) -> int:
        """After which moment nothing is certain at `cut`, on a disk that keeps the order of everything."""
        names = [sync.begin for sync in self.recording.directory_syncs if sync.end <= cut]
        return max([0, *names, *[disk.last_certain(cut) + 1 for disk in self._disks.values()]])

    def _newest(self, moment: int) -> int:
        return max(number for number, naming in enumerate(self.recording.namings) if naming.begin <= moment)

    def _named(self, cut: int, random: Random) -> dict[str, File]:
        """The names that may be found: those of the last synced moment, or of a later one."""
        recording = self.recording
        is_durable = recording.is_durable or any(sync.end <= cut for sync in recording.parent_syncs)
        if not is_durable and random.random() < 0.5:
            return {}
        newest = self._newest(cut)
        synced = max([sync.begin for sync in recording.directory_syncs if sync.end <= cut], default=0)
        oldest = max(number for number, naming in enumerate(recording.namings) if naming.end <= synced)
        return recording.namings[random.randint(oldest, newest)].names


def write_image(image: Image, directory: Path) -> None:
    """Makes a data directory of an image."""
    directory.mkdir()
    for name, data in image.items():
        (directory / name).write_bytes(data)


def _boot() -> bytes:
    """What the kernel calls the time from its start to now; after a power cut it is another."""
    return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
