"""An LMDB environment with a store of ours in it, whoever has opened it: its handles, its numbers, its format.

What is in the sub-databases is known to `keyp.storage.keys` and `keyp.storage.types`; this file knows only their names.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import lmdb

from keyp.storage.lmdb import layout
from keyp.storage.lmdb.errors import Damaged, StoreError
from keyp.storage.lmdb.meta_pages import is_sound_record

Database = Any  # a handle, `lmdb._Database`: private by name, public by use
Engine: TypeAlias = lmdb.Environment
Transaction: TypeAlias = "lmdb.Transaction[bytes]"

# Address space, not disk: large enough that the map never has to grow.
MAP_BYTES: Final = 1 << 40

NO_ADDRESS_SPACE: Final = (
    "the system does not let this process have 1 TiB of address space, of which only what holds data takes up memory; "
    "`ulimit -v unlimited`, or LimitAS=infinity under systemd, lifts a limit"
)

MORE_DATABASES: Final = (
    "its journal has more databases than are asked for; once it must be started with as many as before (--databases)"
)

DATA_FILE: Final = "data.mdb"
# The numbers, or lists of them, that `meta` holds, each with a checksum; only the format has none.
OWN_NUMBERS: Final = (b"version", b"collections", b"databases")

# The numbers of sub-databases in redo records: these, then each space's three in turn.
META: Final = 0
GARBAGE: Final = 1
PARTS: Final = (b"keys", b"elements", b"expiry")
ELEMENTS: Final = 0  # what is left when the number of a sub-database of elements is divided by the number of parts


def number_of(space: int, part: int) -> int:
    """The number of one of a space's sub-databases; `part` is its place in PARTS."""
    return GARBAGE + 1 + len(PARTS) * (space - 1) + part


def space_and_part(number: int) -> tuple[int, int]:
    """The space and the part that `number_of` was given."""
    space, part = divmod(number - GARBAGE - 1, len(PARTS))
    return space + 1, part


def put_own(txn: Transaction, meta: Database, name: bytes, data: bytes) -> None:
    """Writes one of the store's own numbers, or a list of them, where no command runs."""
    txn.put(name, layout.with_checksum(name, data), db=meta)


NO_SPACE: Final = 0  # in the list of databases: nothing is stored there


class Space:
    """The handles of one space's three sub-databases; valid as long as the environment is open."""

    def __init__(self, number: int, keys: Database, elements: Database, expiry: Database) -> None:
        self.number = number
        self.keys = keys
        self.elements = elements
        self.expiry = expiry


class DatabaseList:
    """Which space each database uses, as of one transaction id. Never changed, only replaced.

    `has_long` collects what is known of sub-databases as of that id: whether any data in them are longer than a page.
    """

    def __init__(self, transaction_id: int, raw: bytes | None, spaces: list[Space | None]) -> None:
        self.transaction_id = transaction_id
        self.raw = raw
        self.spaces = spaces
        self.has_long: dict[Any, bool] = {}


class Store:
    """An LMDB environment of ours that is open, and the handles in it: what a transaction needs to know.

    `spaces` maps space numbers to handles that any transaction may use; `databases` is how many Redis databases there
    are.
    """

    path: str
    databases: int
    lmdb: Engine
    format: int
    meta: Database
    garbage: Database
    spaces: dict[int, Space]
    database_list: DatabaseList | None  # as last seen; `transaction.py` looks after it

    def records(self, txn: Transaction) -> dict[bytes, bytes]:
        """The names of all sub-databases, and what LMDB has written of each."""
        with txn.cursor() as cursor:
            return dict(cursor.iternext())

    def refuse_foreign(self, txn: Transaction, records: dict[bytes, bytes]) -> None:
        """Raises `StoreError` where sub-databases with these records are not a store in the format known here.

        Raises `Damaged` where something is written of one that cannot be; LMDB would believe it.
        """
        last_page = self.lmdb.info()["last_pgno"]
        damaged = [name for name, record in records.items() if not is_sound_record(record, last_page)]
        found = None
        if b"meta" in records and b"garbage" in records:
            if b"meta" in damaged:
                raise Damaged("what is written of the sub-database 'meta' cannot be")
            found = txn.get(b"format", db=self.lmdb.open_db(b"meta", txn=txn))
        if found is None or len(found) != 8:
            raise StoreError(f"an LMDB file of another program; it was not touched: {self.path}")
        version = layout.read_number(found)
        if version not in layout.FORMATS:
            raise StoreError(
                f"the store is in format {version}, this Keyp reads up to {layout.FORMAT}; "
                f"it was not touched: {self.path}"
            )
        self.format = version
        for name in damaged:
            raise Damaged(f"what is written of the sub-database {name.decode(errors='replace')!r} cannot be")

    def own(self, txn: Transaction, name: bytes) -> bytes:
        """What `put_own` wrote under a name. Raises `Damaged`."""
        raw: bytes | None = txn.get(name, None, self.meta)
        if raw is None or not layout.is_intact(name, raw):
            raise Damaged(f"the entry {name.decode()!r} of meta is not what was written")
        return raw[: -layout.CHECKSUM]

    def live_bytes(self) -> int:
        """What the pages in use add up to. A look at the header of each sub-database, whatever it holds."""
        with self.lmdb.begin() as txn:
            return self.live_bytes_in(txn)

    def live_bytes_in(self, txn: Transaction) -> int:
        """The same, as a transaction shows it."""
        stats = [txn.stat(self.meta), txn.stat(self.garbage)]
        for space in list(self.spaces.values()):
            stats += [txn.stat(space.keys), txn.stat(space.elements), txn.stat(space.expiry)]
        pages = sum([stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"] for stat in stats])
        return pages * stats[0]["psize"]


def lmdb_reason(error: Exception) -> str:
    """What went wrong, in the words of the system or of LMDB where they have some."""
    if isinstance(error, lmdb.MemoryError):
        return NO_ADDRESS_SPACE
    if isinstance(error, lmdb.DbsFullError):
        return MORE_DATABASES
    text = error.strerror if isinstance(error, OSError) else getattr(error, "reason", None)
    return str(text or error)
