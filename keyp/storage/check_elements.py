"""Is a collection what its header says it is? One walk over its entries, for `check.py`.

Counts come before members and members before the order, as their sections' letters do; so when elements are met, the
runs that count them are known. Only the runs are remembered, one for some hundred elements.
"""

from __future__ import annotations

from collections.abc import Iterator

from keyp.storage.lmdb import layout
from keyp.storage.lmdb.store import Database, Transaction
from keyp.storage.types.counted import Run
from keyp.storage.types.sortedsets import SCORE, same_score
from keyp.storage.value_types import COUNTS, MEMBERS, ORDER, ValueType


def entry_problem(txn: Transaction, database: Database, name: bytes, raw: bytes) -> str:
    """What is wrong with an entry that a walk has met, by itself; empty where nothing is."""
    if not layout.is_intact(name, raw):
        return "is not what was written"
    return "" if txn.get(name, None, database) == raw else "is there and is not found"


class CollectionCheck:
    """The collection `number` of `type_` whose record says that it has `count` elements."""

    def __init__(self, txn: Transaction, database: Database, number: int, type_: ValueType, count: int) -> None:
        self.txn = txn
        self.database = database
        self.id = layout.number(number)
        self.number = number
        self.type = type_
        self.count = count
        self.seen: dict[bytes, int] = {}
        self.levels: dict[int, list[Run]] = {}
        self.found: list[int] = []  # elements met in each run of level 1

    def problems(self) -> Iterator[str]:
        """A line for each thing that is wrong."""
        before = b""
        with self.txn.cursor(self.database) as cursor:
            found = cursor.set_range(self.id)
            while found and cursor.key().startswith(self.id):
                name, raw = cursor.item()
                if name <= before:
                    yield f"an element of collection {self.number} is not in order"
                before = name
                yield from self._entry(name, raw)
                found = cursor.next()
        for section in (MEMBERS, ORDER):
            expected = self.count if section in self.type.sections else 0
            if self.seen.get(section, 0) != expected:
                has = self.seen.get(section, 0)
                yield f"collection {self.number} has {has} entries in section {section.decode()}, not {expected}"
        yield from self._runs()

    def _entry(self, name: bytes, raw: bytes) -> Iterator[str]:
        section, place = name[8:9], name[9:]
        self.seen[section] = self.seen.get(section, 0) + 1
        problem = entry_problem(self.txn, self.database, name, raw)
        if problem:
            yield f"an element of collection {self.number} {problem}"
        elif section == COUNTS:
            self.levels.setdefault(place[0], []).append(Run(place[1:], raw))
        elif section == self.type.ranked:
            self._count(place)
            if section == ORDER and not self._is_score(place):
                yield f"collection {self.number} has an element in its order that has not this score"
        elif section not in self.type.sections:
            yield f"collection {self.number} has an entry in section {section!r}, which its type does not have"

    def _is_score(self, place: bytes) -> bool:
        """Whether the member that stands in the order is there, with the score by which it stands there."""
        raw = self.txn.get(self.id + MEMBERS + place[SCORE:], None, self.database)
        return raw is not None and same_score(place, raw[: -layout.CHECKSUM])

    def _count(self, place: bytes) -> None:
        """An element is in the run that it must be in."""
        runs = self.levels.get(1, [])
        if not self.found:
            self.found = [0] * max(1, len(runs))
            self.run = 0
        while self.run + 1 < len(runs) and runs[self.run + 1].start <= place:
            self.run += 1
        self.found[self.run] += 1

    def _runs(self) -> Iterator[str]:
        """Every run has the elements and parts it says, and begins where one of its parts does."""
        starts: list[bytes] = []
        counts: list[int] = []
        top = max(self.levels, default=0)
        for level in range(1, top + 1):
            runs = self.levels.get(level, [])
            sums, parts = [0] * len(runs), [0] * len(runs)
            if level == 1:
                sums = parts = self.found or sums
            else:
                at = 0
                for start, count in zip(starts, counts, strict=True):
                    while at + 1 < len(runs) and runs[at + 1].start <= start:
                        at += 1
                    sums[at] += count
                    parts[at] += 1
            right = [run.parts for run in runs] == parts and (level == top or [run.count for run in runs] == sums)
            if not runs or runs[0].start or not right or (level > 1 and not {r.start for r in runs} <= set(starts)):
                yield f"the counts of collection {self.number} at level {level} are not right"
                return
            starts, counts = [run.start for run in runs], sums
        if top and len(starts) != 1:
            yield f"the counts of collection {self.number} have {len(starts)} runs at the top"
