"""The check of a store: each kind of damage is found, and a sound store has none."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import pytest

from keyp.storage import function_libraries
from keyp.storage.check import PROBLEMS_LISTED, check
from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.pieces import PIECE_BYTES
from keyp.storage.lmdb.store import DATA_FILE, put_own
from keyp.storage.lmdb.transaction import ReadTransaction
from keyp.storage.types import hashes, strings
from keyp.storage.value_types import LIST, MEMBERS, STREAM, STRING
from tests.storage.conftest import space_of

PIECE = PIECE_BYTES
LIBRARY = b"#!lua name=lib\n"
LIBRARY_AT = function_libraries.PREFIX + blake2b(b"lib", digest_size=20).digest()
NAMED = f"the library of functions at {LIBRARY_AT[8:].hex()}"


def fill(keys: WritableKeyspace) -> None:
    strings.put(keys, b"short", b"v", 5000)
    strings.put(keys, b"", b"v")
    strings.put(keys, b"n" * 600, b"v", 6000)
    strings.put(keys, b"plain", b"v")
    strings.put(keys, b"long", b"l" * (PIECE + 5))  # collection 1
    strings.put(keys, b"gone", bytes(PIECE + 5))  # collection 2
    keys.remove(b"gone")
    function_libraries.put(keys.transaction, b"lib", LIBRARY)


def put_record(keys: Any, stored: bytes, record: bytes) -> None:
    """Stores a record, whole, wherever it belongs."""
    keys.txn.put(stored, layout.with_checksum(stored, record[: -layout.CHECKSUM]), db=keys.space.keys)


def flip(keys: Any, database: Any, name: bytes) -> None:
    """Changes the last bit of what is stored before the checksum."""
    stored = keys.txn.get(name, db=database)
    at = len(stored) - layout.CHECKSUM - 1
    keys.txn.put(name, stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :], db=database)


def collection_record(collection: int, count: int, type_: int = LIST) -> bytes:
    body = layout.number(collection) + layout.number(count)
    return layout.make_record(b"k", b"k", type_, layout.HAS_ELEMENTS, 1, 0, body)


def garbage(keys: Any, entry: bytes) -> None:
    keys.transaction.discard(entry)


DAMAGE = [
    (lambda keys: keys.txn.delete(layout.expiry_entry(5000, b"short"), b"", keys.space.expiry),
     "keys:1 'short': its deadline 5000 is not in the expiry index"),
    (lambda keys: keys.txn.delete(b"short", b"", keys.space.keys),
     "expiry:1 'short': no record has the deadline 5000"),
    (lambda keys: keys.txn.put(layout.expiry_entry(7, b"long"), b"", db=keys.space.expiry),
     "expiry:1 'long': no record has the deadline 7"),
    (lambda keys: keys.txn.put(b"k", b"", db=keys.space.keys),
     "keys:1 'k': the record is not what was written"),
    (lambda keys: flip(keys, keys.space.keys, b"plain"),
     "keys:1 'plain': the record is not what was written"),
    (lambda keys: flip(keys, keys.space.elements, layout.number(1) + bytes(4)),
     "keys:1 'long': piece 0 of string 1 is not what was written"),
    (lambda keys: put_record(keys, b"k", layout.make_record(b"k", b"k", 7, 0, 1, 0, b"")),
     "keys:1 'k': there is no type 7"),
    (lambda keys: put_record(keys, b"k", layout.make_record(b"k", b"k", STREAM, layout.FLOAT, 1, 0, b"")),
     "keys:1 'k': it has a flag that only strings have"),
    (lambda keys: put_record(keys, b"k" * 480, layout.make_record(b"k" * 480, b"n" * 601, 1, 0, 1, 0, b"")),
     "keys:1 '" + "k" * 64 + "...': the name belongs elsewhere"),
    (lambda keys: put_record(keys, b"k", layout.make_record(b"k", b"k", 1, 0, 99, 0, b"")),
     "keys:1 'k': its version 99 has not been given out"),
    (lambda keys: put_record(keys, b"k", collection_record(99, 0)),
     "keys:1 'k': collection 99 has not been given out"),
    (lambda keys: put_record(keys, b"k", collection_record(keys.transaction.new_collection(), 3)),
     "keys:1 'k': collection 3 has 0 entries in section m, not 3"),
    (lambda keys: put_record(keys, b"other", collection_record(1, PIECE + 5, STRING)),
     "keys:1 'other': collection 1 belongs to another key too"),
    (lambda keys: garbage(keys, layout.elements_garbage(1, 1)),
     "keys:1 'long': collection 1 is in the garbage"),
    (lambda keys: keys.txn.delete(layout.number(1) + bytes(4), b"", keys.space.elements),
     "keys:1 'long': piece 0 of string 1 is missing or of the wrong size"),
    (lambda keys: keys.txn.delete(layout.number(1) + b"\0\0\0\1", b"", keys.space.elements),
     "keys:1 'long': piece 1 of string 1 is missing or of the wrong size"),
    (lambda keys: keys.txn.put(layout.number(1) + b"\0\0\0\1", b"four", db=keys.space.elements),
     "keys:1 'long': piece 1 of string 1 is missing or of the wrong size"),
    (lambda keys: keys.txn.put(layout.number(1) + b"\0\0\0\2", b"more", db=keys.space.elements),
     "keys:1 'long': piece 2 of string 1 is missing or of the wrong size"),
    (lambda keys: keys.txn.delete(layout.elements_garbage(1, 2), b"", keys.transaction.environment.garbage),
     "elements:1: collection 2 belongs to no key"),
    (lambda keys: garbage(keys, b"x"),
     "the garbage holds 'x', which names nothing"),
    (lambda keys: keys.txn.put(layout.space_garbage(9), b"", db=keys.transaction.environment.garbage),
     "the garbage's entry 's\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\t' is not what was written"),
    (lambda keys: garbage(keys, layout.space_garbage(1)),
     "space 1 serves a database and is in the garbage"),
    (lambda keys: flip(keys, keys.transaction.environment.meta, LIBRARY_AT),
     f"{NAMED} is not what was written"),
    (lambda keys: put_own(keys.txn, keys.transaction.environment.meta, LIBRARY_AT, b"text"),
     f"{NAMED} is none: ERR Missing library metadata"),
    (lambda keys: put_own(keys.txn, keys.transaction.environment.meta, LIBRARY_AT, b"#!lua name=l\n"),
     f"{NAMED} has the name of another one"),
    (lambda keys: flip(keys, keys.transaction.environment.meta, function_libraries.DIGEST),
     "the digest of the libraries of functions is not what was written"),
    (lambda keys: keys.txn.delete(function_libraries.DIGEST, b"", keys.transaction.environment.meta),
     "there are 1 libraries of functions, and none is known of"),
]  # fmt: skip


def clear_all(keys: WritableKeyspace) -> None:
    keys.transaction.empty(space_of(keys))
    function_libraries.flush(keys.transaction)
    clear_garbage(keys)


def put_a_hundred(keys: WritableKeyspace) -> None:
    for number in range(100):
        strings.put(keys, b"k%04d" % number, bytes(200))


@pytest.mark.parametrize(("damage", "problem"), DAMAGE, ids=[problem for _, problem in DAMAGE])
def test_damage_is_found(store: Any, damage: Any, problem: str) -> None:
    store.write(fill)
    assert store.problems() == []
    store.write(damage)
    assert store.problems() == [problem]
    store.write(clear_all)


def test_a_record_that_is_there_and_is_not_found(store: Any) -> None:
    """Where the way to a page is damaged, a walk from page to page does not show it."""
    store.write(put_a_hundred)
    data_file = store.path / DATA_FILE
    data = data_file.read_bytes()
    with store.environment.lmdb.begin() as txn:
        psize = txn.stat(store.environment.spaces[1].keys)["psize"]
    pages = [page for page in range(2, len(data) // psize) if data[page * psize + 10 : page * psize + 12] == b"\1\0"]
    separator = data.index(b"k00", pages[-1] * psize)
    with data_file.open("r+b") as file:
        file.seek(separator)
        file.write(b"k0099")
    assert any("the record is there and is not found" in problem for problem in store.problems())
    data_file.write_bytes(data)


def fill_pages(keys: WritableKeyspace) -> None:
    """Enough for more than a page in each sub-database."""
    for number in range(200):
        strings.put(keys, b"name%04d" % number, bytes(100), 5000 + number)
    found = hashes.find_or_make(keys, b"table")
    for number in range(200):
        found.set(b"field%04d" % number, bytes(100))
    found.save()


@pytest.mark.parametrize(
    ("needle", "problem"),
    [
        (layout.expiry_entry(5000, b"name0000"), "expiry:1 'name0001': the entry is not in order"),
        (MEMBERS + b"field0000", "an element of collection 1 is not in order"),
        (b"name0000", "keys:1 'name0001': the record stands after 'name0002'"),
    ],
    ids=["expiry", "elements", "keys"],
)
def test_an_entry_that_hides_another(store: Any, needle: bytes, problem: str) -> None:
    """Where a page names one entry twice and another not at all: a walk finds as many as there should be, all whole."""
    store.write(fill_pages)
    data_file = store.path / DATA_FILE
    data = data_file.read_bytes()
    with data_file.open("r+b") as file:
        for page in range(0, len(data), 4096):
            if data[page + 10 : page + 12] == b"\2\0" and needle in data[page : page + 4096]:
                file.seek(page + 16)  # the place of its first entry becomes that of its third
                file.write(data[page + 20 : page + 22])
    assert any(problem in found for found in store.problems())
    data_file.write_bytes(data)


def test_records_that_cannot_be_reached(store: Any) -> None:
    """Where a page says it has fewer children than it has, neither a walk nor a look shows what is behind them."""
    store.write(put_a_hundred)
    data_file = store.path / DATA_FILE
    data = data_file.read_bytes()
    pages = [page for page in range(2, len(data) // 4096) if data[page * 4096 + 10 : page * 4096 + 12] == b"\1\0"]
    with data_file.open("r+b") as file:
        file.seek(pages[-1] * 4096 + 12)
        file.write((int.from_bytes(data[pages[-1] * 4096 + 12 :][:2], "little") - 2).to_bytes(2, "little"))
    (problem,) = store.problems()
    assert problem.startswith("keys:1 has 100 entries, of which ")
    data_file.write_bytes(data)


def clear_garbage(keys: Any) -> None:
    keys.txn.drop(keys.transaction.environment.garbage, delete=False)


def set_databases(store: Any, numbers: list[int]) -> None:
    with store.environment.lmdb.begin(write=True) as txn:
        put_own(txn, store.environment.meta, b"databases", layout.pack_numbers(numbers))


def test_spaces_that_databases_share_or_have_lost(store: Any) -> None:
    store.write(lambda keys: strings.put(keys, b"k", b"v"), 0)
    store.write(lambda keys: strings.put(keys, b"k", b"v"), 1)
    set_databases(store, [1, 1, 9])
    assert store.problems() == [
        "space 1 serves 2 databases",
        "space 9 serves a database and does not exist",
        "keys:2 serves no database, is not in the garbage and holds 1 entries",
    ]
    set_databases(store, [1, 2])


def test_a_damaged_store_does_not_fill_memory_with_complaints(store: Any) -> None:
    def scatter(keys: WritableKeyspace) -> None:
        for number in range(1, PROBLEMS_LISTED + 10):
            keys.txn.put(layout.expiry_entry(number, b"none"), b"", db=keys.writable_space().expiry)

    store.write(scatter)
    with ReadTransaction(store.environment, store.now_ms) as snapshot:
        assert len(check(snapshot)) == PROBLEMS_LISTED
    store.write(lambda keys: keys.transaction.empty(keys.space))
