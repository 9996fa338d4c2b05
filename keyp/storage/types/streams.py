"""Streams: each entry an entry of its own at its id, with its fields and values, as RESP has them, for data.

Entries are added behind all others and go mostly from the front. They are counted in *runs*, as many as one node of
Redis's has, so that trimming counts runs and not entries, and `~` cuts where Redis would. The last run, to which
entries are added, is in the header; a run that is full has an entry of its own:

    b"m" + id              ->   the entry's words, as a RESP array
    b"c" + first id        ->   last id (16), entries left (4), entries ever (4)
    b"g", b"d"                  groups (`stream_groups.py`)

What stands before the stream's first id is not there any more: trimming many entries moves the first id and leaves what
is before it to the sweeper, as a range of garbage. So whatever looks at elements begins at `first`. XSETID may let ids
come again that are garbage still; then a new *series* of entries begins, in sections of its own behind those that the
sweeper clears, with its number between letter and id:

    b"f" + series + id, b"e" + series + first id

A stream without entries exists, unlike other collections. All functions that find a stream raise WRONGTYPE where the
key holds another type of value.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from struct import Struct
from typing import Any, Final

from keyp.errors import WRONG_TYPE, CommandError
from keyp.storage.keys.keyspace import KEEP_DEADLINE, Keyspace, WritableKeyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.layout import CHECKSUM, HAS_ELEMENTS
from keyp.storage.lmdb.proof import ascend
from keyp.storage.types.collection import Collection
from keyp.storage.types.elements import Entry
from keyp.storage.types.stream_ids import LARGEST, ZERO, following, preceding
from keyp.storage.types.stream_runs import Run, read_run
from keyp.storage.value_types import COUNTS, LATER_COUNTS, LATER_MEMBERS, MEMBERS, STREAM

# Last, first, and largest deleted id; entries ever added; groups, and groups ever made; the last run: its first id and
# what is stored of a run; of the first run its last id and the entries left, 0 where they are not known.
_HEADER: Final = Struct(">16s16s16sQQQ16s16sII16sI")
_HEADER_SIZE: Final = _HEADER.size
_NEW: Final = bytes(_HEADER_SIZE)

RUN_MAX: Final = 4096  # entries, where the setting names more or no limit

_FIRST_LOOK: Final = 4  # elements that are read in one go at first, where it is not known how many are wanted …
_AT_ONCE: Final = 512  # … and at most


def read_ends(own: bytes) -> tuple[bytes, Run, int]:
    """The id of the first entry, the last run and the number of groups, from a header's own bytes."""
    _, first, _, _, groups, _, start, last, live, total, _, _ = _HEADER.unpack_from(own)
    return first, Run(start, last, live, total, is_open=True), groups


def read_series(own: bytes) -> int:
    """The number of the series that the entries belong to, from a header's own bytes."""
    return 0 if len(own) == _HEADER_SIZE else layout.read_number(own, _HEADER_SIZE)


def sections_of(series: int) -> tuple[bytes, bytes]:
    """The sections of the entries and of the runs of a series, a letter and in all but the first its number."""
    if not series:
        return MEMBERS, COUNTS
    return LATER_MEMBERS + layout.number(series), LATER_COUNTS + layout.number(series)


class Stream(Collection):
    """The stream of `record`, the record of `key`; a new one where there is none. Ids are the 16 bytes of `stream_ids`.

    `last` is the id that was added last, `first` that of the first entry, ZERO without entries; `added` is how many
    entries were ever added, `deleted` the largest id that was removed by itself. `groups` is how many there are, and
    `groups_made` numbers them. `entries_section` and `runs_section` are those of the `series`, 0 for the first.
    `open_run` is the last run; of the first one `head_last` is the last id and `head_live` the number of entries left,
    0 where they are not known.
    """

    last: bytes
    first: bytes
    deleted: bytes
    added: int
    groups: int
    groups_made: int
    series: int
    entries_section: bytes
    runs_section: bytes
    head_last: bytes
    head_live: int

    def __init__(self, keys: Keyspace, key: bytes, record: bytes | None) -> None:
        super().__init__(keys, key, STREAM, record, _NEW)
        (
            self.last, self.first, self.deleted, self.added, self.groups, self.groups_made, start, last, live, total,
            self.head_last, self.head_live,
        ) = _HEADER.unpack_from(self.own)  # fmt: skip
        self.series = 0
        self.entries_section, self.runs_section = MEMBERS, COUNTS
        if len(self.own) != _HEADER_SIZE:
            self._begin_series(read_series(self.own))
        self.open_run = Run(start, last, live, total, is_open=True)

    def save(self, deadline_ms: int = KEEP_DEADLINE) -> None:
        """Writes the header, with the version of the command that runs, also without entries."""
        keys = self.keys
        assert isinstance(keys, WritableKeyspace)
        keys.put(self.key, self.record, self.type_, HAS_ELEMENTS, self._body(), deadline_ms)

    def save_unwatched(self) -> None:
        """Writes the header for a command that clients who watch the key do not see, as in Redis."""
        keys = self.keys
        assert isinstance(keys, WritableKeyspace)
        if self.record is None:
            self.save()
        else:
            keys.put_body(self.key, self.record, self._body())

    def _body(self) -> bytes:
        run = self.open_run
        self.own = _HEADER.pack(
            self.last, self.first, self.deleted, self.added, self.groups, self.groups_made, run.start, run.last,
            run.live, run.total, self.head_last, self.head_live,
        )  # fmt: skip
        if self.series:
            self.own += layout.number(self.series)
        return self.id + layout.number(self.count) + self.own

    # Entries.

    def add(self, entry_id: bytes, data: bytes) -> None:
        """Adds an entry, whose id is larger than `last`."""
        most = self.keys.lookups.limits.stream_entries
        run = self.open_run
        if run.live == 0 or run.total >= RUN_MAX or 0 < most <= run.total:
            if run.live:
                self.put(self.runs_section + run.start, run.packed())
            run = self.open_run = Run(entry_id, entry_id, 0, 0, is_open=True)
        run.last = entry_id
        run.live += 1
        run.total += 1
        self.put(self.entries_section + entry_id, data)
        if self.count == 0:
            self.first = entry_id
        self.count += 1
        self.added += 1
        self.last = entry_id

    def entry(self, entry_id: bytes) -> bytes | None:
        """The words of an entry, None where there is none of this id."""
        if not self.count or not self.first <= entry_id <= self.last:
            return None
        data = self.get(self.entries_section + entry_id)
        if data is None and self.keys.lookups.in_write:  # what is pending is removed then
            name = self.id + self.entries_section + entry_id
            if not self.keys.lookups.proof().of_absence(self.database, name):
                raise Damaged(self.where())
        return data

    def first_entry(self) -> Entry:
        """The first entry; there is one. Raises `Damaged` where it is not there."""
        return self.first, self.must_get(self.entries_section + self.first)

    def last_entry(self) -> Entry:
        """The last entry, whose id may be less than `last`; there is one. Raises `Damaged` where it is not there."""
        run = self.open_run
        if 0 < run.live == run.total:
            return run.last, self.must_get(self.entries_section + run.last)
        found = self.range_back(self.first, self.last, 1)
        if not found:
            raise Damaged(self.where())
        return found[0]

    def range(self, start: bytes, stop: bytes, count: int) -> list[Entry]:
        """Up to `count` entries from the id `start` to `stop`, both included: ids and words."""
        start = max(start, self.first)
        if not self.count or count <= 0 or start > stop or start > self.last:
            return []
        if start == stop:
            data = self.get(self.entries_section + start)
            return [] if data is None else [(start, data)]
        ahead = self.id + self.entries_section
        found: list[Entry] = []
        with self.txn.cursor(self.database) as cursor:
            if start == self.first and stop >= self.last and cursor.set_range(ahead + start):
                found = list(islice(cursor.iternext(True, True), min(count, self.count)))
            elif self.seek(cursor, ahead + start):
                found = self._up_to(cursor, ahead + stop, count)
        if start == self.first and (not found or found[0][0] != ahead + start):
            raise Damaged(self.where())
        return self._checked(found, start, stop, count)

    def behind(self, entry_id: bytes, count: int) -> list[Entry]:
        """Up to `count` entries behind an id.

        Where the entry of this id is there, it shows by itself that none is missing between.
        """
        if not self.count or count <= 0 or entry_id >= self.last:
            return []
        ahead = self.id + self.entries_section
        found: list[Entry] = []
        if entry_id >= self.first:
            with self.txn.cursor(self.database) as cursor:
                if cursor.set_key(ahead + entry_id):
                    found = self._up_to(cursor, ahead + self.last, count + 1)
        if not found:
            return self.range(following(entry_id), LARGEST, count)
        entries = self._checked(found, entry_id, self.last, count + 1)
        del entries[0]
        return entries

    def _up_to(self, cursor: Any, end: bytes, count: int) -> list[Entry]:
        """Up to `count` entries of LMDB from a cursor's place on whose names are not behind `end`."""
        found: list[Entry] = []
        entry: Entry
        for entry in cursor.iternext(True, True):
            found.append(entry)
            if entry[0] > end or len(found) == count:
                break
        if found and found[-1][0] > end:
            self.must_be_intact(found.pop())
        return found

    def range_back(self, start: bytes, stop: bytes, count: int) -> list[Entry]:
        """The same against the order, from the id `stop` down to `start`."""
        start = max(start, self.first)
        stop = min(stop, self.last)
        if not self.count or count <= 0 or start > stop:
            return []
        ahead = self.id + self.entries_section
        end = ahead + start
        found: list[Entry] = []
        with self.txn.cursor(self.database) as cursor:
            if self.seek_back(cursor, ahead + stop):
                entry: Entry
                for entry in cursor.iterprev(True, True):
                    found.append(entry)
                    if entry[0] < end or len(found) == count:
                        break
        if found and found[-1][0] < end:
            self.must_be_intact(found.pop())
        found.reverse()
        entries = self._checked(found, start, stop, count)
        entries.reverse()
        return entries

    def _checked(self, found: list[Entry], start: bytes, stop: bytes, count: int) -> list[Entry]:
        """Ids and words of the entries of a range as LMDB has them, in order.

        Raises `Damaged` where they are not what was written, or are not all where the range is the whole stream.
        """
        if start == self.first and stop >= self.last and len(found) != min(count, self.count):
            raise Damaged(self.where())
        ahead = self.id + self.entries_section
        names = [entry[0] for entry in found]
        if not layout.are_intact(found) or not ascend(names) or (names and not names[0] >= ahead + start):
            raise Damaged(self.where())
        if names and names[-1] > ahead + stop:
            raise Damaged(self.where())
        cut = len(ahead)
        return [(name[cut:], raw[:-CHECKSUM]) for name, raw in found]

    def remove(self, entry_id: bytes) -> bool:
        """Removes an entry; whether it was there."""
        if not self.count or not self.first <= entry_id <= self.last:
            return False
        if not self.delete(self.entries_section + entry_id):
            return False
        self.count -= 1
        run = self._run_of(entry_id)
        if run.start <= self.first:
            self.head_live = 0
        run.live -= 1
        self.put_run(run)
        self.deleted = max(self.deleted, entry_id)
        if entry_id == self.first:
            self.find_first(entry_id)
        return True

    def take_header(self, source: Stream) -> None:
        """Becomes a stream with the entries and groups of another one, which are to be written."""
        self.count = source.count
        self.last, self.first, self.deleted = source.last, source.first, source.deleted
        self.added, self.groups, self.groups_made = source.added, source.groups, source.groups_made
        self.open_run = source.open_run
        self.head_last, self.head_live = source.head_last, source.head_live

    def walk(self, section: bytes, place: bytes, expected: int = -1) -> Iterator[Entry]:
        """The elements of a section from a place on, in order; those that it has given may be changed meanwhile.

        Raises `Damaged` at the end where they were not as many as `expected`, -1 for any number.
        """
        met, size = 0, _FIRST_LOOK
        while entries := self.forward(section, place, size):
            yield from entries
            met += len(entries)
            if len(entries) < size:
                break
            place = entries[-1][0] + b"\0"
            size = min(2 * size, _AT_ONCE)
        if met != expected != -1:
            raise Damaged(self.where())

    def find_first(self, place: bytes) -> None:
        """The first entry is at `place` or behind it now, or there is none."""
        self.first = self.must_forward(self.entries_section, place, 1)[0][0] if self.count else ZERO

    # Runs.

    def runs(self) -> Iterator[Run]:
        """The runs that have entries, in order."""
        if not self.count:
            return
        place = self.first
        for start, data in self.backward(self.runs_section, place, 1):
            place = start + b"\0"
            run = read_run(start, data)
            if run.last >= self.first:
                yield run
        for start, data in self.walk(self.runs_section, place):
            yield read_run(start, data)
        if self.open_run.live:
            yield self.open_run

    def runs_back(self) -> Iterator[Run]:
        """The same from the last one on."""
        if self.open_run.live:
            yield self.open_run
        place: bytes | None = None
        size = _FIRST_LOOK
        while True:
            found = self.backward(self.runs_section, place, size)
            for start, data in found:
                run = read_run(start, data)
                if run.last < self.first:
                    return  # garbage from here on
                yield run
            if len(found) < size:
                return
            place = preceding(found[-1][0])
            size = min(2 * size, _AT_ONCE)

    def _run_of(self, entry_id: bytes) -> Run:
        """The run of an entry that is there."""
        if entry_id >= self.open_run.start:
            return self.open_run
        found = self.backward(self.runs_section, entry_id, 1)
        if not found:
            raise Damaged(self.where())
        return read_run(found[0][0], found[0][1])

    def put_run(self, run: Run) -> None:
        """Writes a run that has changed; the last one goes with the header."""
        if run.is_open:
            return
        if run.live:
            self.put(self.runs_section + run.start, run.packed())
        else:
            self.delete(self.runs_section + run.start)

    def set_last(self, entry_id: bytes) -> None:
        """Sets `last`, which is not less than the last entry's id.

        New entries may come to ids that were trimmed away then. Where the sweeper has not cleared these yet, a new
        series begins.
        """
        if not self.count and entry_id < self.last:
            keys = self.keys
            assert isinstance(keys, WritableKeyspace)
            number = self.number
            if keys.has_discarded_range(number, self.entries_section) or keys.has_discarded_range(
                number, self.runs_section
            ):
                self._begin_series(self.series + 1)
        self.last = entry_id

    def _begin_series(self, series: int) -> None:
        self.series = series
        self.entries_section, self.runs_section = sections_of(series)


def find(keys: Keyspace, key: bytes) -> Stream | None:
    """The stream a key holds, None where there is no such key."""
    record = keys.find(key, STREAM)
    return None if record is None else Stream(keys, key, record)


def read(keys: Keyspace, key: bytes) -> Stream | None:
    """As `find`; in a write, too, it counts as a hit or a miss, for commands that use `lookupKeyRead` in Redis."""
    record = keys.read(key)
    if record is None:
        return None
    if layout.record_type(record) != STREAM:
        raise CommandError(WRONG_TYPE)
    return Stream(keys, key, record)


def find_or_make(keys: WritableKeyspace, key: bytes) -> Stream:
    """The stream a key holds, or a new one that is there once it is saved."""
    return Stream(keys, key, keys.find(key, STREAM))
