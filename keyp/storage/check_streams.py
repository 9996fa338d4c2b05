"""Is a stream what its header says it is? One walk over its entries, for `check.py`.

Runs come before groups and groups before entries, as their sections' letters do. Only runs, groups and consumers are
remembered.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from struct import error as StructError

from keyp.storage.check_elements import entry_problem
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.layout import CHECKSUM, NUMBER
from keyp.storage.lmdb.store import Database, Transaction
from keyp.storage.types.elements import split_member
from keyp.storage.types.stream_groups import (
    CONSUMERS,
    NAMES,
    OWNED,
    PENDING,
    group_prefix,
    read_consumer,
    read_group_counts,
    read_pending,
)
from keyp.storage.types.stream_runs import Run, read_run
from keyp.storage.types.streams import read_ends, read_series, sections_of
from keyp.storage.value_types import COUNTS, GROUP, GROUPS, LATER_COUNTS, LATER_MEMBERS, MEMBERS

_OF_SERIES = (MEMBERS, COUNTS, LATER_MEMBERS, LATER_COUNTS)
_PART = 1 + NUMBER  # where the letter of a part stands, behind section and group


class StreamCheck:
    """The stream whose record, in the space `space`, is `record`. `garbage` is the sub-database of what is left."""

    def __init__(self, txn: Transaction, database: Database, garbage: Database, space: int, record: bytes) -> None:
        self.txn = txn
        self.database = database
        self.garbage = garbage
        self.space = space
        self.number, self.count = layout.record_elements(record)
        self.id = layout.number(self.number)
        own = layout.record_body(record)[2 * NUMBER :]
        self.first, self.last_run, self.group_count = read_ends(own)
        self.entries_section, self.runs_section = sections_of(read_series(own))
        self.runs: list[Run] = []
        self.starts: list[bytes] = []  # of the runs
        self.entries: Counter[int] = Counter()  # met in each run
        self.groups: dict[int, tuple[int, int]] = {}  # by number: entries pending, consumers
        self.names: Counter[int] = Counter()  # by group
        self.pending: Counter[int] = Counter()  # by group
        self.owned: Counter[tuple[int, int]] = Counter()  # by group and consumer
        self.consumers: dict[tuple[int, int], int] = {}  # by group and consumer: entries pending

    def problems(self) -> Iterator[str]:
        """A line for each thing that is wrong."""
        before = b""
        with self.txn.cursor(self.database) as cursor:
            found = cursor.set_range(self.id)
            while found and cursor.key().startswith(self.id):
                name, raw = cursor.item()
                if name <= before:
                    yield f"an element of stream {self.number} is not in order"
                before = name
                problem = entry_problem(self.txn, self.database, name, raw)
                if problem:
                    yield f"an element of stream {self.number} {problem}"
                else:
                    yield from self._element(name[NUMBER:], raw[:-CHECKSUM])
                found = cursor.next()
        yield from self._runs()
        yield from self._groups()

    def _element(self, place: bytes, data: bytes) -> Iterator[str]:
        section = place[:1]
        try:
            if place.startswith(self.runs_section):
                yield from self._run(place[len(self.runs_section) :], data)
            elif place.startswith(self.entries_section):
                yield from self._entry(place[len(self.entries_section) :])
            elif section in _OF_SERIES:
                yield from self._trimmed(place)
            elif section == GROUP:
                yield from self._part_of_group(place, data)
            elif section == GROUPS:
                number, pending, consumers = read_group_counts(split_member(place[1:], data)[1])
                self.groups[number] = pending, consumers
            else:
                yield f"stream {self.number} has an element in section {section!r}, which streams do not have"
        except StructError:
            yield f"stream {self.number} has an element in section {section!r} that cannot be read"

    def _run(self, start: bytes, data: bytes) -> Iterator[str]:
        run = read_run(start, data)
        if not self.count or run.last < self.first:
            yield from self._trimmed(self.runs_section + start)
        else:
            self._add_run(run)

    def _add_run(self, run: Run) -> None:
        self.runs.append(run)
        self.starts.append(run.start)

    def _entry(self, entry_id: bytes) -> Iterator[str]:
        if not self.count or entry_id < self.first:
            yield from self._trimmed(self.entries_section + entry_id)
            return
        last = self.last_run
        if last.live and (not self.starts or self.starts[-1] != last.start):
            self._add_run(last)
        at = bisect_right(self.starts, entry_id) - 1
        if at < 0 or entry_id > self.runs[at].last:
            yield f"stream {self.number} has an entry that is in none of its runs"
        self.entries[at] += 1

    def _trimmed(self, place: bytes) -> Iterator[str]:
        """What stands before the first entry, or belongs to an earlier series, is left to the sweeper."""
        ahead = layout.range_garbage(self.space, self.number, place[:1], b"")
        with self.txn.cursor(self.garbage) as cursor:
            if not cursor.set_range(ahead + place[1:] + b"\0") or not cursor.key().startswith(ahead):
                yield f"stream {self.number} has an element before its first entry that is not in the garbage"

    def _runs(self) -> Iterator[str]:
        met = self.entries.total()
        if met != self.count:
            yield f"stream {self.number} has {met} entries, not {self.count}"
        if any(run.live != self.entries[at] or run.live > run.total for at, run in enumerate(self.runs)):
            yield f"the counts of stream {self.number} are not right"

    def _part_of_group(self, place: bytes, data: bytes) -> Iterator[str]:
        number, part, rest = layout.read_number(place, 1), place[_PART : _PART + 1], place[_PART + 1 :]
        if part == NAMES:
            self.names[number] += 1
            name, consumer = split_member(rest, data)
            raw = self._get(group_prefix(number) + CONSUMERS + consumer)
            if raw is None or read_consumer(0, raw).name != name:
                yield f"stream {self.number} has a consumer's name without its consumer"
        elif part == CONSUMERS:
            self.consumers[number, layout.read_number(rest)] = read_consumer(0, data).pending
        elif part == PENDING:
            self.pending[number] += 1
            pending = read_pending(rest, data)
            if self._get(group_prefix(number) + OWNED + layout.number(pending.consumer) + rest) is None:
                yield f"stream {self.number} has a pending entry that its consumer does not have"
        elif part == OWNED:
            consumer_number, entry_id = layout.read_number(rest), rest[NUMBER:]
            self.owned[number, consumer_number] += 1
            raw = self._get(group_prefix(number) + PENDING + entry_id)
            if raw is None or read_pending(entry_id, raw).consumer != consumer_number:
                yield f"stream {self.number} has a consumer's pending entry that its group does not have"
        else:
            yield f"stream {self.number} has a part {part!r} of a group, which groups do not have"

    def _get(self, place: bytes) -> bytes | None:
        raw = self.txn.get(self.id + place, None, self.database)
        return None if raw is None else raw[:-CHECKSUM]

    def _groups(self) -> Iterator[str]:
        """Each group has as many consumers and pending entries as it says; what has no group is in the garbage."""
        for number in sorted({*self.names, *self.pending, *[group for group, _ in self.consumers]} - {*self.groups}):
            entry = layout.elements_garbage(self.space, self.number) + group_prefix(number)
            if self.txn.get(entry, None, self.garbage) is None:
                yield f"stream {self.number} has parts of group {number}, which it does not have"
        if len(self.groups) != self.group_count:
            yield f"stream {self.number} has {len(self.groups)} groups, not {self.group_count}"
        counted = Counter([group for group, _ in self.consumers])
        for number, (pending, consumers) in self.groups.items():
            if not self.names[number] == counted[number] == consumers:
                yield f"group {number} of stream {self.number} has not the {consumers} consumers that it says"
            met = self.pending[number]
            if met != pending:
                yield f"group {number} of stream {self.number} has {met} pending entries, not {pending}"
        for (number, consumer), owned in self.consumers.items():
            if number in self.groups and self.owned[number, consumer] != owned:
                yield f"consumer {consumer} of group {number} of stream {self.number} has not {owned} pending entries"
