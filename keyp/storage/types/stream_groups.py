"""Consumer groups of streams: groups, consumers and pending entries, each an entry of its own.

Groups and consumers have numbers, which are never given again, so that names of any length stand once:

    b"g" + group's place                             ->   the group's name if long, `_GROUP`
    b"d" + group + b"n" + consumer's place           ->   the consumer's name if long, its number
    b"d" + group + b"c" + consumer                   ->   `_CONSUMER`, the consumer's name
    b"d" + group + b"p" + id                         ->   `_PENDING`: an entry that is not acknowledged, of the group …
    b"d" + group + b"q" + consumer + id              ->   nothing: … and of its consumer

So delivering or acknowledging an entry costs the same however many are pending. All that belongs to a group begins
alike, and is left to the sweeper when the group goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final

from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.types.elements import place_of, split_member, with_member
from keyp.storage.types.stream_ids import ZERO
from keyp.storage.types.streams import Stream
from keyp.storage.value_types import GROUP, GROUPS

# Number; last delivered id; entries read, + 1; entries pending; consumers; consumers ever made.
_GROUP: Final = Struct(">Q16sQQQQ")
# When it was seen and when it was active, + 1, in milliseconds since 1970; entries pending.
_CONSUMER: Final = Struct(">QQQ")
# The consumer's number; when it was delivered, in milliseconds since 1970; how often.
_PENDING: Final = Struct(">QQQ")

NAMES: Final = b"n"
CONSUMERS: Final = b"c"
PENDING: Final = b"p"
OWNED: Final = b"q"

UNKNOWN: Final = -1  # entries that were read, or a time


class Pending:
    """An entry that was delivered and not acknowledged: to which consumer by number, when, how often."""

    def __init__(self, entry_id: bytes, consumer: int, delivered_ms: int, deliveries: int) -> None:
        self.id = entry_id
        self.consumer = consumer
        self.delivered_ms = delivered_ms
        self.deliveries = deliveries

    def packed(self) -> bytes:
        """As it is stored."""
        return _PENDING.pack(self.consumer, self.delivered_ms, self.deliveries)


def read_pending(entry_id: bytes, data: bytes) -> Pending:
    """The pending entry that is stored for an id."""
    consumer, delivered_ms, deliveries = _PENDING.unpack(data)
    return Pending(entry_id, consumer, delivered_ms, deliveries)


class Consumer:
    """A consumer of a group. `seen_ms` is when it asked for entries last, `active_ms` when it got some, or UNKNOWN."""

    def __init__(self, number: int, name: bytes, seen_ms: int, active_ms: int, pending: int) -> None:
        self.number = number
        self.name = name
        self.seen_ms = seen_ms
        self.active_ms = active_ms
        self.pending = pending

    def packed(self) -> bytes:
        """As it is stored."""
        return _CONSUMER.pack(self.seen_ms, self.active_ms + 1, self.pending) + self.name


def read_consumer(number: int, data: bytes) -> Consumer:
    """The consumer that is stored under a number."""
    seen_ms, active, pending = _CONSUMER.unpack_from(data)
    return Consumer(number, data[_CONSUMER.size :], seen_ms, active - 1, pending)


class Group:
    """The group `name` of a stream, from the `data` of its entry. Code that changes it calls `save` once at the end.

    `last` is the id that was delivered last, `entries_read` how many entries of the stream come up to it, or UNKNOWN;
    `pending` and `consumers` are how many there are.
    """

    number: int
    last: bytes
    entries_read: int
    pending: int
    consumers: int

    def __init__(self, stream: Stream, name: bytes, data: bytes) -> None:
        self.stream = stream
        self.name = name
        self.number, self.last, read, self.pending, self.consumers, self._consumers_made = _GROUP.unpack(data)
        self.entries_read = read - 1
        self._prefix = group_prefix(self.number)
        self._met: dict[int, Consumer] = {}
        self._changed: set[int] = set()

    def save(self) -> None:
        """Writes the group and those of its consumers that have changed."""
        for number in sorted(self._changed):
            self.stream.put(self._prefix + CONSUMERS + layout.number(number), self._met[number].packed())
        self._changed.clear()
        data = _GROUP.pack(
            self.number, self.last, self.entries_read + 1, self.pending, self.consumers, self._consumers_made
        )
        self.stream.put(GROUPS + place_of(self.name), with_member(self.name, data))

    # Consumers.

    def consumer(self, name: bytes) -> Consumer | None:
        """The consumer of a name, None where there is none."""
        place = place_of(name)
        data = self.stream.get(self._prefix + NAMES + place)
        return None if data is None else self.numbered(layout.read_number(split_member(place, data)[1]))

    def numbered(self, number: int) -> Consumer:
        """The consumer of a number that is in use."""
        found = self._met.get(number)
        if found is None:
            data = self.stream.must_get(self._prefix + CONSUMERS + layout.number(number))
            found = self._met[number] = read_consumer(number, data)
        return found

    def add_consumer(self, name: bytes, now_ms: int) -> Consumer:
        """Makes a consumer of a name that none has."""
        self._consumers_made += 1
        self.consumers += 1
        number = self._consumers_made
        self.stream.put(self._prefix + NAMES + place_of(name), with_member(name, layout.number(number)))
        made = self._met[number] = Consumer(number, name, now_ms, UNKNOWN, 0)
        self._changed.add(number)
        return made

    def changed(self, consumer: Consumer) -> None:
        """A consumer is to be written by `save`."""
        self._changed.add(consumer.number)

    def remove_consumer(self, consumer: Consumer) -> None:
        """Removes a consumer and its pending entries, at the cost of these."""
        own = self._prefix + OWNED + layout.number(consumer.number)
        for entry_id, _ in self.stream.walk(own, ZERO, consumer.pending):
            self.stream.delete(self._prefix + PENDING + entry_id)
            self.stream.delete(own + entry_id)
        self.pending -= consumer.pending
        self.consumers -= 1
        self.stream.delete(self._prefix + NAMES + place_of(consumer.name))
        self.stream.delete(self._prefix + CONSUMERS + layout.number(consumer.number))
        del self._met[consumer.number]
        self._changed.discard(consumer.number)

    def all_consumers(self) -> Iterator[Consumer]:
        """The consumers, in the order of their names' places."""
        for place, data in self.stream.walk(self._prefix + NAMES, b"", self.consumers):
            yield self.numbered(layout.read_number(split_member(place, data)[1]))

    # Pending entries.

    def find_pending(self, entry_id: bytes) -> Pending | None:
        """The pending entry of an id, None where there is none."""
        data = self.stream.get(self._prefix + PENDING + entry_id)
        return None if data is None else read_pending(entry_id, data)

    def deliver(self, entry_id: bytes, consumer: Consumer, now_ms: int) -> None:
        """A new entry is pending, of a consumer; of no other one from now on."""
        made = Pending(entry_id, consumer.number, now_ms, 1)
        place = self._prefix + PENDING + entry_id
        if self.stream.put_if_new(place, made.packed()):
            self.pending += 1
            self._own(consumer, entry_id)
            return
        old = read_pending(entry_id, self.stream.must_get(place))
        self.claim(old, consumer)
        self.stream.put(place, made.packed())

    def claim(self, pending: Pending, consumer: Consumer) -> None:
        """A pending entry that is there becomes a consumer's; `update` writes it."""
        if pending.consumer != consumer.number:
            self._disown(pending)
            pending.consumer = consumer.number
            self._own(consumer, pending.id)

    def add_pending(self, entry_id: bytes, consumer: Consumer, now_ms: int) -> Pending:
        """Makes an entry pending that is not; `update` writes it."""
        self.pending += 1
        self._own(consumer, entry_id)
        return Pending(entry_id, consumer.number, now_ms, 1)

    def update(self, pending: Pending) -> None:
        """Writes when and how often a pending entry was delivered, and to which consumer."""
        self.stream.put(self._prefix + PENDING + pending.id, pending.packed())

    def acknowledge(self, entry_id: bytes) -> bool:
        """An entry is not pending any more; whether it was."""
        pending = self.find_pending(entry_id)
        if pending is None:
            return False
        self.forget(pending)
        return True

    def forget(self, pending: Pending) -> None:
        """Removes a pending entry that is there."""
        self.stream.delete(self._prefix + PENDING + pending.id)
        self._disown(pending)
        self.pending -= 1

    def _own(self, consumer: Consumer, entry_id: bytes) -> None:
        self.stream.put(self._prefix + OWNED + layout.number(consumer.number) + entry_id, b"")
        consumer.pending += 1
        self._changed.add(consumer.number)

    def _disown(self, pending: Pending) -> None:
        consumer = self.numbered(pending.consumer)
        self.stream.delete(self._prefix + OWNED + layout.number(consumer.number) + pending.id)
        consumer.pending -= 1
        self._changed.add(consumer.number)

    def all_pending(self, start: bytes) -> Iterator[Pending]:
        """The group's pending entries from an id on, in order. What it yields may be removed or written meanwhile."""
        expected = self.pending if start == ZERO else -1
        for entry_id, data in self.stream.walk(self._prefix + PENDING, start, expected):
            yield read_pending(entry_id, data)

    def pending_of(self, consumer: Consumer, start: bytes) -> Iterator[Pending]:
        """The same of a consumer."""
        own = self._prefix + OWNED + layout.number(consumer.number)
        expected = consumer.pending if start == ZERO else -1
        for entry_id, _ in self.stream.walk(own, start, expected):
            yield read_pending(entry_id, self.stream.must_get(self._prefix + PENDING + entry_id))

    def last_pending(self) -> bytes:
        """The largest id that is pending; there is one. Raises `Damaged` where there is none."""
        found = self.stream.backward(self._prefix + PENDING, None, 1)
        if not found:
            raise Damaged(self.stream.where())
        return found[0][0]


def read_group_counts(data: bytes) -> tuple[int, int, int]:
    """A group's number, and how many pending entries and consumers it has, from the data of its entry."""
    number, _, _, pending, consumers, _ = _GROUP.unpack(data)
    return number, pending, consumers


def group_prefix(number: int) -> bytes:
    """How the places of all that belongs to the group of a number begin."""
    return GROUP + layout.number(number)


def find_group(stream: Stream, name: bytes) -> Group | None:
    """The group of a name, None where there is none."""
    place = place_of(name)
    data = stream.get(GROUPS + place)
    return None if data is None else Group(stream, name, split_member(place, data)[1])


def add_group(stream: Stream, name: bytes, last: bytes, entries_read: int) -> None:
    """Makes a group of a name that none has; the stream is to be saved afterwards."""
    stream.groups += 1
    stream.groups_made += 1
    Group(stream, name, _GROUP.pack(stream.groups_made, last, entries_read + 1, 0, 0, 0)).save()


def remove_group(group: Group) -> None:
    """Removes a group; its consumers and pending entries are left to the sweeper. The stream is to be saved then."""
    stream = group.stream
    keys = stream.keys
    assert isinstance(keys, WritableKeyspace)
    stream.delete(GROUPS + place_of(group.name))
    stream.groups -= 1
    if group.consumers:
        keys.discard_part(stream.number, group_prefix(group.number))


def all_groups(stream: Stream) -> Iterator[Group]:
    """The groups, in the order of their names' places."""
    for place, data in stream.walk(GROUPS, b"", stream.groups):
        name, record = split_member(place, data)
        yield Group(stream, name, record)


# How many entries come up to an id, and how many are behind.


def entries_up_to(stream: Stream, entry_id: bytes) -> int:
    """How many entries that were ever added have an id up to `entry_id`, or UNKNOWN: as Redis estimates it."""
    if not stream.added:
        return 0
    if not stream.count and entry_id <= stream.last:
        return stream.added
    if entry_id == stream.last:
        return stream.added
    if entry_id > stream.last or stream.first <= stream.deleted != ZERO:
        return UNKNOWN
    if entry_id < stream.first:
        return stream.added - stream.count
    return stream.added - stream.count + 1 if entry_id == stream.first else UNKNOWN


def has_gap_behind(stream: Stream, entry_id: bytes) -> bool:
    """Whether an entry may have been deleted from an id on, this included."""
    return stream.count > 0 and stream.deleted != ZERO and stream.first <= stream.deleted >= entry_id


def lag(group: Group) -> int | None:
    """How many entries the group has still to read, None where it is not known."""
    stream = group.stream
    if not stream.added:
        return 0
    read = group.entries_read
    if read == UNKNOWN or has_gap_behind(stream, group.last):
        read = entries_up_to(stream, group.last)
    return None if read == UNKNOWN else stream.added - read


def read_on(group: Group, ids: list[bytes]) -> None:
    """The group reads these entries, behind the last one that it has read."""
    stream = group.stream
    for entry_id in ids:
        if entry_id > group.last:
            if group.entries_read != UNKNOWN and not has_gap_behind(stream, entry_id):
                group.entries_read += 1
            elif stream.added:
                group.entries_read = entries_up_to(stream, entry_id)
            group.last = entry_id
