"""The sweeper's one step: expired keys first, then what removed values and flushed databases left behind.

Deadlines are found by their index, so a step looks at nothing that is not due. A step stops at its budget and says
whether there is more; how often it runs, and in which transaction, is decided by the caller.
"""

from __future__ import annotations

from itertools import islice, takewhile

from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.layout import NO_DEADLINE
from keyp.storage.lmdb.store import Space
from keyp.storage.lmdb.transaction import NotYetOpen, ReadTransaction, WriteTransaction


def is_due(transaction: ReadTransaction) -> bool:
    """Whether a sweep would find anything, as far as the snapshot shows: a deadline that has passed, or garbage.

    Costs one look at each database, whatever it holds. False where the snapshot shows a space that was opened just
    now: the next look will see it.
    """
    environment = transaction.environment
    with transaction.txn.cursor(environment.garbage) as cursor:
        if cursor.first():
            return True
    try:
        deadlines = [Keyspace(transaction, index).next_deadline_ms() for index in range(environment.databases)]
    except NotYetOpen:
        return False
    return any(NO_DEADLINE < deadline < transaction.now_ms for deadline in deadlines)


def sweep(transaction: WriteTransaction, databases: list[WritableKeyspace], budget: int) -> int:
    """Removes up to `budget` keys and elements; how many it removed. Fewer than `budget` means that nothing is left.

    Half of the budget is for garbage as long as there is any: a steady stream of expiring keys does not starve it.
    """
    done = collect_garbage(transaction, budget // 2)
    for keys in databases:
        done += keys.remove_expired(budget - done)
        if done >= budget:
            return done
    return done + collect_garbage(transaction, budget - done)


def collect_garbage(transaction: WriteTransaction, budget: int) -> int:
    """Clears up to `budget` elements of removed collections and entries of flushed spaces; how many."""
    done = 0
    garbage = transaction.environment.garbage
    while done < budget:
        with transaction.txn.cursor(garbage) as cursor:
            if not cursor.first():
                return done
            entry, raw = cursor.item()
        removed, finished = 0, True
        if layout.is_intact(entry, raw):  # a damaged entry may name what is in use
            removed, finished = _clear(transaction, entry, budget - done)
        done += max(removed, 1)
        if finished:
            transaction.delete(garbage, entry)
    return done


def _clear(transaction: WriteTransaction, entry: bytes, budget: int) -> tuple[int, bool]:
    environment = transaction.environment
    number = layout.read_number(entry, 1)
    # A space made in this very transaction is not among the environment's yet; opening it again is harmless.
    space = environment.spaces.get(number) or environment.open_space(transaction.txn, number)
    if entry.startswith(b"e"):
        return _clear_collection(transaction, space, entry[9:], budget)
    if entry.startswith(b"r"):
        return _clear_range(transaction, space, entry[9:], budget)
    if transaction.is_small(space):
        transaction.empty(space)
        return 0, True
    removed = 0
    for database in (space.elements, space.expiry, space.keys):
        removed += transaction.delete_first(database, b"", budget - removed)
    return removed, False


def _clear_collection(transaction: WriteTransaction, space: Space, collection: bytes, budget: int) -> tuple[int, bool]:
    removed = transaction.delete_first(space.elements, collection, budget)
    return removed, removed < budget


def _clear_range(transaction: WriteTransaction, space: Space, stop: bytes, budget: int) -> tuple[int, bool]:
    """Clears the elements of the section of `stop`, a collection's id with section and place, that stand before it."""
    start = stop[: layout.NUMBER + 1]
    with transaction.txn.cursor(space.elements) as cursor:
        found = cursor.set_range(start)
        names = list(islice(takewhile(stop.__gt__, cursor.iternext(True, False)), budget)) if found else []
    for name in names:
        transaction.delete(space.elements, name)
    return len(names), len(names) < budget
