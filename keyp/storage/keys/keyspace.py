"""One transaction's view of one database: which keys there are, of what type, until when.

Here is what all types of values have in common: finding a record, hiding it once its deadline has passed, keeping the
expiry index in step with the records, and leaving the elements of what is removed to the sweeper. What a record's body
means is known to the modules of `keyp.storage.types`.

Reading hides expired keys and changes nothing; writing removes the ones it meets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from keyp.errors import DAMAGED, DAMAGED_STORE, WRONG_TYPE, CommandError
from keyp.events import EXPIRED, GENERIC, KEY_MISS, NEW, Event
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.layout import HAS_DEADLINE, HAS_ELEMENTS, NO_DEADLINE, ONE_PAGE_MAX, TYPE_MASK, crc32
from keyp.storage.lmdb.proof import ascend, seek
from keyp.storage.lmdb.store import Space
from keyp.storage.lmdb.transaction import Transaction, WriteTransaction
from keyp.storage.value_types import NOTHING, WAKES, WAKES_WHEN_GONE

ANY: Final = 0  # instead of a type of values

KEEP_DEADLINE: Final = -1  # instead of a deadline: the one the key has

NAMES_AT_ONCE: Final = 1024  # when all names of a database are asked for


class Keyspace:
    """Database `index` as `transaction` sees it. Valid inside the transaction, on its thread."""

    def __init__(self, transaction: Transaction, index: int) -> None:
        self.index = index
        self.now_ms = transaction.now_ms
        self.lookups = transaction
        self._now_s = transaction.now_ms // 1000
        self.txn = transaction.txn
        self._get: Callable[..., bytes | None] = transaction.txn.get
        self.space: Space | None = transaction.space(index)

    def find(self, key: bytes, type_: int = ANY, is_access: bool = True) -> bytes | None:
        """The record of a key that exists and is within its deadline; None otherwise.

        It is an access to the key. In a read it counts as a hit or a miss and notifies of a miss. Without `is_access`
        it is and does none of that: for callers that do not want the value.

        Raises WRONGTYPE where the key holds another type of value than a given one, and DAMAGED. Raises DAMAGED_STORE
        in reads where a key that was not found may exist nevertheless; a write that is about to make the key does not
        check that.
        """
        space, lookups = self.space, self.lookups
        record: bytes | None = None
        name_crc = 0
        if space is not None:
            stored = layout.stored_name(key)
            name_crc = crc32(stored)
            record = self._get(stored, None, space.keys)
            if record is None:
                if not lookups.in_write and not lookups.proof().of_absence(space.keys, stored):
                    raise CommandError(DAMAGED_STORE)
            # What has come here from another sub-database is intact, but hardly looks like a record.
            elif not (layout.is_intact_behind(name_crc, record) and record[0] & TYPE_MASK):
                raise CommandError(DAMAGED)
            elif record[0] & HAS_DEADLINE and self._is_dead(record):
                self._met_dead(stored, record, key)
                record = None
        if is_access:
            if not lookups.in_write:
                if record is None:
                    self._note_miss(key)
                else:
                    lookups.hits += 1
            if record is not None and lookups.access_times is not None and lookups.touches:
                lookups.access_times.touch(name_crc, self._now_s)
        if type_ != ANY and record is not None and record[0] & TYPE_MASK != type_:
            raise CommandError(WRONG_TYPE)
        return record

    def read(self, key: bytes) -> bytes | None:
        """As `find`; in a write, too, it counts as a hit or a miss."""
        record = self.find(key)
        if self.lookups.in_write:
            self.note_read(key, record is not None)
        return record

    def peek(self, key: bytes) -> bytes | None:
        """As `find`, but no access to the key."""
        record = self.find(key, is_access=False)
        if not self.lookups.in_write:
            self.note_read(key, record is not None)
        return record

    def _met_dead(self, stored: bytes, record: bytes, key: bytes) -> None:
        """A key past its deadline has been looked for."""

    def note_read(self, key: bytes, found: bool) -> None:
        """Counts a lookup and notifies of a miss. `find` does so in reads; a write that replies with a value calls
        this.

        Those are the commands that use `lookupKeyRead` in Redis: GETDEL and COPY do, LPOP and APPEND do not.
        """
        if found:
            self.lookups.hits += 1
        else:
            self._note_miss(key)

    def _note_miss(self, key: bytes) -> None:
        self.lookups.misses += 1
        if self.lookups.wanted_events & KEY_MISS:
            self.lookups.events.append(Event(KEY_MISS, "keymiss", self.index, key))

    def exists(self, key: bytes) -> bool:
        """Whether the key exists; no access to it."""
        return self.peek(key) is not None

    def type_of(self, key: bytes) -> int:
        """The number of the type of value a key holds; NOTHING where there is none; no access to it."""
        record = self.peek(key)
        return NOTHING if record is None else record[0] & TYPE_MASK

    def version(self, key: bytes) -> int:
        """The version of the last write command that touched the key; 0 where there is none."""
        record = self.find(key, is_access=False)
        return 0 if record is None else layout.record_version(record)

    def size(self) -> int:
        """How many keys are stored; those past their deadline count until they are removed, as in Redis."""
        return 0 if self.space is None else int(self.txn.stat(self.space.keys)["entries"])

    def size_with_deadline(self) -> int:
        """How many of the stored keys have a deadline."""
        return 0 if self.space is None else int(self.txn.stat(self.space.expiry)["entries"])

    def next_deadline_ms(self) -> int:
        """The earliest deadline of all, NO_DEADLINE where no key has one."""
        if self.space is not None:
            with self.txn.cursor(self.space.expiry) as cursor:
                if cursor.first():
                    return layout.read_number(cursor.key())
        return NO_DEADLINE

    def visit(self, count: int, after: bytes = b"", prefix: bytes = b"") -> tuple[list[bytes], list[bytes]]:
        """The stored names that `stored_names` gives, and those of them that `live` does."""
        if self.space is None or int(self.txn.stat(self.space.keys)["overflow_pages"]):
            names = self.stored_names(count, after, prefix)
            return names, self.live(names)
        start = prefix[: layout.LONG_NAME_PREFIX]
        with self.txn.cursor(self.space.keys) as cursor:
            if not self._seek_behind(cursor, start, after):
                return [], []
            found = list(islice(cursor.iternext(keys=True, values=True), count))
        names = [name for name, _ in found]
        if not layout.are_intact(found) or not ascend(names):
            raise CommandError(DAMAGED)
        while start and found and not found[-1][0].startswith(start):
            found.pop()
            names.pop()
        return names, [name for name, record in found if not record[0] & HAS_DEADLINE or not self._is_dead(record)]

    def _seek_behind(self, cursor: Any, start: bytes, after: bytes) -> bool:
        """Sets a cursor on the first name that begins as `start` does, or follows it, and is behind `after`."""
        assert self.space is not None
        return seek(cursor, max(start, after + b"\0"), self.lookups.proof(), self.space.keys)

    def stored_names(self, count: int, after: bytes = b"", prefix: bytes = b"") -> list[bytes]:
        """Up to `count` stored names in their order, the first ones behind `after`; no record is read.

        Keys past their deadline are among them, and names that are not what was written (`live` checks them). With a
        prefix they are those of all keys whose names begin with it, and of a few more where the prefix is longer than
        what a stored name keeps of a long name. Raises `Damaged` where some may be missing.
        """
        if self.space is None:
            return []
        start = prefix[: layout.LONG_NAME_PREFIX]
        with self.txn.cursor(self.space.keys) as cursor:
            if not self._seek_behind(cursor, start, after):
                return []
            names = list(islice(cursor.iternext(keys=True, values=False), count))
        behind = b""
        while start and names and not names[-1].startswith(start):
            behind = names.pop()
        if not ascend(names) or (behind and not self.lookups.proof().of(self.space.keys, behind)):
            raise Damaged(f"the names of database {self.index} are not what was written")
        return names

    def live(self, stored_names: list[bytes]) -> list[bytes]:
        """Those of some stored names whose keys are within their deadline. Raises DAMAGED.

        A record of more than a page is not read: its name is trusted, and the expiry index says whether it has expired.
        """
        if self.space is None:
            return []
        proof = self.lookups.proof()
        for stored in stored_names:
            if not proof.of(self.space.keys, stored):
                raise CommandError(DAMAGED)
        dead = [entry[8:] for entry in islice(self._expired_entries(), len(stored_names))]
        if not dead:
            return stored_names
        # Where it lists more than there are names to look at, the records are the shorter way.
        hidden = set(dead if len(dead) < len(stored_names) else stored_names)
        return [stored for stored in stored_names if stored not in hidden or not self.is_past(stored)]

    def full_name(self, stored: bytes) -> bytes:
        """The name that a stored name of this database stands for."""
        if len(stored) < layout.STORED_NAME_MAX:
            return stored
        return layout.record_name(stored, self._listed(stored))

    def names(self, prefix: bytes = b"") -> Iterator[bytes]:
        """The names of all live keys, in the order of stored names; with a prefix those that `stored_names` gives."""
        walked = 0
        visited, live = self.visit(NAMES_AT_ONCE, b"", prefix)
        while visited:
            for stored in live:
                yield stored if len(stored) < layout.STORED_NAME_MAX else self.full_name(stored)
            walked += len(visited)
            visited, live = self.visit(NAMES_AT_ONCE, visited[-1], prefix)
        if not prefix and walked != self.size():
            raise Damaged(f"database {self.index} has {self.size()} keys, of which {walked} were met")

    def is_past(self, stored: bytes) -> bool:
        """Whether the key of a stored name that is there is past its deadline. Raises DAMAGED."""
        record = self._listed(stored)
        return bool(record[0] & HAS_DEADLINE) and self._is_dead(record)

    def _listed(self, stored: bytes) -> bytes:
        """The record of a stored name that is there. Raises DAMAGED."""
        assert self.space is not None
        record = self._get(stored, None, self.space.keys)
        if record is None or not (layout.is_intact(stored, record) and record[0] & TYPE_MASK):
            raise CommandError(DAMAGED)
        return record

    def _is_dead(self, record: bytes) -> bool:
        return self.now_ms > layout.record_deadline_ms(record)

    def _expired_entries(self) -> Iterator[bytes]:
        if self.space is None:
            return
        with self.txn.cursor(self.space.expiry) as cursor:
            for entry in cursor.iternext(keys=True, values=False):
                if layout.read_number(entry) >= self.now_ms:
                    return
                yield entry


class WritableKeyspace(Keyspace):
    """A database inside the writer's transaction."""

    def __init__(self, transaction: WriteTransaction, index: int) -> None:
        super().__init__(transaction, index)
        self.transaction = transaction

    def _met_dead(self, stored: bytes, record: bytes, key: bytes) -> None:
        """It is removed."""
        self.forget(stored, record)
        self.transaction.expired += 1
        self.notify(EXPIRED, "expired", key, changes=0)

    def put(
        self, key: bytes, old: bytes | None, type_: int, flags: int, body: bytes, deadline_ms: int = KEEP_DEADLINE
    ) -> None:
        """Writes a key's record, and notifies of a new key.

        `old` is what `find` gave for the key in this command. `deadline_ms` may be KEEP_DEADLINE. Elements of the old
        value stay where they are: they belong to the new body, or the caller has removed them.
        """
        space = self.space or self.writable_space()
        stored = layout.stored_name(key)
        had_ms = NO_DEADLINE
        if old is not None and old[0] & HAS_DEADLINE:
            had_ms = layout.record_deadline_ms(old)
        if deadline_ms == KEEP_DEADLINE:
            deadline_ms = had_ms
        elif deadline_ms != had_ms and had_ms != NO_DEADLINE:
            self.transaction.delete(space.expiry, layout.expiry_entry(had_ms, stored))
        version = self.transaction.stored_version = self.transaction.version
        record = layout.make_record(stored, key, type_, flags, version, deadline_ms, body)
        if old is not None and len(old) > ONE_PAGE_MAX and len(record) < len(old):
            # LMDB would reuse pages that this transaction has written, all of them, however few are needed now.
            self.transaction.delete(space.keys, stored)
        self.transaction.put(space.keys, stored, record)
        if old is None:
            if WAKES[type_]:
                self.transaction.ready.append((self.index, key))
        elif old[0] & TYPE_MASK != type_ and (WAKES[type_] or WAKES_WHEN_GONE[old[0] & TYPE_MASK]):
            self.transaction.ready.append((self.index, key))
        if deadline_ms not in (NO_DEADLINE, had_ms):
            self.transaction.put(space.expiry, layout.expiry_entry(deadline_ms, stored), b"")
        if old is None:
            if self.transaction.access_times is not None:
                self.transaction.access_times.touch(crc32(stored), self._now_s)
            if self.transaction.wanted_events & NEW:
                self._tell_new(key)

    def _tell_new(self, key: bytes) -> None:
        """Notifies of a new key before its other events; a collection's record may be written last."""
        events = self.transaction.events
        place = len(events)
        while place and events[place - 1].key == key and events[place - 1].database == self.index:
            if events[place - 1].event_class & (EXPIRED | GENERIC | KEY_MISS):
                break
            place -= 1
        events.insert(place, Event(NEW, "new", self.index, key))

    def notify(self, event_class: int, event: str, key: bytes, changes: int = 1) -> None:
        """Counts an event as so many changes, and has it published once it is committed.

        `event_class` is one of `keyp.events`.
        """
        self.transaction.changes += changes
        if self.transaction.wanted_events & event_class:
            self.transaction.events.append(Event(event_class, event, self.index, key))

    def touch(self, key: bytes, record: bytes, deadline_ms: int = KEEP_DEADLINE) -> None:
        """Gives a key a new version, and a deadline or none; its value stays as it is."""
        flags = record[0] & layout.OF_VALUE
        self.put(key, record, record[0] & TYPE_MASK, flags, layout.record_body(record), deadline_ms)

    def mark(self, key: bytes, record: bytes, flag: int) -> None:
        """Sets a flag of a key's value. Nothing else changes, not even the version."""
        marked = (record[0] | flag).to_bytes(1, "big") + record[1 : -layout.CHECKSUM]
        self._put_unversioned(key, marked)

    def put_body(self, key: bytes, record: bytes, body: bytes) -> None:
        """Gives a key's value another body. Nothing else changes, not even the version: WATCH does not see it."""
        self._put_unversioned(key, record[: layout.body_offset(record)] + body)

    def _put_unversioned(self, key: bytes, record: bytes) -> None:
        stored = layout.stored_name(key)
        self.transaction.put(self.writable_space().keys, stored, layout.with_checksum(stored, record))

    def remove(self, key: bytes) -> bool:
        """Removes a key of any type; whether it was there. What it held is cleared later, in bounded steps.

        Of a damaged key only the record is removed: nothing else is known to be its own.
        """
        stored = layout.stored_name(key)
        try:
            record = self.find(key, is_access=False)
        except CommandError:
            assert self.space is not None
            return self.transaction.delete(self.space.keys, stored)
        if record is None:
            return False
        self.forget(stored, record)
        return True

    def forget(self, stored: bytes, record: bytes, with_elements: bool = True) -> None:
        """Removes the record of a stored name. Its elements are left to the sweeper, where there are any."""
        space = self.space
        assert space is not None
        self.transaction.delete(space.keys, stored)
        if WAKES_WHEN_GONE[record[0] & TYPE_MASK]:
            self.transaction.ready.append((self.index, layout.record_name(stored, record)))
        if record[0] & HAS_DEADLINE:
            self.transaction.delete(space.expiry, layout.expiry_entry(layout.record_deadline_ms(record), stored))
        if record[0] & HAS_ELEMENTS and with_elements:
            self.discard_elements(layout.record_elements(record)[0])

    def discard_elements(self, collection: int) -> None:
        """Leaves a collection's elements to the sweeper."""
        assert self.space is not None
        self.transaction.discard(layout.elements_garbage(self.space.number, collection))

    def discard_range(self, collection: int, section: bytes, stop: bytes) -> None:
        """Leaves the elements of a section before the place `stop` to the sweeper."""
        assert self.space is not None
        self.transaction.discard(layout.range_garbage(self.space.number, collection, section, stop))

    def discard_part(self, collection: int, prefix: bytes) -> None:
        """Leaves the elements of a collection whose places, with section, begin with `prefix` to the sweeper."""
        assert self.space is not None
        self.transaction.discard(layout.elements_garbage(self.space.number, collection) + prefix)

    def has_discarded_range(self, collection: int, section: bytes) -> bool:
        """Whether the sweeper has still to clear elements of a section."""
        assert self.space is not None
        ahead = layout.range_garbage(self.space.number, collection, section, b"")
        with self.txn.cursor(self.transaction.environment.garbage) as cursor:
            return bool(cursor.set_range(ahead) and cursor.key().startswith(ahead))

    def rename(self, key: bytes, record: bytes, new_key: bytes) -> None:
        """Moves a key's value and deadline under another name, in place of whatever was there."""
        assert self.space is not None
        self.remove(new_key)
        deadline_ms = layout.record_deadline_ms(record)
        stored = layout.stored_name(key)
        self.transaction.delete(self.space.keys, stored)
        if WAKES_WHEN_GONE[record[0] & TYPE_MASK]:
            self.transaction.ready.append((self.index, key))
        if deadline_ms != NO_DEADLINE:
            self.transaction.delete(self.space.expiry, layout.expiry_entry(deadline_ms, stored))
        flags = record[0] & layout.OF_VALUE
        body = layout.record_body(record)
        self.put(new_key, None, record[0] & TYPE_MASK, flags, body, deadline_ms)

    def flush(self) -> None:
        """Removes every key of this database."""
        size = self.size()
        if size:
            self.transaction.changes += size
            self.transaction.flush(self.index)
            self.transaction.swapped.append(self.index)
            self.refresh()

    def refresh(self) -> None:
        """Looks again which space the database uses; needed after a swap."""
        self.space = self.transaction.space(self.index)

    def writable_space(self) -> Space:
        """The space to write into, made if this is the database's first write."""
        if self.space is None:
            self.space = self.transaction.make_space(self.index)
        return self.space

    def remove_expired(self, budget: int) -> int:
        """Removes up to `budget` keys whose deadline has passed; how many it found."""
        if self.space is None:
            return 0
        entries = list(islice(self._expired_entries(), budget))
        for entry in entries:
            record = self.txn.get(entry[8:], None, self.space.keys)
            if (
                record is not None
                and layout.is_intact(entry[8:], record)
                and layout.record_deadline_ms(record) == layout.read_number(entry)
            ):
                stored = entry[8:]
                self._met_dead(stored, record, layout.record_name(stored, record))
            else:  # an entry without its record, or with a damaged one, is no reason to remove a key
                self.transaction.delete(self.space.expiry, entry)
        return len(entries)
