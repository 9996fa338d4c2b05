"""A random key, without counting the keys before it.

In a small database every key is equally likely: all its names are looked at. A large one is taken for a tree in which
each level is the next byte of the name: from the root, one of the existing branches is chosen, until a single name is
left. Bytes that all names below a branch share cost nothing, for the first and the last of them show how many there
are. So every key can be chosen, at a cost that grows with the branches on the way and not with the number of keys; a
name in a sparse branch is chosen more often than one in a dense branch.

A key past its deadline is passed over and the choice made again; when only such keys are met, the next live key in
order is taken.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

from keyp.storage.keys.keyspace import NAMES_AT_ONCE, Keyspace
from keyp.storage.lmdb.errors import Damaged

SMALL: Final = 1024  # so many keys are looked at one by one
TRIES: Final = 64

OUT_OF_ORDER: Final = "names are not in order"


def random_name(keys: Keyspace, random: Random) -> bytes | None:
    """The name of some live key; None where there is none."""
    if keys.size() <= SMALL:
        _, live = keys.visit(SMALL)
        if not live:
            return None
        stored = random.choice(live)
        keys.is_past(stored)  # it is a record, or damage
        return keys.full_name(stored)
    assert keys.space is not None
    with keys.txn.cursor(keys.space.keys) as cursor:
        for _ in range(TRIES):
            stored = random_stored_name(cursor, random)
            if not keys.is_past(stored):
                return keys.full_name(stored)
    name = _next_live(keys, stored)
    return _next_live(keys, b"") if name is None else name


def random_stored_name(cursor: Any, random: Random) -> bytes:
    """One of the keys that an LMDB cursor over at least one key can reach; it is not proved.

    Raises `Damaged` where they are not in order.
    """
    cursor.last()
    last: bytes = cursor.key()
    cursor.first()
    first: bytes = cursor.key()
    while first != last:
        if not first < last:
            raise Damaged(OUT_OF_ORDER)
        starts = _branches(cursor, first, last)
        chosen = random.randrange(len(starts))
        if chosen + 1 < len(starts):
            cursor.set_key(starts[chosen + 1])
            cursor.prev()
            if cursor.key() >= last:
                raise Damaged(OUT_OF_ORDER)
            last = cursor.key()
        first = starts[chosen]
    return first


def _branches(cursor: Any, first: bytes, last: bytes) -> list[bytes]:
    """The first key of each branch among the keys from `first` to `last`, where they begin to differ.

    A key that ends there is a branch by itself.
    """
    depth = _common_length(first, last)
    stem = first[:depth]
    starts = [first]
    following = first[depth] + 1 if len(first) > depth else 0
    while following <= last[depth]:
        cursor.set_range(stem + following.to_bytes(1, "big"))
        start: bytes = cursor.key()
        if start[:depth] != stem or len(start) <= depth or start[depth] < following:
            raise Damaged(OUT_OF_ORDER)
        starts.append(start)
        following = start[depth] + 1
    return starts


def _common_length(one: bytes, other: bytes) -> int:
    length = min(len(one), len(other))
    for place in range(length):
        if one[place] != other[place]:
            return place
    return length


def _next_live(keys: Keyspace, after: bytes) -> bytes | None:
    """The first live key behind a stored name, None where there is none."""
    visited, live = keys.visit(NAMES_AT_ONCE, after)
    while visited:
        if live:
            return keys.full_name(live[0])
        visited, live = keys.visit(NAMES_AT_ONCE, visited[-1])
    return None
