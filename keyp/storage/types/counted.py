"""A collection whose elements are found by their rank as well: the n-th in order, and how many come before a place.

Elements in order are cut into *runs* of at most RUN_MAX, and for each run an entry of its own keeps how many elements
it has. These entries are cut into runs again, and so on until one run holds all: a tree whose nodes are entries of
LMDB. So a rank costs a walk over one run at each level, and an insertion changes one count at each level, below the
top. A collection that fits into one run keeps no counts at all.

    b"c" + level + place of the run's first element   ->   elements (8), parts (4)

Level 1 counts elements of the section, level n runs of level n - 1; `parts` is how many of them a run has. The first
run of each level begins at the empty place, so that every place is in some run. The top run's number of elements is
the collection's and is not kept there. The first of the header's own bytes says how many levels there are; others
behind it are the type's.

A run is split in two when it is too long, and goes when it is empty, but for the first one of its parent. Runs are
never joined: a walk is bounded by RUN_MAX all the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import islice
from typing import Final

from keyp.storage.keys.keyspace import Keyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.proof import ascend
from keyp.storage.types.collection import Collection
from keyp.storage.types.elements import Entry
from keyp.storage.value_types import COUNTS

RUN_MAX: Final = 256
FILLED: Final = 192  # parts of a run that is made at once: there is room for some more

_PARTS: Final = 4  # bytes of a number of parts

_NEAR: Final = 256  # ranks this close are read together with what is between them …
_TOGETHER_MAX: Final = 1024  # … up to so many


class Run:
    """A node of the tree: `start` is the first place it may hold."""

    def __init__(self, start: bytes, data: bytes) -> None:
        self.start = start
        self.count = layout.read_number(data)
        self.parts = int.from_bytes(data[8 : 8 + _PARTS], "big")

    def packed(self) -> bytes:
        """As it is stored."""
        return layout.number(self.count) + self.parts.to_bytes(_PARTS, "big")


class Counted(Collection):
    """A collection whose count is that of one `section`, which is in order. Places here are without section.

    `own` are the type's bytes of a new one's header.
    """

    def __init__(
        self, keys: Keyspace, key: bytes, type_: int, record: bytes | None, section: bytes, own: bytes = b""
    ) -> None:
        super().__init__(keys, key, type_, record, b"\0" + own)
        self.section = section

    @property
    def levels(self) -> int:
        """How many levels of runs there are."""
        return self.own[0]

    def has_rest(self) -> bool:
        """Elements may be left, or counts."""
        return self.has_been_cleared or self.levels > 0

    def insert(self, place: bytes, data: bytes) -> None:
        """Adds an element at a place where there is none."""
        self.put(self.section + place, data)
        self._count_one_more(place)

    def insert_if_new(self, place: bytes, data: bytes) -> bool:
        """Adds an element unless there is one at its place; whether it did."""
        if not self.put_if_new(self.section + place, data):
            return False
        self._count_one_more(place)
        return True

    def insert_or_replace(self, place: bytes, data: bytes) -> bool:
        """Adds an element, or gives the one at its place other data; whether it is new."""
        if not self.put_or_replace(self.section + place, data):
            return False
        self._count_one_more(place)
        return True

    def remove(self, place: bytes) -> None:
        """Removes the element at a place where there is one."""
        self.remove_if_there(place)

    def remove_if_there(self, place: bytes) -> bool:
        """Removes the element at a place; whether there was one."""
        if not self.delete(self.section + place):
            return False
        self.count -= 1
        if self.levels:
            self._removed(place)
        return True

    def fill(self, slices: Iterable[list[Entry]]) -> None:
        """Adds many elements, which come in order, to an empty collection; they are counted once, at the end."""
        starts: list[bytes] = []
        for entries in slices:
            for place, data in entries:
                if self.count % FILLED == 0:
                    starts.append(place)
                self.put(self.section + place, data)
                self.count += 1
        if self.count > RUN_MAX:
            self._count_filled(starts)

    def move(self, place: bytes, new_place: bytes, data: bytes) -> None:
        """Gives the element at a place another place, where there is none, and data. It may be the place it has."""
        if place != new_place:
            self.delete(self.section + place)
        self.put(self.section + new_place, data)
        if self.levels and self._run_of(1, max(place, new_place)).start > min(place, new_place):
            self._removed(place)
            self._added(new_place)

    def rank(self, place: bytes) -> int:
        """How many elements stand before a place. Raises `Damaged` where that is not certain."""
        start, before, count = b"", 0, self.count
        for level in range(self.levels - 1, 0, -1):
            start, before, count = self._walk_to_place(level, start, place, before)
        names = self._names_in_run(start, count)
        stop = self.id + self.section + place
        if not ascend(names):
            raise Damaged(self.where())
        behind = bisect_left(names, stop)
        if not all(map(self._is_proved, names[max(behind - 1, 0) : behind + 1])):
            raise Damaged(self.where())
        return before + behind

    def at(self, rank: int) -> bytes:
        """The place of the element that `rank` others stand before; 0 <= rank < count.

        Raises `Damaged` where its run has not as many elements as it should.
        """
        start, before, count = b"", 0, self.count
        for level in range(self.levels - 1, 0, -1):
            start, before, count = self._walk_to_rank(level, start, rank, before)
        name = self._names_in_run(start, count)[rank - before]
        if not self._is_proved(name):
            raise Damaged(self.where())
        return name[len(self.id) + len(self.section) :]

    def _names_in_run(self, start: bytes, count: int) -> list[bytes]:
        """The names of the elements of the run at `start`, of which there must be `count`; the first of them is proved.

        LMDB may have found an entry before the run whose name has changed: it would be counted for one of the run.
        """
        ahead = self.id + self.section
        names: list[bytes] = []
        with self.txn.cursor(self.database) as cursor:
            if self.seek(cursor, ahead + start):
                names = list(islice(cursor.iternext(True, False), count))
        if len(names) != count:
            raise Damaged(self.where())
        if names and not (names[0] >= ahead + start and names[-1].startswith(ahead) and self._is_proved(names[0])):
            raise Damaged(self.where())
        return names

    def _is_proved(self, name: bytes) -> bool:
        return self.keys.lookups.proof().of(self.database, name)

    def random_place(self, rank: int) -> bytes:
        """The place of a random element: in a sound collection, that of this rank. It is not proved."""
        start, before = b"", 0
        for level in range(self.levels - 1, 0, -1):
            start, before, _ = self._walk_to_rank(level, start, rank, before)
        ahead = self.id + self.section
        with self.txn.cursor(self.database) as cursor:
            if cursor.set_range(ahead + start):
                name: bytes
                for name in islice(cursor.iternext(True, False), rank - before, None):
                    if name.startswith(ahead):
                        return name[len(ahead) :]
                    break
        raise Damaged(self.where())

    def places_at(self, ranks: list[int]) -> list[bytes]:
        """The places of random elements by their ranks, which are different and in order."""
        found: list[bytes] = []
        start = 0
        while start < len(ranks):
            first, stop = ranks[start], start + 1
            while stop < len(ranks) and ranks[stop] - ranks[stop - 1] <= _NEAR and ranks[stop] - first < _TOGETHER_MAX:
                stop += 1
            count = ranks[stop - 1] - first + 1
            places = [self.random_place(first)]
            if count > 1:
                places = self.places(self.section, places[0], count)
                if len(places) < count:
                    raise Damaged(self.where())
            found += [places[rank - first] for rank in ranks[start:stop]]
            start = stop
        return found

    # The tree.

    def _walk_to_place(self, level: int, start: bytes, place: bytes, before: int) -> tuple[bytes, int, int]:
        """From the run that begins at `start` to its part that holds `place`.

        Where that begins, how many elements are before it, and how many it has.
        """
        head = self.id + _at_level(level)
        stop = head + place
        found, count = head, 0
        last = b""
        name: bytes
        raw: bytes
        with self.txn.cursor(self.database) as cursor:
            if not cursor.set_key(head + start):
                raise Damaged(self.where())
            for name, raw in cursor.iternext(True, True):
                next_count = self._count_in(name, raw, last)
                if name > stop:
                    break
                before += count
                last = found = name
                count = next_count
        return found[len(head) :], before, count

    def _walk_to_rank(self, level: int, start: bytes, rank: int, before: int) -> tuple[bytes, int, int]:
        """The same for the element of a rank."""
        head = self.id + _at_level(level)
        last = b""
        name: bytes
        raw: bytes
        with self.txn.cursor(self.database) as cursor:
            if not cursor.set_key(head + start):
                raise Damaged(self.where())
            for name, raw in cursor.iternext(True, True):
                if not name.startswith(head):
                    break
                count = self._count_in(name, raw, last)
                if before + count > rank:
                    return name[len(head) :], before, count
                before += count
                last = name
        raise Damaged(self.where())

    def _count_in(self, name: bytes, raw: bytes, last: bytes) -> int:
        """How many elements the run has that is stored so, behind the one at `last`."""
        if name <= last or not layout.is_intact(name, raw):
            raise Damaged(self.where())
        return layout.read_number(raw)

    def _runs(self, level: int, start: bytes) -> list[Run]:
        """The runs of a level from `start` on; those of one parent are among them."""
        found = self.forward(_at_level(level), start, RUN_MAX + 1)
        if not found or found[0][0] != start:
            raise Damaged(self.where())
        return [Run(place, data) for place, data in found]

    def _run_of(self, level: int, place: bytes) -> Run:
        """The run of a level that holds `place`."""
        found = self.backward(_at_level(level), place, 1)
        if not found:
            raise Damaged(self.where())
        return Run(found[0][0], found[0][1])

    def _put_run(self, level: int, run: Run) -> None:
        self.put(_at_level(level) + run.start, run.packed())

    def _set_levels(self, levels: int) -> None:
        self.own = bytes([levels]) + self.own[1:]

    def _count_filled(self, starts: list[bytes]) -> None:
        """Writes all counts of a collection whose runs are full as `fill` leaves them."""
        starts[0] = b""
        last = self.count - FILLED * (len(starts) - 1)
        runs = [_run(start, FILLED, FILLED) for start in starts[:-1]] + [_run(starts[-1], last, last)]
        level = 1
        while True:
            for run in runs:
                self._put_run(level, run)
            if len(runs) == 1:
                break
            parents: list[Run] = []
            for at in range(0, len(runs), FILLED):
                parts = runs[at : at + FILLED]
                parents.append(_run(parts[0].start, sum([part.count for part in parts]), len(parts)))
            runs = parents
            level += 1
        self._set_levels(level)

    def _count_one_more(self, place: bytes) -> None:
        self.count += 1
        if self.levels:
            self._added(place)
        elif self.count > RUN_MAX:
            self._begin_counting()

    def _begin_counting(self) -> None:
        self._set_levels(1)
        self._split(1, _run(b"", self.count, self.count))

    def _added(self, place: bytes) -> None:
        """Counts the element that has come to `place`."""
        for level in range(self.levels - 1, 0, -1):
            run = self._run_of(level, place)
            run.count += 1
            if level == 1:
                run.parts += 1
            self._put_run(level, run)
        if run.parts > RUN_MAX:
            self._split(1, run)

    def _split(self, level: int, run: Run) -> None:
        """Makes two runs of one, and counts the new one in their parent."""
        half = run.parts // 2
        if level == 1:
            left, starts = half, self.places(self.section, run.start, half + 1)
        else:
            parts = self._runs(level - 1, run.start)[: half + 1]
            left, starts = sum([part.count for part in parts[:half]]), [part.start for part in parts]
        if len(starts) <= half:
            raise Damaged(self.where())
        middle = starts[half]
        right = _run(middle, run.count - left, run.parts - half)
        run.count, run.parts = left, half
        self._put_run(level, run)
        self._put_run(level, right)
        self._count_part(level + 1, middle)

    def _count_part(self, level: int, place: bytes) -> None:
        """A run at `place`, one level below, has been split."""
        if level > self.levels:
            self._set_levels(level)
            self._put_run(level, _run(b"", 0, 2))
            return
        run = self._run_of(level, place)
        run.parts += 1
        if run.parts > RUN_MAX:
            if level == self.levels:
                run.count = self.count
            self._split(level, run)
        else:
            self._put_run(level, run)

    def _removed(self, place: bytes) -> None:
        """Counts the element that has gone from `place`; runs that are empty now go too."""
        path = [self._run_of(level, place) for level in range(1, self.levels + 1)]
        path[0].parts -= 1
        for level in range(self.levels - 1, 0, -1):
            run, parent = path[level - 1], path[level]
            run.count -= 1
            if run.count == 0 and run.start != parent.start:
                parent.parts -= 1
                self._put_run(level + 1, parent)
                self._delete_empty(level, path)
                return
            self._put_run(level, run)

    def _delete_empty(self, level: int, path: list[Run]) -> None:
        """Deletes the run of a level on a path from it down, and what is left below it: empty first parts."""
        for upper in range(level, 0, -1):
            for lower in range(upper, 0, -1):
                self.delete(_at_level(lower) + path[upper - 1].start)


def _run(start: bytes, count: int, parts: int) -> Run:
    return Run(start, layout.number(count) + parts.to_bytes(_PARTS, "big"))


def _at_level(level: int) -> bytes:
    return COUNTS + bytes([level])
