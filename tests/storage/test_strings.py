"""Strings in one piece and in several: every edge of a piece, and a model that is a plain `bytes`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyp.errors import CommandError
from keyp.storage.check import check
from keyp.storage.keys.keyspace import KEEP_DEADLINE, WritableKeyspace
from keyp.storage.keys.sweep import collect_garbage
from keyp.storage.lmdb import layout, pieces
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.transaction import ReadTransaction, WriteTransaction
from keyp.storage.types import strings
from keyp.storage.value_types import LIST
from tests.scratch import scratch_directory

PIECE = pieces.PIECE_BYTES
EDGES = [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE - 1, 2 * PIECE, 2 * PIECE + 1, 3 * PIECE]


def some(length: int) -> bytes:
    """Bytes that are nowhere the same as a piece earlier or later."""
    return b"".join([number.to_bytes(4, "big") for number in range(length // 4 + 1)])[:length]


@pytest.mark.parametrize("length", EDGES)
def test_put_and_read(store: Any, length: int) -> None:
    data = some(length)
    store.write(lambda keys: strings.put(keys, b"k", data))
    assert store.read(lambda keys: strings.get(keys, b"k")) == data
    assert store.read(lambda keys: strings.length(keys, b"k")) == length
    in_pieces = store.read(lambda keys: bool(keys.find(b"k")[0] & layout.HAS_ELEMENTS))
    assert in_pieces == (length > PIECE)


@pytest.mark.parametrize("length", [3 * PIECE, 3 * PIECE - 1])
def test_every_range_between_edges(store: Any, length: int) -> None:
    data = some(length)
    store.write(lambda keys: strings.put(keys, b"k", data))
    edges = [edge for edge in EDGES if edge <= length]
    for start in edges:
        for stop in edges:
            found = store.read(lambda keys, start=start, stop=stop: strings.get_range(keys, b"k", start, stop))
            assert found == data[start:stop]


@pytest.mark.parametrize("old", EDGES)
@pytest.mark.parametrize("new", [0, PIECE, PIECE + 1, 2 * PIECE + 1])
def test_put_over_another(store: Any, old: int, new: int) -> None:
    store.write(lambda keys: strings.put(keys, b"k", b"o" * old))
    store.write(lambda keys: strings.put(keys, b"k", some(new)))
    assert store.read(lambda keys: strings.get(keys, b"k")) == some(new)
    swept = store.begin()
    collect_garbage(swept, 1 << 30)
    swept.commit()
    left = store.read(lambda keys: keys.txn.stat(keys.space.elements)["entries"])
    assert left == (0 if new <= PIECE else -(-new // PIECE))


@pytest.mark.parametrize("old", EDGES)
@pytest.mark.parametrize("tail", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 1])
def test_append(store: Any, old: int, tail: int) -> None:
    store.write(lambda keys: strings.put(keys, b"k", some(old)))
    lengths: list[int] = []
    store.write(lambda keys: lengths.append(strings.append(keys, b"k", b"t" * tail)))
    assert lengths == [old + tail]
    assert store.read(lambda keys: strings.get(keys, b"k")) == some(old) + b"t" * tail


@pytest.mark.parametrize("old", [None, *EDGES])
@pytest.mark.parametrize("offset", [0, 1, PIECE - 1, PIECE, 2 * PIECE, 2 * PIECE + 5])
@pytest.mark.parametrize("patch", [1, PIECE + 1])
def test_set_range(store: Any, old: int | None, offset: int, patch: int) -> None:
    model = bytearray(b"" if old is None else some(old))
    if old is not None:
        store.write(lambda keys: strings.put(keys, b"k", some(old)))
    lengths: list[int] = []
    store.write(lambda keys: lengths.append(strings.set_range(keys, b"k", offset, b"p" * patch)))
    model.extend(bytes(max(0, offset - len(model))))
    model[offset : offset + patch] = b"p" * patch
    assert store.read(lambda keys: strings.get(keys, b"k")) == bytes(model)
    assert lengths == [len(model)]


@pytest.mark.parametrize("length", [5, 2 * PIECE])
def test_deadlines(store: Any, length: int) -> None:
    def deadline(keys: Any) -> int:
        return layout.record_deadline_ms(keys.find(b"k"))

    until = store.now_ms + 10
    store.write(lambda keys: strings.put(keys, b"k", some(length), until))
    assert store.read(deadline) == until
    store.write(lambda keys: strings.append(keys, b"k", b"more"))
    store.write(lambda keys: strings.set_range(keys, b"k", 1, b"patch"))
    store.write(lambda keys: strings.put(keys, b"k", some(length + 1), KEEP_DEADLINE))
    assert store.read(deadline) == until
    store.write(lambda keys: strings.put(keys, b"k", some(length)))
    assert store.read(deadline) == layout.NO_DEADLINE


@pytest.mark.parametrize("name", [b"", b"k", b"n" * 479, b"n" * 480, b"n" * 100_000], ids=len)
@pytest.mark.parametrize("length", [5, 2 * PIECE])
def test_copy_and_rename(store: Any, name: bytes, length: int) -> None:
    def copy_and_rename(keys: WritableKeyspace) -> None:
        record = keys.find(b"from")
        assert record is not None
        strings.copy(keys, record, keys, b"copy")
        keys.rename(b"from", record, name)

    store.write(lambda keys: strings.put(keys, b"from", some(length), store.now_ms + 10))
    store.write(lambda keys: strings.put(keys, name, some(2 * PIECE)))
    store.write(copy_and_rename)
    assert store.read(lambda keys: strings.get(keys, b"from")) is None
    for key in (b"copy", name):
        assert store.read(lambda keys, key=key: strings.get(keys, key)) == some(length)
        assert store.read(lambda keys, key=key: layout.record_deadline_ms(keys.find(key))) == store.now_ms + 10


def test_another_type_is_refused(store: Any) -> None:
    store.write(lambda keys: keys.put(b"k", None, LIST, 0, b""))
    for act in (
        lambda keys: strings.get(keys, b"k"),
        lambda keys: strings.length(keys, b"k"),
        lambda keys: strings.get_range(keys, b"k", 0, 1),
    ):
        with pytest.raises(CommandError, match="WRONGTYPE"):
            store.read(act)


@pytest.mark.parametrize("length", [0, 1, 100, pieces.PIECE_BYTES, 3 * pieces.PIECE_BYTES + 9])
def test_parts_are_read_one_by_one(store: Any, length: int) -> None:
    data = bytes(range(256)) * (length // 256 + 1)
    store.write(lambda keys: strings.put(keys, b"k", data[:length]))

    def parts(keys: Any) -> None:
        record = keys.find(b"k")
        assert strings.length_of(record) == length
        for start, stop in ((0, length), (length // 3, length), (length // 2, length // 2 + 1), (length, length)):
            found = list(strings.parts(keys, record, start, min(stop, length)))
            assert b"".join(found) == data[start : min(stop, length)]
            assert all(0 < len(part) <= pieces.PIECE_BYTES for part in found)

    store.read(parts)


@pytest.mark.parametrize("length", [1, 100_000])
def test_a_value_may_be_put_as_one_that_was_edited(store: Any, length: int) -> None:
    store.write(lambda keys: strings.put(keys, b"k", bytes(length), 0, layout.EDITED))
    assert store.read(lambda keys: keys.find(b"k")[0] & layout.EDITED)
    assert store.read(lambda keys: strings.get(keys, b"k")) == bytes(length)
    store.write(lambda keys: strings.put(keys, b"k", bytes(length)))
    assert not store.read(lambda keys: keys.find(b"k")[0] & layout.EDITED)


@pytest.mark.parametrize(
    ("old", "new", "in_place"),
    [
        (3 * PIECE, 3 * PIECE, True),
        (PIECE + 1, 40 * PIECE, True),
        (strings.SURPLUS_MAX * PIECE, PIECE + 1, True),
        ((strings.SURPLUS_MAX + 3) * PIECE, PIECE + 1, False),
        (2 * PIECE, PIECE, False),
    ],
)
def test_a_long_string_is_written_over_another(store: Any, old: int, new: int, in_place: bool) -> None:
    """In its pieces where that is not more work than the new string is; the sweeper has nothing to do then."""
    store.write(lambda keys: strings.put(keys, b"k", some(old), store.now_ms + 10))
    before = store.read(lambda keys: layout.record_elements(keys.find(b"k"))[0])
    store.write(lambda keys: strings.put(keys, b"k", some(new)))
    assert store.read(lambda keys: strings.get(keys, b"k")) == some(new)
    assert not store.read(lambda keys: layout.record_deadline_ms(keys.find(b"k")))
    assert store.problems() == []
    if in_place:
        assert store.read(lambda keys: layout.record_elements(keys.find(b"k"))[0]) == before
    assert (store.sweep() == 0) == in_place


def test_damage_in_a_string_that_is_written_over_does_not_matter(store: Any) -> None:
    store.write(lambda keys: strings.put(keys, b"k", some(3 * PIECE)))
    with store.environment.lmdb.begin(write=True) as txn:
        elements = store.environment.spaces[1].elements
        names = list(txn.cursor(elements).iternext(values=False))
        for name in names[1:]:
            txn.put(name, b"damaged", db=elements)
        txn.delete(names[0], b"", elements)
    store.write(lambda keys: strings.put(keys, b"k", some(2 * PIECE + 1)))
    assert store.read(lambda keys: strings.get(keys, b"k")) == some(2 * PIECE + 1)


SMALL_PIECE = 7
sizes = st.integers(0, 4 * SMALL_PIECE)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), sizes, st.just(0)),
        st.tuples(st.just("append"), sizes, st.just(0)),
        st.tuples(st.just("set_range"), sizes.filter(bool), sizes),
        st.tuples(st.just("get_range"), sizes, sizes),
        st.tuples(st.just("remove"), st.just(0), st.just(0)),
        st.tuples(st.just("sweep"), st.integers(1, 5), st.just(0)),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def environment() -> Iterator[Environment]:
    with scratch_directory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE_BYTES", SMALL_PIECE)
        patch.setattr(strings, "SURPLUS_MAX", 1)
        environment = Environment(str(Path(directory) / "store"), fsync=NO)
        yield environment
        environment.close()


@settings(deadline=None)
@given(steps=steps)
def test_a_string_is_what_a_plain_one_would_be(environment: Environment, steps: list[tuple[str, int, int]]) -> None:
    transaction = WriteTransaction(environment, 1)
    transaction.version += 1
    keys = WritableKeyspace(transaction, 0)
    keys.remove(b"k")
    model: bytes | None = None
    for number, (step, size, at) in enumerate(steps):
        data = bytes([number + 1]) * size
        if step == "put":
            strings.put(keys, b"k", data)
            model = data
        elif step == "append":
            model = (model or b"") + data
            assert strings.append(keys, b"k", data) == len(model)
        elif step == "set_range":
            model = (model or b"")[:at].ljust(at, b"\0") + data + (model or b"")[at + size :]
            assert strings.set_range(keys, b"k", at, data) == len(model)
        elif step == "get_range":
            start, stop = min(at, len(model or b"")), min(size, len(model or b""))
            assert strings.get_range(keys, b"k", start, stop) == (model or b"")[start:stop]
        elif step == "remove":
            assert keys.remove(b"k") == (model is not None)
            model = None
        else:
            collect_garbage(transaction, size)
        assert strings.get(keys, b"k") == model
        assert strings.length(keys, b"k") == len(model or b"")
    transaction.commit()
    with ReadTransaction(environment, 1) as snapshot:
        assert check(snapshot) == []
