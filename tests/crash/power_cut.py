"""What a power cut can leave on the disk: files made from a recording, as the disk may have had them at one moment.

What is certain at that moment: what a sync that has returned found written, and what was written through an O_DSYNC
descriptor and has returned. All later writes may be on the disk or not, in any order, torn at sectors. As the kernel
writes pages and not calls, each sector holds some state of those it has had since the last certain one. The file may
have its old length or a newer one, and a name that was not synced may not be there.

A disk and a file system may also keep everything in order: then all is there up to some moment after the last certain
one, and the write of that moment may be torn.
"""

from __future__ import annotations

import bisect
from pathlib import Path
from random import Random
from typing import Final

from tests.crash.trace import NEVER, File, FileSync, FileWrite, Recording

SECTORS: Final = (512, 4096)
OTHER_BOOT: Final = b"00000000-0000-4000-8000-000000000000"

Image = dict[str, bytes]

NONE, SOME, MOST, ALL = 0.0, 0.3, 0.95, 1.0


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

    def choose(self, cut: int, random: Random, share: float) -> bytes | None:
        """A content the sector may have at `cut`; None for none yet. `share` is how likely a later one is taken."""
        newest = bisect.bisect_right(self.written, cut) - 1
        oldest = newest
        while oldest >= 0 and self.certain[oldest] > cut:
            oldest -= 1
        if oldest < newest and random.random() < share:
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
                before = self.sectors[number].contents[-1] if number in self.sectors else bytes(size)
                taken = before[:start] + taken + before[start + len(taken) :]
            pieces.append((number, taken))
            position = (number + 1) * size
        return pieces

    def image(self, cut: int, random: Random) -> bytes:
        """What may be found after a cut at `cut`."""
        share = random.choice((NONE, SOME, MOST, ALL))
        length = int(self.lengths.choose(cut, random, share) or 0)
        image = bytearray(length)
        for number, versions in self.sectors.items():
            content = versions.choose(cut, random, share)
            place = number * self.sector
            if content is not None and place < length:
                image[place : place + self.sector] = content[: length - place]
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
        self._disks = {(id(file), sector): Disk(file, sector) for file in recording.files() for sector in SECTORS}
        self.first = recording.namings[1].begin if len(recording.namings) > 1 else 0
        self._replies = sorted(call.begin for replies in recording.connections.values() for call in replies.calls)

    def moment(self, random: Random) -> int:
        """When the power is cut: any time, or just when a reply has left, or while the store is being made."""
        dice = random.random()
        if dice < 0.5:
            return random.choice(self._replies)
        if dice < 0.55:
            return random.randint(self.first, self._replies[0])
        return random.randint(self.first, self.recording.last)

    def image(self, cut: int, random: Random, ordered: bool = False) -> Image:
        """The files that may be found after a cut at `cut`, by their names."""
        if ordered:
            certain = self._last_certain(cut)
            reached = random.randint(certain, max(certain, cut))
            names = self.recording.namings[self._newest(reached)].names
            files = {name: self._disk(file, random).ordered_image(reached, random) for name, file in names.items()}
        else:
            names = self._named(cut, random)
            files = {name: self._disk(file, random).image(cut, random) for name, file in names.items()}
        return {name: data.replace(_boot(), OTHER_BOOT) for name, data in files.items()}

    def _disk(self, file: File, random: Random) -> Disk:
        return self._disks[id(file), random.choice(SECTORS)]

    def _last_certain(self, cut: int) -> int:
        """After which moment nothing is certain at `cut`, on a disk that keeps the order of everything."""
        names = [sync.begin for sync in self.recording.directory_syncs if sync.end <= cut]
        return max([0, *names, *[disk.last_certain(cut) + 1 for disk in self._disks.values()]])

    def _newest(self, moment: int) -> int:
        return max(number for number, naming in enumerate(self.recording.namings) if naming.begin <= moment)

    def _named(self, cut: int, random: Random) -> dict[str, File]:
        """The names that may be found: those of the last synced moment, or of a later one."""
        recording = self.recording
        if not any(sync.end <= cut for sync in recording.parent_syncs) and random.random() < 0.5:
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
