"""Bytes on disk: what is written is what is read, and the order of bytes is the order of numbers."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyp.storage.lmdb import layout
from keyp.storage.value_types import LIST, STREAM, STRING

LENGTHS = (0, 1, 447, 448, 479, 480, 481, 511, 512, 100_000)
NAMES = [b"\0", *[b"n" * length for length in LENGTHS]]


@pytest.mark.parametrize("name", NAMES, ids=len)
def test_a_stored_name_fits_and_leaves_room_for_an_index(name: bytes) -> None:
    stored = layout.stored_name(name)
    assert 1 <= len(stored) <= layout.STORED_NAME_MAX
    assert len(layout.expiry_entry(1, stored)) <= 511


def test_names_of_up_to_479_bytes_are_stored_as_they_are() -> None:
    for name in NAMES:
        assert (layout.stored_name(name) == name) == (1 <= len(name) <= 479)


def test_different_names_are_stored_differently() -> None:
    # A long name's stored form is itself a name, and a name that only adds zeros is another name.
    names = [*NAMES, *[layout.stored_name(name) for name in NAMES if len(name) > 479 or not name]]
    names += [name + b"\0" for name in NAMES] + [b"n" * 512 + b"x", b"n" * 479 + b"x"]
    assert len({layout.stored_name(name) for name in names}) == len(set(names))


@given(st.binary(max_size=600), st.binary(max_size=600))
def test_stored_names_keep_the_order_of_their_first_bytes(one: bytes, other: bytes) -> None:
    if one[:448] < other[:448] and one and other and b"\0" not in one + other:
        assert layout.stored_name(one) < layout.stored_name(other)


versions = st.integers(0, 2**64 - 1)
deadlines = st.just(layout.NO_DEADLINE) | st.integers(1, 2**63 - 1)


@given(
    name=st.sampled_from(NAMES) | st.binary(max_size=600),
    type_=st.integers(STRING, STREAM),
    flags=st.sampled_from([0, layout.EDITED, layout.FLOAT]),
    version=versions,
    deadline_ms=deadlines,
    body=st.binary(max_size=50),
)
def test_records_round_trip(name: bytes, type_: int, flags: int, version: int, deadline_ms: int, body: bytes) -> None:
    record = layout.make_record(layout.stored_name(name), name, type_, flags, version, deadline_ms, body)
    assert layout.record_type(record) == type_
    assert layout.record_version(record) == version
    assert layout.record_deadline_ms(record) == deadline_ms
    assert layout.record_name(layout.stored_name(name), record) == name
    assert layout.record_body(record) == body
    assert layout.is_intact(layout.stored_name(name), record)
    assert record[0] & (layout.EDITED | layout.FLOAT) == flags


@given(versions, versions, deadlines, st.sampled_from(NAMES), st.binary(max_size=9))
def test_collections_round_trip(collection: int, count: int, deadline_ms: int, name: bytes, rest: bytes) -> None:
    body = layout.number(collection) + layout.number(count) + rest
    record = layout.make_record(layout.stored_name(name), name, LIST, layout.HAS_ELEMENTS, 7, deadline_ms, body)
    assert layout.record_elements(record) == (collection, count)


@given(versions, versions)
def test_numbers_sort_as_numbers(one: int, other: int) -> None:
    assert (layout.number(one) < layout.number(other)) == (one < other)
    assert layout.read_number(b"x" + layout.number(one), 1) == one


@given(st.lists(versions))
def test_lists_of_numbers_round_trip(numbers: list[int]) -> None:
    assert layout.unpack_numbers(layout.pack_numbers(numbers)) == numbers


@given(st.binary(min_size=1, max_size=20), st.binary(max_size=60), st.data())
def test_a_seal_tells_every_changed_bit_and_every_wrong_place(name: bytes, body: bytes, data: st.DataObject) -> None:
    raw = layout.with_checksum(name, body)
    assert layout.is_intact(name, raw)
    at = data.draw(st.integers(0, len(raw) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    assert not layout.is_intact(name, raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :])
    other = data.draw(st.binary(min_size=len(name), max_size=len(name)).filter(lambda text: text != name))
    assert layout.is_intact(other, raw) == (zlib.crc32(other) == zlib.crc32(name))
