"""Is a name what was written, without a look at all that it stands for? And does a walk begin where it should?

A name is proved by the checksum behind its data, which takes reading all of the data. Short data lie beside the name
and cost nothing. Long data have pages of their own, which a walk over names alone must not read: LMDB shows them as a
view, which touches no page, and they are left unproved.

LMDB finds a place by comparing keys, any of which may have changed. So a place counts as found where the entries on
both its sides are what was written and stand in order: then none can be missing between them.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from operator import lt
from typing import Any, Final

import lmdb

from keyp.storage.lmdb import layout
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.layout import ONE_PAGE_MAX

# No more than a page is read to prove a name, and as much as a record takes to prove that there is none. The fields of
# a hash may be longer than any record.
RECORD_MAX: Final = 1 << 17


class Proof:
    """Of names as `txn`, a transaction of `engine`, sees them; valid until `close`, on the transaction's thread.

    Where a sub-database has long data it is looked at through views, which are those of the last commit. What they do
    not show as it should be, `txn` itself is asked for. `has_long` says which sub-databases have any, and is filled as
    they are met: LMDB takes longer to count them than to find a name.
    """

    def __init__(self, engine: lmdb.Environment, txn: lmdb.Transaction[bytes], has_long: dict[Any, bool]) -> None:
        self._engine = engine
        self._txn = txn
        self._has_long = has_long
        self._views: Any = None
        self._lookings: dict[Any, Any] = {}
        self._cursors: dict[Any, Any] = {}  # for looks at what is absent, by sub-database

    def _looking(self, database: Any) -> Any:
        """The transaction through which a sub-database is looked at."""
        looking = self._lookings.get(database)
        if looking is None:
            looking = self._txn
            has_long = self._has_long.get(database)
            if has_long is None:
                has_long = self._has_long[database] = bool(looking.stat(database)["overflow_pages"])
            if has_long:
                if self._views is None:
                    self._views = self._engine.begin(buffers=True)
                looking = self._views
            self._lookings[database] = looking
        return looking

    def of(self, database: Any, name: bytes) -> bool:
        """Whether there is such an entry, and either its checksum is right or its data are longer than a page."""
        view: Any = None
        with suppress(lmdb.Error):  # of a sub-database that this transaction has made
            view = self._looking(database).get(name, None, database)
        if view is not None and _is_intact(name, view, ONE_PAGE_MAX):
            return True
        raw: bytes | None = self._txn.get(name, None, database)
        return raw is not None and layout.is_intact_or_hole(name, raw)

    def of_absence(self, database: Any, name: bytes) -> bool:
        """Whether there is no such entry for certain: what stands on both sides of its place is what was written."""
        return self._shows_absence(database, name) or self._finds_absence(database, name)

    def _shows_absence(self, database: Any, name: bytes) -> bool:
        """The same as far as a look without a copy of long data shows it."""
        try:
            cursor = self._cursors.get(database)
            if cursor is None:
                cursor = self._cursors[database] = self._looking(database).cursor(database)
            if cursor.set_range(name):
                behind, view = cursor.item()
                if bytes(behind) <= name or not _is_intact(bytes(behind), view, RECORD_MAX):
                    return False
                if not cursor.prev():
                    return True
            elif not cursor.last():
                return True
            before, view = cursor.item()
            return bytes(before) < name and _is_intact(bytes(before), view, RECORD_MAX)
        except lmdb.Error:
            return False

    def _finds_absence(self, database: Any, name: bytes) -> bool:
        with self._txn.cursor(database) as cursor:
            try:
                found = seek(cursor, name, self, database)
            except Damaged:
                return False
            return not found or (cursor.key() > name and layout.is_intact_or_hole(*cursor.item()))

    def close(self) -> None:
        """Lets go of everything."""
        self._cursors.clear()
        self._lookings.clear()
        if self._views is not None:
            self._views.abort()


def _is_intact(name: bytes, view: Any, most: int) -> bool:
    """Whether the checksum in a view is right, or there are more than `most` bytes before it."""
    return len(view) > most or layout.is_intact_or_hole(name, bytes(view))


def seek(cursor: Any, name: bytes, proof: Proof, database: Any) -> bool:
    """Sets a cursor over `database` on the first entry at `name` or behind it; whether there is one. Raises `Damaged`.

    The caller checks that the entry found is what was written.
    """
    found = bool(cursor.set_range(name))
    if found and cursor.key() < name:
        raise Damaged(f"the entries around {name[:64]!r} are not in order")
    if cursor.prev() if found else cursor.last():
        before: bytes = cursor.key()
        if before >= name or not proof.of(database, before):
            raise Damaged(f"the entry before {name[:64]!r} is not what was written")
        if found:
            cursor.next()
    elif found:
        cursor.first()
    return found


def ascend(names: list[bytes]) -> bool:
    """Whether each of some names is behind the one before it."""
    return all(map(lt, names, islice(names, 1, None)))
