"""Sorted sets: members, each with a score, in the order of the scores and of the members where scores are the same.

Every element is stored twice, so that a member leads to its score and a score to its members:

    b"m" + place of the member                  ->  score: the 8 bytes of its IEEE number
    b"o" + ordered score + place of the member  ->  nothing, or a mark where the score is -0.0

In front of the data stands the member where its place does not hold all of it (`elements.py`). The second section is
the one that is counted in runs. An ordered score is 8 bytes whose order is the order of numbers; 0.0 and -0.0 are the
same number. A *place* is here what stands behind the `o`, and a range of elements is a pair of places: from the one
up to, not including, the other.

The header's second own byte is the form in which Redis would keep the set. It is compact up to a number of elements and
a length of members, and never again once it was not. It shows in OBJECT ENCODING, in ZSCAN, and in that a compact set
holds 0 where it was given -0.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final, TypeAlias

from keyp.storage.compact_limits import CompactLimits
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.layout import CHECKSUM, HAS_ELEMENTS, NO_DEADLINE
from keyp.storage.types.counted import Counted
from keyp.storage.types.elements import Elements, Entry, place_of, split_member, with_member
from keyp.storage.value_types import MEMBERS, ORDER, ZSET

Scored: TypeAlias = tuple[bytes, float]  # a member and its score

START: Final = b""  # the range from START to END holds every element
END: Final = b"\xff" * 8

COMPACT: Final = 0
LARGE: Final = 1

SCORE: Final = 8  # bytes of a score

_NUMBER: Final = Struct(">d")
_INVERTED: Final = bytes(range(255, -1, -1))
_MINUS_ZERO: Final = _NUMBER.pack(-0.0)
_MARK: Final = b"-"  # the data of an element whose score is -0.0

_AT_ONCE: Final = 1024  # elements that are read in one go where many are
_FEW: Final = 64  # so many elements are stepped over, or removed one by one, without a look at counts


def ordered(score: float) -> bytes:
    """The 8 bytes of a score whose order is the order of scores; `score` is a number."""
    if score < 0:
        return _NUMBER.pack(score).translate(_INVERTED)
    return _NUMBER.pack(-abs(score))


def score_of(place: bytes) -> float:
    """The score that a place begins with."""
    score: float
    if place[0] & 0x80:
        (score,) = _NUMBER.unpack(place[:SCORE])
        return -score
    (score,) = _NUMBER.unpack(place[:SCORE].translate(_INVERTED))
    return score


def score_range(low: float, above_low: bool, high: float, below_high: bool) -> tuple[bytes, bytes]:
    """The places of the elements with scores from `low` to `high`, without these themselves where it is said so."""
    start, stop = ordered(low), ordered(high)
    return _behind(start) if above_low else start, stop if below_high else _behind(stop)


def _behind(score: bytes) -> bytes:
    """The first place behind all elements of a score."""
    return layout.number(layout.read_number(score) + 1)


def same_score(place: bytes, data: bytes) -> bool:
    """Whether a member's data hold the score that a place begins with."""
    if len(data) < SCORE:
        return False
    score: float
    (score,) = _NUMBER.unpack(data[-SCORE:])
    return ordered(score) == place[:SCORE]


def member_score(elements: Elements, data: bytes) -> float:
    """The score in the data of a member's entry. Raises `Damaged`."""
    if len(data) < SCORE:
        raise Damaged(elements.where())
    score: float
    (score,) = _NUMBER.unpack(data[-SCORE:])
    return score


class SortedSet(Counted):
    """The sorted set of `record`, the record of `key`; a new one where there is none."""

    def __init__(self, keys: Keyspace, key: bytes, record: bytes | None) -> None:
        super().__init__(keys, key, ZSET, record, ORDER, bytes([COMPACT]))

    @property
    def is_compact(self) -> bool:
        """Whether Redis would keep it in its compact form."""
        return self.own[1] == COMPACT

    def enlarge(self) -> None:
        """Sets the large form."""
        self.own = self.own[:1] + bytes([LARGE])

    # One element.

    def score(self, member: bytes) -> float | None:
        """A member's score, None where it is none."""
        data = self.get(MEMBERS + place_of(member))
        return None if data is None else member_score(self, data)

    def add(self, member: bytes, score: float) -> None:
        """Adds a member that is not there."""
        limits = self.keys.lookups.limits
        if self.count >= limits.sorted_set_members or len(member) > limits.sorted_set_bytes:
            self.enlarge()
        place = place_of(member)
        number = self._put_score(member, place, score)
        self.insert(ordered(score) + place, _order_data(member, number))

    def change(self, member: bytes, old: float, score: float) -> None:
        """Gives a member that is there another score."""
        place = place_of(member)
        number = self._put_score(member, place, score)
        self.move(ordered(old) + place, ordered(score) + place, _order_data(member, number))

    def discard(self, member: bytes, score: float) -> None:
        """Removes a member that is there with this score."""
        place = place_of(member)
        self.delete(MEMBERS + place)
        self.remove(ordered(score) + place)

    def _put_score(self, member: bytes, place: bytes, score: float) -> bytes:
        number: bytes = _NUMBER.pack(score + 0.0 if self.is_compact else score)
        self.put(MEMBERS + place, with_member(member, number))
        return number

    def place(self, member: bytes, score: float) -> bytes:
        """Where an element stands."""
        return ordered(score) + place_of(member)

    # Several.

    def between(self, low: bytes, high: bytes, count: int) -> list[Scored]:
        """The first `count` elements of a range of places, in order. Raises `Damaged` where one may be missing."""
        found: list[Entry] = []
        if count <= 0:
            return []
        start = self.id + ORDER
        first, stop = start + low, start + high
        with self.txn.cursor(self.database) as cursor:
            name: bytes
            raw: bytes
            if self.seek(cursor, first):
                for name, raw in cursor.iternext(True, True):
                    if name >= stop:
                        self.must_be_intact((name, raw))
                        break
                    found.append((name, raw))
                    if len(found) == count:
                        break
        if low == START and high == END and len(found) != min(count, self.count):
            raise Damaged(self.where())
        return self._scored(found)

    def between_back(self, low: bytes, high: bytes, count: int) -> list[Scored]:
        """The last `count` elements of a range of places, against the order."""
        found: list[Entry] = []
        if count <= 0:
            return []
        start = self.id + ORDER
        first, stop = start + low, start + high
        with self.txn.cursor(self.database) as cursor:
            name: bytes
            raw: bytes
            if cursor.set_range(stop):
                self.must_be_intact(cursor.item())
                if cursor.key() < stop:
                    raise Damaged(self.where())
                is_any = cursor.prev()
            else:
                is_any = cursor.last()
            if is_any:
                for name, raw in cursor.iterprev(True, True):
                    if name < first:
                        self.must_be_intact((name, raw))
                        break
                    found.append((name, raw))
                    if len(found) == count:
                        break
        if low == START and high == END and len(found) != min(count, self.count):
            raise Damaged(self.where())
        if found and found[0][0] >= stop:
            raise Damaged(self.where())
        found.reverse()
        elements = self._scored(found)
        elements.reverse()
        return elements

    def _scored(self, found: list[Entry]) -> list[Scored]:
        """Entries of the order, as LMDB has them, as members and scores."""
        elements: list[Scored] = []
        last, score = b"", 0.0
        before = b""
        for name, raw in found:
            if name <= before or not layout.is_intact(name, raw):
                raise Damaged(self.where())
            before = name
            ahead = name[9:17]
            if ahead != last:
                last, score = ahead, score_of(ahead)
            if len(raw) == CHECKSUM:
                elements.append((name[17:], score))
            else:
                member, mark = split_member(name[17:], raw[:-CHECKSUM])
                elements.append((member, -0.0 if mark else score))
        return elements

    def by_rank(self, rank: int, count: int) -> list[Scored]:
        """Up to `count` elements in order, the first of which has `rank` others before it."""
        left = self.count - rank
        if rank < 0 or left <= 0:
            return []
        if rank <= _FEW:
            return self.between(START, END, rank + count)[rank:]
        if left <= _FEW:
            return self.between_back(START, END, left)[::-1][:count]
        return self._all_of(min(count, left), self.between(self.at(rank), END, count))

    def by_rank_back(self, rank: int, count: int) -> list[Scored]:
        """Up to `count` elements against the order, the first of which has `rank` others behind it."""
        left = self.count - rank
        if rank < 0 or left <= 0:
            return []
        if rank <= _FEW:
            return self.between_back(START, END, rank + count)[rank:]
        if left <= _FEW:
            return self.between(START, END, left)[::-1][:count]
        return self._all_of(min(count, left), self.between_back(START, self.at(left), count))

    def _all_of(self, count: int, found: list[Scored]) -> list[Scored]:
        if len(found) != count:
            raise Damaged(self.where())
        return found

    def at_ranks(self, ranks: list[int]) -> list[Scored]:
        """The elements of some ranks, which are different and in order."""
        return [_element(place, self.must_get(ORDER + place)) for place in self.places_at(ranks)]

    def count_between(self, low: bytes, high: bytes) -> int:
        """How many elements a range of places holds."""
        before = self.rank(low) if low != START else 0
        return max(0, (self.rank(high) if high != END else self.count) - before)

    def members(self, place: bytes, count: int) -> list[Scored]:
        """Up to `count` elements in the order of the members' places, the first of them at `place` or behind it."""
        found = self.forward(MEMBERS, place, count)
        return [(split_member(place, data)[0], member_score(self, data)) for place, data in found]

    def remove_between(self, low: bytes, high: bytes) -> int:
        """Removes the elements of a range of places; how many.

        Where fewer are left than go, those are stored anew, and what was there before is left to the sweeper. So the
        cost is that of the smaller part.
        """
        found = self.between(low, high, _FEW + 1)
        going = len(found) if len(found) <= _FEW else self.count_between(low, high)
        left = self.count - going
        if left == 0:
            self.count = 0
            self.has_been_cleared = True
        elif going > max(left, _FEW):
            self._keep_outside(low, high)
        else:
            missing = going
            while missing:
                if not found:
                    raise Damaged(self.where())
                for member, score in found[:missing]:
                    self.discard(member, score)
                missing -= min(missing, len(found))
                found = self.between(low, high, min(missing, _AT_ONCE))
        return going

    def _keep_outside(self, low: bytes, high: bytes) -> None:
        """Moves all elements but those of a range into a new collection, which takes the place of this one."""
        keys = self.keys
        assert isinstance(keys, WritableKeyspace)
        old = SortedSet(keys, self.key, self.record)
        self.become(keys.transaction.new_collection())
        self.count = 0
        self.own = b"\0" + self.own[1:]
        self.fill(self._moved(old, low, high))
        keys.discard_elements(old.number)

    def _moved(self, old: SortedSet, low: bytes, high: bytes) -> Iterator[list[Entry]]:
        """The entries for the order of the elements of another set outside a range, whose scores are stored now."""
        for first, stop in ((START, low), (high, END)):
            place = first
            while found := old.between(place, stop, _AT_ONCE):
                yield self._with_scores_stored(found)
                place = old.place(*found[-1]) + b"\0"

    def _with_scores_stored(self, elements: list[Scored]) -> list[Entry]:
        """Stores the scores of new members; the entries for the order, which are not stored yet."""
        entries: list[Entry] = []
        for member, score in elements:
            place = place_of(member)
            number = self._put_score(member, place, score)
            entries.append((ordered(score) + place, _order_data(member, number)))
        return entries

    def load(self, elements: list[Scored]) -> None:
        """Adds different elements, in any order, to an empty set; its form is settled."""
        self.fill([sorted(self._with_scores_stored(elements))])


def _element(place: bytes, data: bytes) -> Scored:
    """Member and score of an element in the section that is in order."""
    member, mark = split_member(place[SCORE:], data)
    return member, -0.0 if mark else score_of(place)


def _order_data(member: bytes, number: bytes) -> bytes:
    """The data of an element in the section that is in order."""
    return with_member(member, _MARK if number == _MINUS_ZERO else b"")


def needs_large_form(elements: list[Scored], limits: CompactLimits) -> bool:
    """Whether a sorted set to which these are added together, or that is made of them, is no compact one."""
    if len(elements) > limits.sorted_set_members:
        return True
    return max([len(member) for member, _ in elements]) > limits.sorted_set_bytes


def find(keys: Keyspace, key: bytes) -> SortedSet | None:
    """The sorted set a key holds, None where there is no such key. Raises WRONGTYPE."""
    record = keys.find(key, ZSET)
    return None if record is None else SortedSet(keys, key, record)


def replace(keys: WritableKeyspace, key: bytes, elements: list[Scored]) -> None:
    """Makes a sorted set of different members, one at least, the value of a key, whatever it held. Raises DAMAGED.

    The key's deadline goes. `elements` may be in any order.
    """
    old = keys.find(key)
    if old is not None and old[0] & HAS_ELEMENTS:
        keys.discard_elements(layout.record_elements(old)[0])
    made = SortedSet(keys, key, None)
    made.record = old
    if needs_large_form(elements, keys.lookups.limits):
        made.enlarge()
    made.load(elements)
    made.save(NO_DEADLINE)
