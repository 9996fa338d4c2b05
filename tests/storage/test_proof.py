"""What is found, what is not, and where a walk begins: proved by checksums and by order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from keyp.errors import CommandError
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.proof import RECORD_MAX, ascend
from keyp.storage.lmdb.transaction import ReadTransaction
from keyp.storage.types import hashes, strings
from tests.storage.conftest import Store


def fill(keys: WritableKeyspace) -> None:
    for number in range(0, 40, 2):
        strings.put(keys, b"k%02d" % number, b"value")
    found = hashes.find_or_make(keys, b"hash")
    for number in range(0, 40, 2):
        found.set(b"f%02d" % number, b"value")
    found.save()


def spoil(store: Store, database: str, name: bytes, new_name: bytes) -> Callable[[], None]:
    """Changes an entry's key in the file, under the open store; what mends it."""
    data_file = store.path / "data.mdb"
    data = data_file.read_bytes()
    with store.environment.lmdb.begin() as txn:
        raw = txn.get(name, db=getattr(store.environment.spaces[1], database))
    assert raw is not None
    offset = data.find(name + raw)
    if offset < 0:  # the data have pages of their own; before the name stand that it is so, and its length
        offset = data.rindex(b"\1\0" + len(name).to_bytes(2, "little") + name) + 4

    def write(text: bytes) -> None:
        with data_file.open("r+b") as file:
            file.seek(offset)
            file.write(text)

    write(new_name)
    return lambda: write(name)


def test_what_is_found_needs_no_proof(store: Store) -> None:
    store.write(fill)
    with ReadTransaction(store.environment, store.now_ms) as snapshot:
        keys = Keyspace(snapshot, 0)
        assert keys.find(b"k10") is not None
        found = hashes.find(keys, b"hash")
        assert found is not None
        assert found.value(b"f10") == b"value"
        assert len(found.all()) == 20
        assert snapshot._proof is None
        assert keys.find(b"k11") is None
        assert snapshot._proof is not None


def has_field(keys: Keyspace, field: bytes) -> bool:
    found = hashes.find(keys, b"hash")
    assert found is not None
    return found.has(field)


def exists(store: Store, number: int) -> bool:
    return bool(store.read(lambda keys: keys.exists(b"k%02d" % number)))


@pytest.mark.parametrize("name", [b"", b"a", b"hash", b"k", b"k00", b"k01", b"k19", b"k38", b"k39", b"z"])
def test_what_is_not_there(store: Store, name: bytes) -> None:
    store.write(fill)
    there = name in (b"hash", b"k00", b"k38")
    assert store.read(lambda keys: keys.exists(name)) == there
    assert store.read(lambda keys: has_field(keys, b"f" + name[1:])) == (name in (b"k00", b"k38"))


@pytest.mark.parametrize("new", [b"\x0010", b"j10", b"k11", b"k1\xff", b"z10"])
def test_a_changed_name_hides_nothing(store: Store, new: bytes) -> None:
    """Whichever way it leads the search: each look is right or an error, and some are errors."""
    store.write(fill)
    mend = spoil(store, "keys", b"k10", new)
    errors = 0
    for number in range(40):
        try:
            assert exists(store, number) == (number % 2 == 0)
        except CommandError:
            errors += 1
    assert errors
    mend()
    assert all(exists(store, number) for number in range(0, 40, 2))


def test_a_changed_name_is_no_end_of_a_walk(store: Store) -> None:
    store.write(fill)
    start = layout.number(1) + b"m"
    mend = spoil(store, "elements", start + b"f20", b"\x80" + start[1:] + b"f20")

    def look(keys: Keyspace) -> Any:
        found = hashes.find(keys, b"hash")
        assert found is not None
        return found.forward(b"m", b"f10", 100)

    with pytest.raises(Damaged):
        store.read(look)
    mend()
    assert len(store.read(look)) == 15


@pytest.mark.parametrize("size", [10, 5000, 60_000])
def test_a_record_that_lost_its_name(store: Store, size: int) -> None:
    """It is read as a whole before it is said that there is none, as it would be for its value."""
    store.write(fill)
    store.write(lambda keys: strings.put(keys, b"m", bytes(size)))
    mend = spoil(store, "keys", b"m", b"n")
    with pytest.raises(CommandError, match="damaged"):
        store.read(lambda keys: keys.exists(b"m"))
    mend()
    assert size < RECORD_MAX


def test_what_the_transaction_has_changed_itself(store: Store) -> None:
    """In a write a read sees more than is committed."""
    transaction = store.begin()
    keys = WritableKeyspace(transaction, 0)
    fill(keys)
    transaction.in_write = False
    assert keys.exists(b"k10")
    assert not keys.exists(b"k11")
    transaction.in_write = True
    keys.remove(b"k10")
    strings.put(keys, b"k11", b"value")
    transaction.in_write = False
    assert not keys.exists(b"k10")
    assert keys.exists(b"k11")
    assert len(list(keys.names())) == 21
    transaction.commit()


def test_names_in_order() -> None:
    assert ascend([])
    assert ascend([b"a"])
    assert ascend([b"a", b"b", b"c"])
    assert not ascend([b"a", b"b", b"b"])
    assert not ascend([b"b", b"a"])
