"""Pieces of nothing but zeros: they cost next to nothing, read as zeros, and are as safe as others."""

from __future__ import annotations

from typing import Any

import pytest

from keyp.errors import CommandError
from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.pieces import PIECE_BYTES, Pieces, pieces_of
from keyp.storage.types import strings
from tests.storage.conftest import Store, space_of

FAR = 300 * PIECE_BYTES + 17


def stored_pages(store: Store) -> int:
    stat = store.read(lambda keys: keys.txn.stat(space_of(keys).elements))
    return int(stat["leaf_pages"] + stat["branch_pages"] + stat["overflow_pages"])


def entries(store: Store) -> int:
    return int(store.read(lambda keys: keys.txn.stat(space_of(keys).elements))["entries"])


def get_range(store: Store, start: int, end: int) -> Any:
    return store.read(lambda keys: strings.get_range(keys, b"k", start, end))


def set_range(store: Store, offset: int, patch: bytes) -> None:
    store.write(lambda keys: strings.set_range(keys, b"k", offset, patch))


def name_of(piece: int) -> bytes:
    return layout.number(1) + piece.to_bytes(4, "big")


@pytest.mark.parametrize("old", [0, 5, PIECE_BYTES, PIECE_BYTES + 5])
def test_zeros_between_far_places_are_not_stored(store: Store, old: int) -> None:
    store.write(lambda keys: strings.put(keys, b"k", b"o" * old))
    store.write(lambda keys: strings.set_range(keys, b"k", FAR, b"x"))
    assert entries(store) == pieces_of(FAR + 1)
    assert stored_pages(store) < 3 * 16 + 20
    assert store.read(lambda keys: strings.get(keys, b"k")) == b"o" * old + bytes(FAR - old) + b"x"
    for start in (0, old, PIECE_BYTES, 7 * PIECE_BYTES - 1, FAR - 5):
        assert get_range(store, start, start + 6) == (b"o" * old + bytes(FAR - old) + b"x")[start : start + 6]


def test_zeros_that_are_given_are_not_stored_either(store: Store) -> None:
    store.write(lambda keys: strings.put(keys, b"k", bytes(100 * PIECE_BYTES + 3)))
    assert stored_pages(store) < 5
    store.write(lambda keys: strings.append(keys, b"k", bytes(100 * PIECE_BYTES)))
    assert stored_pages(store) < 10
    assert store.read(lambda keys: strings.get(keys, b"k")) == bytes(200 * PIECE_BYTES + 3)


def test_holes_are_filled_and_come_back(store: Store) -> None:
    """Wherever one writes: the last piece stands for more zeros when the string has grown."""
    model = bytearray(3 * PIECE_BYTES + 5)
    store.write(lambda keys: strings.put(keys, b"k", bytes(model)))
    for offset, patch in (
        (PIECE_BYTES + 3, b"inside"),
        (3 * PIECE_BYTES + 9, b"behind"),
        (2 * PIECE_BYTES - 2, b"over a seam"),
        (PIECE_BYTES, bytes(PIECE_BYTES)),
        (6 * PIECE_BYTES, b"further"),
    ):
        set_range(store, offset, patch)
        model.extend(bytes(max(0, offset - len(model))))
        model[offset : offset + len(patch)] = patch
        assert store.read(lambda keys: strings.get(keys, b"k")) == bytes(model)
        assert store.problems() == []
    assert store.read(lambda keys: keys.txn.get(name_of(1), None, space_of(keys).elements)) == layout.hole(name_of(1))


def test_a_copy_has_the_same_holes_and_seals_of_its_own(store: Store) -> None:
    data = b"a" * PIECE_BYTES + bytes(PIECE_BYTES) + b"b" * PIECE_BYTES + b"end"
    store.write(lambda keys: strings.put(keys, b"k", data))
    store.write(lambda keys: strings.copy(keys, keys.find(b"k") or b"", keys, b"copy"))
    assert store.read(lambda keys: strings.get(keys, b"copy")) == data
    assert store.problems() == []
    other = layout.number(2) + name_of(1)[8:]
    assert store.read(lambda keys: keys.txn.get(other, None, space_of(keys).elements)) == layout.hole(other)


def test_inverted_zeros_are_stored_and_inverted_ones_are_holes(store: Store) -> None:
    data = b"a" * PIECE_BYTES + bytes(PIECE_BYTES) + b"\xff" * PIECE_BYTES + b"end"
    store.write(lambda keys: strings.put(keys, b"k", data))

    def invert(keys: WritableKeyspace) -> None:
        own = Pieces(keys.transaction, keys.writable_space().elements, 2, len(data))
        strings.Stored(keys, keys.find(b"k") or b"").write_inverted_into(own, 0, 4)
        assert own.read(0, len(data)) == bytes(byte ^ 255 for byte in data)
        other = layout.number(2) + name_of(2)[8:]
        assert keys.txn.get(other, None, own.elements) == layout.hole(other)
        own.remove(0, 4)

    store.write(invert)
    assert store.problems() == []


@pytest.mark.parametrize("piece", [0, 1, 3])
def test_damage_is_not_copied(store: Store, piece: int) -> None:
    def copy(keys: WritableKeyspace) -> None:
        record = keys.find(b"k")
        assert record is not None
        strings.copy(keys, record, keys, b"copy")

    def flip(keys: WritableKeyspace) -> None:
        raw = keys.txn.get(name_of(piece), None, keys.writable_space().elements)
        assert raw is not None
        keys.txn.put(name_of(piece), bytes((raw[0] ^ 1,)) + raw[1:], db=keys.writable_space().elements)

    data = b"a" * PIECE_BYTES + bytes(PIECE_BYTES) + b"b" * PIECE_BYTES + b"end"
    store.write(lambda keys: strings.put(keys, b"k", data))
    store.write(flip)
    transaction = store.begin()
    with pytest.raises(Damaged):
        copy(WritableKeyspace(transaction, 0))
    transaction.abort()
    store.write(flip)


def damaged_holes() -> list[Any]:
    hole = layout.hole(name_of(2))
    cases: list[Any] = [
        (f"bit {bit}", (int.from_bytes(hole, "big") ^ 1 << bit).to_bytes(4, "big")) for bit in range(32)
    ]
    return [*cases, ("another's", layout.hole(name_of(1))), ("none", None), ("empty", b""), ("zeros", bytes(4))]


@pytest.mark.parametrize(("what", "instead"), damaged_holes(), ids=[what for what, _ in damaged_holes()])
def test_a_changed_hole_is_damage(store: Store, what: str, instead: bytes | None) -> None:
    def change(keys: WritableKeyspace, value: bytes | None) -> None:
        elements = keys.writable_space().elements
        if value is None:
            keys.txn.delete(name_of(2), b"", elements)
        else:
            keys.txn.put(name_of(2), value, db=elements)

    store.write(lambda keys: strings.put(keys, b"k", bytes(4 * PIECE_BYTES)))
    store.write(lambda keys: change(keys, instead))
    with pytest.raises(CommandError, match="damaged"):
        store.read(lambda keys: strings.get(keys, b"k"))
    assert len(store.problems()) == 1
    store.write(lambda keys: change(keys, layout.hole(name_of(2))))


def test_who_does_not_know_of_holes_takes_them_for_damage() -> None:
    """An older Keyp judges by `is_intact` alone."""
    for piece in range(1000):
        assert not layout.is_intact(name_of(piece), layout.hole(name_of(piece)))
