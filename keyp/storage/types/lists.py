"""Lists: each element an entry of its own, at a position.

Positions are 8-byte numbers that follow each other without a gap; the header keeps the first one. A new list begins in
the middle of all numbers, so that it never runs out of numbers at either end. The element of an index is found at once,
wherever it is. What is inserted or removed in between moves the elements on its shorter side.

All functions on lists raise WRONGTYPE where the key holds another type of value.
"""

from __future__ import annotations

from typing import Final

from keyp.storage.keys.keyspace import KEEP_DEADLINE, Keyspace, WritableKeyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.layout import HAS_ELEMENTS, NO_DEADLINE, number
from keyp.storage.types.collection import Collection
from keyp.storage.value_types import LIST, MEMBERS

MIDDLE: Final = 1 << 63
_NEW: Final = number(MIDDLE)  # the own bytes of a new list

AT_ONCE: Final = 1024  # elements that are read or moved in one go


class List(Collection):
    """The list of a record, or a new one. Indexes count from 0 and are within the list.

    `first` is the position of the first element.
    """

    def __init__(self, keys: Keyspace, key: bytes, record: bytes | None) -> None:
        super().__init__(keys, key, LIST, record, _NEW)
        self.first = layout.read_number(self.own)

    def save(self, deadline_ms: int = KEEP_DEADLINE) -> None:
        """As `Collection.save`."""
        if self.count:
            self.own = number(self.first)
        super().save(deadline_ms)

    def element(self, index: int) -> bytes:
        """The element at an index."""
        return self.must_get(MEMBERS + number(self.first + index))

    def set(self, index: int, element: bytes) -> None:
        """Puts another element in the place of one."""
        self.put(MEMBERS + number(self.first + index), element)

    def push(self, elements: list[bytes], left: bool) -> None:
        """Adds elements one after the other at an end: the last of them is the outermost."""
        first = self.first
        if left:
            for element in elements:
                first -= 1
                self.put(MEMBERS + number(first), element)
            self.first = first
        else:
            stop = first + self.count
            for element in elements:
                self.put(MEMBERS + number(stop), element)
                stop += 1
        self.count += len(elements)

    def pop(self, count: int, left: bool) -> list[bytes]:
        """Removes up to `count` elements from an end; they are given from there inwards."""
        count = min(count, self.count)
        index = 0 if left else self.count - count
        popped = self.range(index, count)
        start = self.first + index
        for position in range(start, start + count):
            self.delete(MEMBERS + number(position))
        if left:
            self.first = start + count
        self.count -= count
        return popped if left else popped[::-1]

    def range(self, start: int, count: int) -> list[bytes]:
        """`count` elements from index `start` on."""
        if count == 1:
            return [self.must_get(MEMBERS + number(self.first + start))]
        elements: list[bytes] = []
        while len(elements) < count:
            position = self.first + start + len(elements)
            wanted = min(AT_ONCE, count - len(elements))
            found = self.exactly(MEMBERS, number(position), wanted)
            if found[-1][0] != number(position + wanted - 1):
                raise Damaged(self.where())
            elements += [data for _, data in found]
        return elements

    def insert(self, index: int, element: bytes) -> None:
        """Puts an element before the one at `index`, which may be the count for the end."""
        if index * 2 < self.count:
            self._move(0, index, -1)
            self.first -= 1
        else:
            self._move(index, self.count, 1)
        self.count += 1
        self.set(index, element)

    def remove(self, indexes: list[int]) -> None:
        """Removes the elements at these indexes, which ascend."""
        if indexes[0] < self.count - 1 - indexes[-1]:
            self._close_up_left(indexes)
        else:
            self._close_up_right(indexes)
        self.count -= len(indexes)

    def _close_up_right(self, indexes: list[int]) -> None:
        """Moves what stands behind the removed ones to the left."""
        for gap, index in enumerate(indexes, 1):
            stop = indexes[gap] if gap < len(indexes) else self.count
            self._move(index + 1, stop, -gap)
        end = self.first + self.count
        for position in range(end - len(indexes), end):
            self.delete(MEMBERS + number(position))

    def _close_up_left(self, indexes: list[int]) -> None:
        """Moves what stands before the removed ones to the right."""
        for gap, index in enumerate(reversed(indexes), 1):
            start = indexes[-gap - 1] + 1 if gap < len(indexes) else 0
            self._move(start, index, gap)
        for position in range(self.first, self.first + len(indexes)):
            self.delete(MEMBERS + number(position))
        self.first += len(indexes)

    def _move(self, start: int, stop: int, by: int) -> None:
        """Writes the elements from `start` up to `stop` anew, `by` positions further."""
        first = self.first
        while start < stop:
            count = min(AT_ONCE, stop - start)
            begin = start if by < 0 else stop - count
            for index, element in enumerate(self.range(begin, count), begin):
                self.put(MEMBERS + number(first + index + by), element)
            if by < 0:
                start += count
            else:
                stop -= count

    def keep(self, start: int, count: int) -> None:
        """Removes all elements but `count` from `start` on, at the cost of the smaller part."""
        removed = self.count - count
        if count and count < removed:
            self._keep_in_another(start, count)
            return
        if count:
            for index in range(start):
                self.delete(MEMBERS + number(self.first + index))
            for index in range(start + count, self.count):
                self.delete(MEMBERS + number(self.first + index))
        else:
            self.has_been_cleared = True
        self.first += start
        self.count = count

    def _keep_in_another(self, start: int, count: int) -> None:
        """Takes the elements to a new collection and leaves the old one to the sweeper."""
        keys = self.keys
        assert isinstance(keys, WritableKeyspace)
        kept = self.range(start, count)
        keys.discard_elements(self.number)
        self.become(keys.transaction.new_collection())
        self.first = MIDDLE
        self.count = 0
        self.push(kept, left=False)


def find(keys: Keyspace, key: bytes) -> List | None:
    """The list of a key, None where there is no such key."""
    record = keys.find(key, LIST)
    return None if record is None else List(keys, key, record)


def open_list(keys: WritableKeyspace, key: bytes) -> List:
    """The list of a key, a new one where there is no such key."""
    return List(keys, key, keys.find(key, LIST))


def replace(keys: WritableKeyspace, key: bytes, elements: list[bytes]) -> None:
    """Makes a list of elements, of which there are some, the value of a key, whatever it held. The deadline goes."""
    old = keys.find(key)
    made = List(keys, key, None)
    made.push(elements, left=False)
    if old is not None and old[0] & HAS_ELEMENTS:
        keys.discard_elements(layout.record_elements(old)[0])
    made.record = old
    made.save(NO_DEADLINE)
