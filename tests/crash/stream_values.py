"""Streams as the ledger writes them down, and random changes of them: entries, a group, its pending entries.

A stream's items are a line for its last id, one for each entry, one for what its group has delivered, and one for each
entry that is pending: of which consumer, and how often it was delivered. Times are left out.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

from keyp.storage.keys.keyspace import Keyspace
from keyp.storage.types.stream_groups import all_groups
from keyp.storage.types.stream_ids import LARGEST, ZERO, sequence_of
from keyp.storage.types.streams import Stream

Command = tuple[bytes, ...]

GROUP: Final = b"group"
CONSUMERS: Final = (b"one", b"two")
ENTRIES_MAX: Final = 250


class Model:
    """A stream: `entries` by number, the sequence of their ids; `pending` by number: consumer and deliveries."""

    def __init__(self, items: list[bytes]) -> None:
        self.last = 0
        self.delivered = 0
        self.entries: dict[int, bytes] = {}
        self.pending: dict[int, tuple[bytes, int]] = {}
        for item in items:
            word, number, *rest = item.split(b" ")
            if word == b"last":
                self.last = int(number)
            elif word == b"delivered":
                self.delivered = int(number)
            elif word == b"entry":
                self.entries[int(number)] = rest[0]
            else:
                self.pending[int(number)] = rest[0], int(rest[1])

    def items(self) -> list[bytes]:
        """The stream as the ledger has it."""
        return [
            b"last %d" % self.last,
            *[b"entry %d %b" % entry for entry in sorted(self.entries.items())],
            b"delivered %d" % self.delivered,
            *[b"pending %d %b %d" % (number, *held) for number, held in sorted(self.pending.items())],
        ]

    def add(self, name: bytes, mark: bytes, random: Random) -> Command:
        self.last += 1
        self.entries[self.last] = mark
        most = random.choice([ENTRIES_MAX, ENTRIES_MAX, 3])
        self._trim(most)
        return b"XADD", name, b"MAXLEN", b"%d" % most, b"0-%d" % self.last, b"field", mark

    def _trim(self, most: int) -> None:
        for number in sorted(self.entries)[: max(0, len(self.entries) - most)]:
            del self.entries[number]

    def trim(self, name: bytes, random: Random) -> Command:
        most = random.randrange(len(self.entries) + 1)
        self._trim(most)
        return b"XTRIM", name, b"MAXLEN", b"%d" % most

    def delete(self, name: bytes, random: Random) -> Command:
        gone = random.choice(sorted(self.entries))
        del self.entries[gone]
        return b"XDEL", name, b"0-%d" % gone

    def read(self, name: bytes, random: Random) -> Command:
        """Delivers entries that are new to the group, of which there are some."""
        count, consumer = random.randrange(1, 9), random.choice(CONSUMERS)
        for number in [number for number in sorted(self.entries) if number > self.delivered][:count]:
            self.pending[number] = consumer, 1
            self.delivered = number
        return b"XREADGROUP", b"GROUP", GROUP, consumer, b"COUNT", b"%d" % count, b"STREAMS", name, b">"

    def acknowledge(self, name: bytes, random: Random) -> Command:
        done = random.sample(sorted(self.pending), random.randrange(1, len(self.pending) + 1))
        for number in done:
            del self.pending[number]
        return b"XACK", name, GROUP, *[b"0-%d" % number for number in done]

    def claim(self, name: bytes, random: Random) -> Command:
        number, consumer = random.choice(sorted(self.pending)), random.choice(CONSUMERS)
        if number in self.entries:
            self.pending[number] = consumer, self.pending[number][1] + 1
        else:
            del self.pending[number]
        return b"XCLAIM", name, GROUP, consumer, b"0", b"0-%d" % number


def change(
    name: bytes, items: list[bytes], added: list[bytes], shrinks: bool, random: Random
) -> tuple[Command, list[bytes]]:
    """A command that changes a stream, and its items then."""
    if not items:
        return (b"XGROUP", b"CREATE", name, GROUP, b"0", b"MKSTREAM"), Model([]).items()
    stream = Model(items)
    if shrinks and stream.entries and random.random() < 0.3:
        command = stream.trim(name, random)
    elif shrinks and stream.entries and random.random() < 0.3:
        command = stream.delete(name, random)
    elif max(stream.entries, default=0) > stream.delivered and random.random() < 0.5:
        command = stream.read(name, random)
    elif stream.pending and random.random() < 0.6:
        command = random.choice([stream.acknowledge, stream.claim])(name, random)
    else:
        command = stream.add(name, added[0], random)
    return command, stream.items()


def of_reply(reply: Any) -> list[bytes]:
    """The items of a stream that XINFO STREAM FULL describes."""
    about = _by_name(reply)
    group = _by_name(about[b"groups"][0])
    return [
        b"last %d" % _number(about[b"last-generated-id"]),
        *[b"entry %d %b" % (_number(entry_id), words[1]) for entry_id, words in about[b"entries"]],
        b"delivered %d" % _number(group[b"last-delivered-id"]),
        *[b"pending %d %b %d" % (_number(each[0]), each[1], each[3]) for each in group[b"pending"]],
    ]


def _by_name(flat: list[Any]) -> dict[bytes, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _number(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[2])


def of_record(keys: Keyspace, name: bytes, record: bytes) -> list[bytes]:
    """The items of a stream in a store."""
    stream = Stream(keys, name, record)
    (group,) = all_groups(stream)
    return [
        b"last %d" % sequence_of(stream.last),
        *[
            b"entry %d %b" % (sequence_of(entry_id), words.split(b"\r\n")[4])
            for entry_id, words in stream.range(ZERO, LARGEST, stream.count)
        ],
        b"delivered %d" % sequence_of(group.last),
        *[
            b"pending %d %b %d" % (sequence_of(each.id), group.numbered(each.consumer).name, each.deliveries)
            for each in group.all_pending(ZERO)
        ],
    ]
