"""Values of every type, as the ledger writes them down: bytes that say all that a client could find out.

A string stands for itself. Of a collection it is its type and its items, each behind a zero byte: a list's elements in
their order, a hash's fields and values by fields, a set's members sorted, a sorted set's members and scores by rank, a
stream's entries and its group (`stream_values.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from random import Random
from typing import Any, Final

from keyp.storage.keys.keyspace import Keyspace
from keyp.storage.lmdb.layout import TYPE_MASK
from keyp.storage.types import hashes, lists, sets, sortedsets, strings
from keyp.storage.value_types import HASH, LIST, SET, STREAM, STRING, ZSET
from tests.crash import stream_values

Command = tuple[bytes, ...]

TYPES: Final = (b"list", b"hash", b"set", b"zset", b"stream")

# What a client asks to see all of a value, by what TYPE replies.
QUESTIONS: Final[dict[str, Command]] = {
    "string": (b"GET", b"KEY"),
    "list": (b"LRANGE", b"KEY", b"0", b"-1"),
    "hash": (b"HGETALL", b"KEY"),
    "set": (b"SMEMBERS", b"KEY"),
    "zset": (b"ZRANGE", b"KEY", b"0", b"-1", b"WITHSCORES"),
    "stream": (b"XINFO", b"STREAM", b"KEY", b"FULL", b"COUNT", b"0"),
}

MANY: Final = 200  # elements; more than a compact form has
ITEMS_MAX: Final = 250


def question(kind: str, name: bytes) -> Command:
    """The command that reads a key of a type."""
    return tuple(name if word == b"KEY" else word for word in QUESTIONS[kind])


def written(kind: bytes, items: Iterable[bytes]) -> bytes:
    """What the ledger has of a collection."""
    return b"\0".join([kind, *items])


def of_reply(kind: str, reply: Any) -> bytes:
    """What the ledger has of a value that was read with `question`."""
    if kind == "string":
        assert isinstance(reply, bytes), reply
        return reply
    if kind == "set":
        reply = sorted(reply)
    if kind == "stream":
        reply = stream_values.of_reply(reply)
    if kind == "hash":
        reply = itertools.chain.from_iterable(sorted(zip(reply[::2], reply[1::2], strict=True)))
    return written(kind.encode(), reply)


def of_key(keys: Keyspace, name: bytes, record: bytes) -> bytes:
    """What the ledger has of a value in a store."""
    number = record[0] & TYPE_MASK
    if number == STRING:
        return strings.value(keys, record)
    if number == LIST:
        elements = lists.List(keys, name, record)
        return written(b"list", elements.range(0, elements.count))
    if number == HASH:
        return written(b"hash", itertools.chain.from_iterable(sorted(hashes.Hash(keys, name, record).all())))
    if number == SET:
        return written(b"set", sorted([member for member, _ in sets.Set(keys, name, record).all()]))
    if number == STREAM:
        return written(b"stream", stream_values.of_record(keys, name, record))
    assert number == ZSET
    scored = sortedsets.SortedSet(keys, name, record)
    ranked = scored.by_rank(0, scored.count)
    return written(b"zset", itertools.chain.from_iterable([(member, b"%d" % score) for member, score in ranked]))


def change(kind: bytes, name: bytes, value: bytes | None, mark: bytes, random: Random) -> tuple[Command, bytes | None]:
    """A command that changes a collection, which is None where it is not there, and what the collection is then."""
    items = [] if value is None else value.split(b"\0")[1:]
    count = MANY if random.random() < 0.01 else random.randrange(1, 5)
    added = [b"%s%d" % (mark, number) for number in range(count)]
    command, items = _CHANGES[kind](name, items, added, bool(items) and _shrinks(items, random), random)
    return command, written(kind, items) if items else None


def _shrinks(items: list[bytes], random: Random) -> bool:
    return len(items) > ITEMS_MAX or random.random() < 0.3


_Changed = tuple[Command, list[bytes]]


def _list(name: bytes, items: list[bytes], added: list[bytes], shrinks: bool, random: Random) -> _Changed:
    if shrinks and random.random() < 0.5:
        count = random.randrange(1, len(items) + 1)
        return (b"LPOP", name, b"%d" % count), items[count:]
    if shrinks:
        place = random.randrange(len(items))
        return (b"LSET", name, b"%d" % place, added[0]), [*items[:place], added[0], *items[place + 1 :]]
    if random.random() < 0.3:
        return (b"LPUSH", name, *added), added[::-1] + items
    return (b"RPUSH", name, *added), items + added


def _hash(name: bytes, items: list[bytes], added: list[bytes], shrinks: bool, random: Random) -> _Changed:
    values = dict(zip(items[::2], items[1::2], strict=True))
    if shrinks:
        gone = random.sample(sorted(values), random.randrange(1, len(values) + 1))
        values = {field: value for field, value in values.items() if field not in gone}
        command: Command = (b"HDEL", name, *gone)
    else:
        fields = [b"field%d" % random.randrange(MANY) for _ in added]
        pairs = list(zip(fields, added, strict=True))
        values.update(pairs)
        command = (b"HSET", name, *itertools.chain.from_iterable(pairs))
    return command, list(itertools.chain.from_iterable(sorted(values.items())))


def _set(name: bytes, items: list[bytes], added: list[bytes], shrinks: bool, random: Random) -> _Changed:
    if shrinks:
        gone = random.sample(items, random.randrange(1, len(items) + 1))
        return (b"SREM", name, *gone), sorted(set(items) - set(gone))
    return (b"SADD", name, *added), sorted({*items, *added})


def _zset(name: bytes, items: list[bytes], added: list[bytes], shrinks: bool, random: Random) -> _Changed:
    scores = {member: int(score) for member, score in zip(items[::2], items[1::2], strict=True)}
    if shrinks and random.random() < 0.5:
        stop = random.randrange(len(scores))
        gone = items[: 2 * stop + 2 : 2]
        scores = {member: score for member, score in scores.items() if member not in gone}
        command: Command = (b"ZREMRANGEBYRANK", name, b"0", b"%d" % stop)
    elif shrinks:
        member = random.choice(sorted(scores))
        scores[member] += 7
        command = (b"ZINCRBY", name, b"7", member)
    else:
        pairs = [(member, random.randrange(-1000, 1000)) for member in added]
        scores.update(pairs)
        command = (b"ZADD", name, *[word for member, score in pairs for word in (b"%d" % score, member)])
    ranked = sorted(scores.items(), key=_by_score)
    return command, [word for member, score in ranked for word in (member, b"%d" % score)]


def _by_score(pair: tuple[bytes, int]) -> tuple[int, bytes]:
    member, score = pair
    return score, member


_CHANGES: Final = {b"list": _list, b"hash": _hash, b"set": _set, b"zset": _zset, b"stream": stream_values.change}
