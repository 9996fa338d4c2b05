"""Is the store what it says it is? Looks at everything, changes nothing.

What is stored twice must agree, every reference must have its target, and nothing may be left without a reference:

- databases: no space serves two; a space that serves none is in the garbage or empty;
- counts: a walk finds as many records and deadlines as there are said to be;
- records: intact by their checksum, in order, and found when they are asked for by their name; a type, a name that
  belongs under its stored name, a version and a collection id that have been given out;
- deadlines: each record's is in the expiry index, each entry of the index has its record;
- elements: a value has as many as it says, intact by their checksums and in order, and the counts of its runs are
  right; the pieces of a long string are all there and of the right size or holes, no collection belongs to two keys,
  and what belongs to none is in the garbage;
- libraries of functions: intact by their checksums, each under its own name, and known to be there.

Everything is read as a stream; only the ids of collections are remembered, a few dozen bytes for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from keyp.storage import function_libraries
from keyp.storage.check_elements import CollectionCheck
from keyp.storage.check_streams import StreamCheck
from keyp.storage.lmdb import layout, pieces
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.layout import FLOAT, HAS_DEADLINE, HAS_ELEMENTS, LONG_NAME, NO_DEADLINE
from keyp.storage.lmdb.store import NO_SPACE, Database, Space
from keyp.storage.lmdb.transaction import ReadTransaction
from keyp.storage.value_types import NOTHING, STREAM, STRING, VALUE_TYPES

PROBLEMS_LISTED: Final = 1000
PROGRESS_ENTRIES: Final = 1000


def check(transaction: ReadTransaction, progress: Callable[[int], object] | None = None) -> list[str]:
    """What is wrong with the store, a line each, at most PROBLEMS_LISTED of them; an empty list if nothing is.

    `transaction` is a snapshot taken after the last commit. Takes as long as reading the whole store does. `progress`
    is called now and then with how many more records and deadlines have been looked at.
    """
    try:
        looking = _Check(transaction, progress)
    except Damaged as error:
        return [str(error)]
    return list(islice(looking.problems(), PROBLEMS_LISTED))


class _Check:
    def __init__(self, transaction: ReadTransaction, progress: Callable[[int], object] | None) -> None:
        self.transaction = transaction
        self.environment = transaction.environment
        self.progress = progress
        self.seen = 0
        self.txn = transaction.txn
        self.version = self._number(b"version")
        self.collections = self._number(b"collections")
        listed = layout.unpack_numbers(self.environment.own(self.txn, b"databases"))
        self.numbers = [number for number in listed if number != NO_SPACE]
        self.offered = set(listed[: self.environment.databases])  # the others are not open

    def _number(self, name: bytes) -> int:
        return layout.read_number(self.environment.own(self.txn, name))

    def _count(self) -> None:
        self.seen += 1
        if self.seen % PROGRESS_ENTRIES == 0 and self.progress is not None:
            self.progress(PROGRESS_ENTRIES)

    def problems(self) -> Iterator[str]:
        spaces = self.environment.spaces
        for number in sorted(set(self.numbers)):
            if self.numbers.count(number) > 1:
                yield f"space {number} serves {self.numbers.count(number)} databases"
            if number in self.offered and number not in spaces:
                yield f"space {number} serves a database and does not exist"
        for number in sorted(spaces):
            if number in self.numbers:
                yield from self._used_space(spaces[number])
            elif not self._in_garbage(layout.space_garbage(number)):
                yield from self._unused_space(spaces[number])
        yield from self._garbage()
        yield from function_libraries.problems(self.transaction)

    def _in_garbage(self, entry: bytes) -> bool:
        return self.txn.get(entry, None, self.environment.garbage) is not None

    def _garbage(self) -> Iterator[str]:
        with self.txn.cursor(self.environment.garbage) as cursor:
            for entry, raw in cursor:
                if not layout.is_intact(entry, raw):
                    yield f"the garbage's entry {_shown(entry)} is not what was written"
                elif not (entry[:1] == b"s" and len(entry) == 9) and not (entry[:1] in b"er" and len(entry) >= 17):
                    yield f"the garbage holds {_shown(entry)}, which names nothing"
                elif entry[:1] == b"s" and layout.read_number(entry, 1) in self.numbers:
                    yield f"space {layout.read_number(entry, 1)} serves a database and is in the garbage"

    def _unused_space(self, space: Space) -> Iterator[str]:
        for name, database in (("keys", space.keys), ("elements", space.elements), ("expiry", space.expiry)):
            entries = self.txn.stat(database)["entries"]
            if entries:
                yield f"{name}:{space.number} serves no database, is not in the garbage and holds {entries} entries"

    def _used_space(self, space: Space) -> Iterator[str]:
        owned: set[int] = set()
        walked = 0
        before = b""
        with self.txn.cursor(space.keys) as cursor:
            for stored, record in cursor:
                self._count()
                walked += 1
                where = f"keys:{space.number} {_shown(stored)}"
                if walked > 1 and stored <= before:
                    yield f"{where}: the record stands after {_shown(before)}"
                before = stored
                if self.txn.get(stored, None, space.keys) != record:
                    yield f"{where}: the record is there and is not found"
                try:
                    for problem in self._record(space, stored, record, owned):
                        yield f"{where}: {problem}"
                except (IndexError, ValueError):
                    yield f"{where}: the record cannot be read"
        yield from self._counted(f"keys:{space.number}", space.keys, walked)
        yield from self._expiry(space)
        yield from self._elements(space, owned)

    def _counted(self, name: str, database: Database, walked: int) -> Iterator[str]:
        entries = self.txn.stat(database)["entries"]
        if walked != entries:
            yield f"{name} has {entries} entries, of which {walked} can be reached"

    def _record(self, space: Space, stored: bytes, record: bytes, owned: set[int]) -> Iterator[str]:
        if not layout.is_intact(stored, record):
            yield "the record is not what was written"
            return
        type_ = layout.record_type(record)
        if not NOTHING < type_ < len(VALUE_TYPES):
            yield f"there is no type {type_}"
        if record[0] & FLOAT and type_ != STRING:
            yield "it has a flag that only strings have"
        if layout.stored_name(layout.record_name(stored, record)) != stored:
            yield "the name belongs elsewhere"
        if bool(record[0] & LONG_NAME) != (len(stored) == layout.STORED_NAME_MAX):
            yield "the name is not where it should be"
        if layout.record_version(record) > self.version:
            yield f"its version {layout.record_version(record)} has not been given out"
        if record[0] & HAS_DEADLINE:
            deadline_ms = layout.record_deadline_ms(record)
            if self.txn.get(layout.expiry_entry(deadline_ms, stored), None, space.expiry) is None:
                yield f"its deadline {deadline_ms} is not in the expiry index"
        if record[0] & HAS_ELEMENTS:
            yield from self._collection(space, record, owned)

    def _collection(self, space: Space, record: bytes, owned: set[int]) -> Iterator[str]:
        collection, count = layout.record_elements(record)
        if collection in owned:
            yield f"collection {collection} belongs to another key too"
        owned.add(collection)
        if collection > self.collections:
            yield f"collection {collection} has not been given out"
        if self._in_garbage(layout.elements_garbage(space.number, collection)):
            yield f"collection {collection} is in the garbage"
        type_ = layout.record_type(record)
        if type_ >= len(VALUE_TYPES):
            return
        if type_ == STREAM:
            yield from StreamCheck(self.txn, space.elements, self.environment.garbage, space.number, record).problems()
        elif VALUE_TYPES[type_].sections:
            yield from CollectionCheck(self.txn, space.elements, collection, VALUE_TYPES[type_], count).problems()
        else:
            yield from self._pieces(space, collection, count)

    def _pieces(self, space: Space, collection: int, length: int) -> Iterator[str]:
        """The pieces of a string of `length` bytes: full ones and a last one, numbered from zero."""
        prefix = layout.number(collection)
        expected = 0
        with self.txn.cursor(space.elements) as cursor:
            found = cursor.set_range(prefix)
            while found and cursor.key().startswith(prefix):
                size = min(pieces.PIECE_BYTES, length - expected * pieces.PIECE_BYTES) + layout.CHECKSUM
                is_hole = cursor.value() == layout.hole(cursor.key())
                if cursor.key()[8:] != expected.to_bytes(4, "big") or (len(cursor.value()) != size and not is_hole):
                    yield f"piece {expected} of string {collection} is missing or of the wrong size"
                    return
                if not is_hole and not layout.is_intact(cursor.key(), cursor.value()):
                    yield f"piece {expected} of string {collection} is not what was written"
                elif self.txn.get(cursor.key(), None, space.elements) != cursor.value():
                    yield f"piece {expected} of string {collection} is there and is not found"
                expected += 1
                found = cursor.next()
        if expected * pieces.PIECE_BYTES < length:
            yield f"piece {expected} of string {collection} is missing or of the wrong size"

    def _expiry(self, space: Space) -> Iterator[str]:
        walked = 0
        before = b""
        with self.txn.cursor(space.expiry) as cursor:
            for entry in cursor.iternext(keys=True, values=False):
                self._count()
                walked += 1
                if entry <= before:
                    yield f"expiry:{space.number} {_shown(entry[8:])}: the entry is not in order"
                before = entry
                deadline_ms, stored = layout.read_number(entry), entry[8:]
                record = self.txn.get(stored, None, space.keys) if stored else None
                if deadline_ms == NO_DEADLINE or record is None or layout.record_deadline_ms(record) != deadline_ms:
                    yield f"expiry:{space.number} {_shown(stored)}: no record has the deadline {deadline_ms}"
        yield from self._counted(f"expiry:{space.number}", space.expiry, walked)

    def _elements(self, space: Space, owned: set[int]) -> Iterator[str]:
        """Collections that belong to no key. One look for each collection, however many elements it has."""
        with self.txn.cursor(space.elements) as cursor:
            found = cursor.first()
            while found:
                collection = layout.read_number(cursor.key())
                if collection not in owned and not self._in_garbage(layout.elements_garbage(space.number, collection)):
                    yield f"elements:{space.number}: collection {collection} belongs to no key"
                found = cursor.set_range(layout.number(collection + 1))


def _shown(name: bytes) -> str:
    return repr(name if len(name) <= 64 else name[:64] + b"...")[1:]
