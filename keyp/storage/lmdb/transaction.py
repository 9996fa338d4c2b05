"""One LMDB transaction with the store's own numbers: `ReadTransaction` and `WriteTransaction`.

Each lives on one thread, for one batch or one commit group; what was read through it stays valid only as bytes.

A read transaction costs well under a microsecond to open. It finds the list of databases by its transaction id: as
long as nothing was committed since the last look, the list seen then is still the right one.
"""

from __future__ import annotations

from itertools import chain
from types import TracebackType
from typing import Any, Final

import lmdb

from keyp.events import Event
from keyp.storage.access_times import AccessTimes
from keyp.storage.compact_limits import CompactLimits
from keyp.storage.journal.redo import DELETE, DELETE_RANGE, DROP, PUT, Change
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.environment import ALWAYS, Environment
from keyp.storage.lmdb.errors import CommitFailed, MustReopen
from keyp.storage.lmdb.proof import Proof
from keyp.storage.lmdb.store import NO_SPACE, Database, DatabaseList, Engine, Space, Store

USUAL_LIMITS: Final = CompactLimits()
# A space of at most so many pages is emptied at once, where it stands; a larger one is left to the sweeper.
SMALL_SPACE_PAGES: int = 256


class NotYetOpen(Exception):
    """The snapshot shows a space whose commit has not been announced; run the batch behind it, on the writer."""


class Staged:
    """A string of database `index` that has a `collection` and no key yet, 0 before it has one (`staging.py`).

    `identity` is that of its `Content`.
    """

    def __init__(self, index: int, identity: tuple[object, ...]) -> None:
        self.index = index
        self.identity = identity
        self.collection = 0


class Transaction:
    """What both have in common. `txn` is LMDB's own transaction, there when the constructors below are through.

    `hits` and `misses` count the lookups of reads; `in_write` says that a write command runs, whose lookups are
    neither, as in Redis. `events` are what happened to keys, of the classes in `wanted_events`; `changes` is how many
    changes of the data Redis would count. `limits` are those of compact encodings. `access_times` takes the accesses of
    keys, None where they are not wanted; a read counts as one only if `touches`.
    """

    txn: lmdb.Transaction[bytes]
    engine: Engine
    now_ms: int
    hits = 0
    misses = 0
    in_write = False
    wanted_events = 0
    events: list[Event]
    changes = 0
    access_times: AccessTimes | None = None
    touches = True
    limits: CompactLimits = USUAL_LIMITS
    _proof: Proof | None = None

    def proof(self) -> Proof:
        """Proves whether names are what was written."""
        if self._proof is None:
            self._proof = Proof(self.engine, self.txn, self._known_long())
        return self._proof

    def _known_long(self) -> dict[Any, bool]:
        """What is known of the data's lengths, by sub-database; to be added to."""
        return {}

    def _end_proof(self, proof: Proof) -> None:
        proof.close()
        self._proof = None

    def space(self, index: int) -> Space | None:
        """The space that database `index` uses, None while it is empty."""
        raise NotImplementedError

    def put(self, database: Database, name: bytes, data: bytes) -> None:
        """Writes an entry, in place of one that is there. Only in a write transaction, as the others below."""
        raise NotImplementedError

    def put_if_new(self, database: Database, name: bytes, data: bytes) -> bool:
        """Writes an entry unless there is one of that name; whether it did."""
        raise NotImplementedError

    def delete(self, database: Database, name: bytes) -> bool:
        """Removes an entry; whether it was there."""
        raise NotImplementedError


class ReadTransaction(Transaction):
    """A snapshot. Close it on the thread that opened it, soon: pages it can see are not reused meanwhile."""

    def __init__(self, environment: Store, now_ms: int) -> None:
        self.engine = environment.lmdb
        self.now_ms = now_ms
        self.events = []
        self.environment = environment
        self._has_long: dict[Any, bool] = {}
        try:
            self.txn = environment.lmdb.begin()
        except lmdb.Error as error:
            raise MustReopen(str(error)) from error

    def space(self, index: int) -> Space | None:
        """The space that database `index` uses, None while it is empty. Raises `NotYetOpen` (see there)."""
        environment = self.environment
        seen: DatabaseList | None = environment.database_list
        transaction_id = self.txn.id()
        if seen is None or seen.transaction_id != transaction_id:
            raw = environment.own(self.txn, b"databases")
            if seen is not None and seen.raw == raw:
                seen = DatabaseList(transaction_id, raw, seen.spaces)
            else:
                seen = DatabaseList(transaction_id, raw, _find_spaces(environment, raw))
            environment.database_list = seen
        self._has_long = seen.has_long
        return seen.spaces[index]

    def _known_long(self) -> dict[Any, bool]:
        return self._has_long

    def close(self) -> None:
        """Lets go of the snapshot."""
        if self._proof is not None:
            self._end_proof(self._proof)
        self.txn.abort()

    def __enter__(self) -> ReadTransaction:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()


class PresentTransaction(Transaction):
    """What LMDB's open write transaction shows, to be read while no group runs; see `write_back.py`.

    It is the newest state there is. Close it before the next group starts.
    """

    def __init__(self, environment: Environment, txn: lmdb.Transaction[bytes], now_ms: int) -> None:
        self.engine = environment.lmdb
        self.now_ms = now_ms
        self.events = []
        self.environment = environment
        self.txn = txn

    def space(self, index: int) -> Space | None:
        """The space that database `index` uses, None while it is empty."""
        number = self.environment.database_spaces[index]
        return None if number == NO_SPACE else self.environment.spaces[number]

    def close(self) -> None:
        """Lets go of what the reads have opened."""
        if self._proof is not None:
            self._end_proof(self._proof)


def _find_spaces(environment: Store, raw: bytes | None) -> list[Space | None]:
    numbers = layout.unpack_numbers(raw or b"")[: environment.databases]
    numbers += [NO_SPACE] * (environment.databases - len(numbers))
    try:
        return [None if number == NO_SPACE else environment.spaces[number] for number in numbers]
    except KeyError:
        raise NotYetOpen from None


class WriteTransaction(Transaction):
    """The one write transaction of a commit group, on the writer's thread.

    What it writes is collected for the journal, unless `is_journaled` is not set: then it is durable only after the
    next checkpoint, which comes before anything that is journaled after it. Nobody waits for it if `is_awaited` is not
    set: it is durable with what is journaled after it then.

    `version` is that of the write command that runs now, one more than the last; all it writes carries it.
    `stored_version` is the last one that a record carries. `commit` makes all of it durable as the environment's mode
    says, `abort` undoes it. `growth_refusal` is the error for commands that add data, empty while there is room.
    `ready` are the keys that were made with something in them that clients may wait for, as (database, key), and
    `swapped` the databases that have got other contents as a whole. `staged` are the long strings that were written
    before it; None where that is not done.

    The commit of a group that has changed nothing writes nothing and syncs nothing. So a version is stored where a
    record carries it, and one that none carries is given again.

    Raises `CommitFailed` where LMDB cannot begin.
    """

    def __init__(self, environment: Environment, now_ms: int) -> None:
        self.engine = environment.lmdb
        self.now_ms = now_ms
        self.events = []
        self.environment = environment
        self.expired = 0  # keys removed because their deadline had passed
        self.ready: list[tuple[int, bytes]] = []
        self.swapped: list[int] = []
        self.staged: list[Staged] | None = None
        self.is_journaled = True
        self.is_awaited = True
        self._changes: list[Change] = []
        self._numbers = environment.numbers
        self.growth_refusal = ""
        txn = environment.write_back.transaction
        if txn is None or environment.max_bytes or not environment.reserve.held:
            try:
                self.growth_refusal = environment.make_room()
                txn = environment.write_back.begin()
            except lmdb.Error as error:
                raise CommitFailed(error) from error
        self.txn = txn
        self.version = self.stored_version = environment.version
        self._collections = environment.collections  # how many ids have been given out
        # The space of each database. Few groups change it.
        self._spaces = environment.database_spaces
        self._opened: list[Space] = []

    # The one place where data are written: what a command changes passes through here.

    def put(self, database: Database, name: bytes, data: bytes) -> None:
        """Writes an entry, in place of one that is there."""
        self.txn.put(name, data, True, True, False, database)
        self._changes.append((PUT, self._numbers[database], name, data))

    def put_if_new(self, database: Database, name: bytes, data: bytes) -> bool:
        """Writes an entry unless there is one of that name; whether it did."""
        is_new = bool(self.txn.put(name, data, True, False, False, database))
        if is_new:
            self._changes.append((PUT, self._numbers[database], name, data))
        return is_new

    def delete(self, database: Database, name: bytes) -> bool:
        """Removes an entry; whether it was there."""
        was_there = bool(self.txn.delete(name, b"", database))
        if was_there:
            self._changes.append((DELETE, self._numbers[database], name, b""))
        return was_there

    def delete_first(self, database: Database, prefix: bytes, budget: int) -> int:
        """Removes up to `budget` entries whose names start with `prefix`, the first of them; how many there were."""
        removed, last = 0, b""
        with self.txn.cursor(database) as cursor:
            found = cursor.set_range(prefix) if prefix else cursor.first()
            # Behind the last entry the cursor's key is empty, which no entry's is.
            while removed < budget and found and (name := cursor.key()) and name.startswith(prefix):
                last = name
                cursor.delete()
                removed += 1
        if removed:
            self._changes.append((DELETE_RANGE, self._numbers[database], prefix, last))
        return removed

    def drop(self, database: Database) -> None:
        """Removes all entries of a sub-database."""
        self.txn.drop(database, delete=False)
        self._changes.append((DROP, self._numbers[database], b"", b""))

    def new_collection(self) -> int:
        """An id that no collection has had before."""
        self._collections += 1
        return self._collections

    def space(self, index: int) -> Space | None:
        """The space that database `index` uses, None while it is empty."""
        number = self._spaces[index]
        return None if number == NO_SPACE else self.environment.spaces.get(number) or self._new_space(number)

    def _new_space(self, number: int) -> Space:
        """A space that this transaction has made."""
        return next(opened for opened in self._opened if opened.number == number)

    def make_space(self, index: int) -> Space:
        """The space for database `index`, which has none yet."""
        taken = set(self._spaces)
        numbers = chain(range(index + 1, self.environment.max_spaces + 1), range(1, index + 1))
        number = next(number for number in numbers if number not in taken and not self._waits_for_sweeper(number))
        if number not in self.environment.spaces and all(number != opened.number for opened in self._opened):
            self._opened.append(self._make_space(number))
        self._assign(index, number)
        return self.environment.spaces.get(number) or self._new_space(number)

    def _make_space(self, number: int) -> Space:
        """Space `number`, which is empty; a replay makes its sub-databases when it empties them."""
        space = self.environment.open_space(self.txn, number)
        for database in (space.keys, space.elements, space.expiry):
            self._changes.append((DROP, self._numbers[database], b"", b""))
        return space

    def flush(self, index: int) -> None:
        """Empties database `index`, at a cost that does not grow with what it holds."""
        space = self.space(index)
        if space is None:
            return
        if self.is_small(space) or self._spaces_run_out():
            self.empty(space)
        else:
            self._assign(index, NO_SPACE)
            self.discard(layout.space_garbage(space.number))

    def discard(self, entry: bytes) -> None:
        """Leaves what an entry of the garbage names to the sweeper."""
        self.put(self.environment.garbage, entry, layout.with_checksum(entry, b""))

    def _waits_for_sweeper(self, number: int) -> bool:
        return self.txn.get(layout.space_garbage(number), None, self.environment.garbage) is not None

    def _spaces_run_out(self) -> bool:
        """Whether one more space in the garbage would leave a database without one to write into."""
        most = self.environment.max_spaces
        waiting = sum([self._waits_for_sweeper(number) for number in range(1, most + 1)])
        return waiting + len(self._spaces) >= most

    def is_small(self, space: Space) -> bool:
        """Whether emptying the space at once is cheap."""
        pages = 0
        for database in (space.keys, space.elements, space.expiry):
            stat = self.txn.stat(database)
            pages += stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return pages <= SMALL_SPACE_PAGES

    def empty(self, space: Space) -> None:
        """Removes all that the space holds, at once."""
        for database in (space.keys, space.elements, space.expiry):
            self.drop(database)

    def swap(self, one: int, other: int) -> None:
        """Exchanges the contents of two databases."""
        spaces = self._spaces
        self._assign(one, spaces[other])
        self._assign(other, spaces[one])
        self.swapped += [one, other]
        self.changes += 1

    def _assign(self, index: int, number: int) -> None:
        self._spaces = [*self._spaces[:index], number, *self._spaces[index + 1 :]]  # the list is the environment's

    @property
    def has_changes(self) -> bool:
        """Whether a command has changed anything, an expired key that it met included."""
        return self.changes > 0 or self.expired > 0 or self.stored_version != self.environment.version

    def commit(self) -> None:
        """Writes the store's numbers and commits. Raises `CommitFailed`; nothing of the group is applied then."""
        if self._proof is not None:
            self._end_proof(self._proof)
        txn, environment = self.txn, self.environment
        own: list[tuple[bytes, bytes]] = []
        if self.stored_version != environment.version:
            own.append((b"version", layout.number(self.stored_version)))
        if self._collections != environment.collections:
            own.append((b"collections", layout.number(self._collections)))
        if self._spaces != environment.database_spaces:
            own.append((b"databases", layout.pack_numbers(self._spaces)))
        for name, data in own:
            self.put(environment.meta, name, layout.with_checksum(name, data))
        is_durable = environment.fsync == ALWAYS
        stays_open = (
            environment.writes_back
            and not is_durable
            and environment.reserve.held
            and not self._opened
            and self._spaces == environment.database_spaces
        )
        write_back = environment.write_back
        try:
            write_back.commit(txn, self._changes, self.is_journaled, is_durable and self.is_awaited, stays_open)
        except (lmdb.Error, OSError) as error:
            raise CommitFailed(error) from error
        environment.version, environment.database_spaces = self.stored_version, self._spaces
        environment.collections = self._collections
        environment.changes += self.changes
        if write_back.transaction is None:
            environment.shown_changes = environment.changes
        for space in self._opened:
            environment.spaces[space.number] = space

    def abort(self) -> None:
        """Undoes everything since the transaction began."""
        if self._proof is not None:
            self._end_proof(self._proof)
        self.environment.write_back.undo(self.txn)
