"""The bytes of a HyperLogLog: both forms are what registers one by one would be."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyp.algorithms import hll_registers as hll
from keyp.algorithms.hll_registers import REGISTERS, Corrupted, Sparse

HEADER = hll.EMPTY[: hll.HEADER_BYTES]
NO_LIMIT = 1 << 30

some_registers = st.dictionaries(
    st.one_of(st.sampled_from([0, 1, 2, 3, 4095, 16380, 16383]), st.integers(0, REGISTERS - 1)), st.integers(0, 63)
)
# Few registers and few values, so that runs meet.
puts = st.lists(st.tuples(st.integers(0, 40) | st.integers(16370, 16383), st.integers(1, 3)), max_size=60)


def as_bytes(values: dict[int, int]) -> bytes:
    result = bytearray(REGISTERS)
    for index, value in values.items():
        result[index] = value
    return bytes(result)


def dense(values: bytes) -> bytes:
    return hll.header(HEADER, hll.DENSE) + hll.pack(values)


def read_bits(packed: bytes, index: int) -> int:
    return int.from_bytes(packed, "little") >> index * 6 & 63


@given(some_registers)
def test_packing(values: dict[int, int]) -> None:
    packed = hll.pack(as_bytes(values))
    assert len(packed) == hll.PACKED_BYTES
    assert {index: read_bits(packed, index) for index in values} == values
    assert hll.unpack(packed) == as_bytes(values)
    assert hll.registers(dense(as_bytes(values))) == as_bytes(values)


@given(some_registers, some_registers)
def test_the_greater_of_two(one: dict[int, int], other: dict[int, int]) -> None:
    expected = {index: max(one.get(index, 0), other.get(index, 0)) for index in [*one, *other]}
    assert hll.greater(as_bytes(one), as_bytes(other)) == as_bytes(expected)


@given(some_registers, st.lists(st.tuples(st.integers(0, REGISTERS - 1) | st.just(16383), st.integers(1, 51))))
def test_putting_into_a_dense_one(values: dict[int, int], pairs: list[tuple[int, int]]) -> None:
    data = bytearray(dense(as_bytes(values)))
    model = bytearray(as_bytes(values))
    for index, value in pairs:
        assert hll.put_dense(data, index, value) == (model[index] < value)
        model[index] = max(model[index], value)
    assert hll.registers(bytes(data)) == bytes(model)


@given(puts, st.sampled_from([20, 25, 40, NO_LIMIT]))
def test_putting_into_a_sparse_one(pairs: list[tuple[int, int]], limit: int) -> None:
    sparse = Sparse(hll.EMPTY)
    model = bytearray(REGISTERS)
    for index, value in pairs:
        before = sparse.body()
        outcome = sparse.put(index, value, limit)
        if outcome == hll.NO_ROOM:
            assert sparse.size + 4 > limit
            assert sparse.body() == before
            break
        assert (outcome == hll.CHANGED) == (model[index] < value)
        model[index] = max(model[index], value)
        data = HEADER + sparse.body()
        assert len(data) == sparse.size <= max(limit, len(hll.EMPTY))
        assert Sparse(data).registers() == sparse.registers() == bytes(model)


everywhere = st.tuples(st.integers(0, REGISTERS - 1) | st.integers(250, 270), st.integers(1, 3))


@settings(max_examples=max(10, settings().max_examples // 5))
@given(st.lists(everywhere, min_size=50, max_size=400), st.booleans())
def test_marks_only_shorten_the_way(pairs: list[tuple[int, int]], in_order: bool) -> None:
    marked = Sparse(hll.EMPTY)
    for index, value in sorted(pairs) if in_order else pairs:
        afresh = Sparse(HEADER + marked.body())
        assert marked.put(index, value, NO_LIMIT) == afresh.put(index, value, NO_LIMIT)
        assert marked.body() == afresh.body()


def test_a_value_that_has_no_opcode() -> None:
    sparse = Sparse(hll.EMPTY)
    assert sparse.put(5, 32, NO_LIMIT) == hll.CHANGED
    assert sparse.put(5, 33, NO_LIMIT) == hll.NO_ROOM
    assert sparse.text() == "z:5 v:32,1 Z:16378"


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ([], "Z:16384"),
        ([(0, 1)], "v:1,1 Z:16383"),
        ([(16383, 2)], "Z:16383 v:2,1"),
        ([(100, 1), (101, 1), (102, 1), (103, 1)], "Z:100 v:1,4 Z:16280"),
        ([(100, 1), (101, 1), (102, 1), (103, 1), (104, 1)], "Z:100 v:1,4 v:1,1 Z:16279"),
        ([(100, 1), (101, 1), (102, 1), (101, 2)], "Z:100 v:1,1 v:2,1 v:1,1 Z:16281"),
        ([(64, 1)], "z:64 v:1,1 Z:16319"),
        ([(65, 1)], "Z:65 v:1,1 Z:16318"),
        ([(70, 1), (68, 1), (69, 1)], "Z:68 v:1,3 Z:16313"),
    ],
)
def test_runs(pairs: list[tuple[int, int]], text: str) -> None:
    sparse = Sparse(hll.EMPTY)
    for index, value in pairs:
        sparse.put(index, value, NO_LIMIT)
    assert sparse.text() == text


@pytest.mark.parametrize(
    ("body", "text"),
    [(b"\x40\x00\x40\x05\x00\x80\x83\x7f\xf2", "Z:1 Z:6 z:1 v:1,1 v:1,4 Z:16371"), (b"\x3f\x7f\xbf", "z:64 Z:16320")],
)
def test_other_spellings_stay_as_they_are(body: bytes, text: str) -> None:
    sparse = Sparse(HEADER + body)
    assert sparse.text() == text
    assert sparse.body() == body
    assert len(sparse.registers()) == REGISTERS


@pytest.mark.parametrize("body", [b"", b"\x7f\xfe", b"\x7f\xff\x00", b"\x7f\xff\x80", b"\x7f", b"\x83" * 4097])
def test_runs_that_do_not_make_up_the_registers(body: bytes) -> None:
    with pytest.raises(Corrupted):
        hll.registers(HEADER + body)


def test_far_too_many_runs_take_no_memory() -> None:
    """Any string may call itself a HyperLogLog, one of half a gigabyte too."""
    data = HEADER + bytes(1 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(Corrupted):
            hll.registers(data)
        sparse = Sparse(data)
        assert sparse.put(16383, 1, NO_LIMIT) == hll.CHANGED
        assert sparse.body().count(0x80) == 1
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_register_that_no_run_has() -> None:
    with pytest.raises(Corrupted):
        Sparse(HEADER + b"\x7f\xfe").put(16383, 1, NO_LIMIT)
    with pytest.raises(Corrupted):
        Sparse(HEADER).put(0, 1, NO_LIMIT)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (hll.EMPTY, True),
        (HEADER, True),
        (HEADER[:-1], False),
        (b"", False),
        (b"hyll" + hll.EMPTY[4:], False),
        (b"HYLL\2" + hll.EMPTY[5:], False),
        (b"HYLL\0" + hll.EMPTY[5:], False),
        (b"HYLL\0" + bytes(hll.DENSE_BYTES - 5), True),
        (b"HYLL\0" + bytes(hll.DENSE_BYTES - 4), False),
    ],
)
def test_headers(data: bytes, expected: bool) -> None:
    assert hll.is_hyperloglog(data[: hll.HEADER_BYTES], len(data)) == expected


def test_the_cached_cardinality() -> None:
    assert hll.cached_cardinality(hll.EMPTY) == 0
    assert hll.cached_cardinality(b"HYLL\1\0\0\0" + (12345).to_bytes(8, "little")) == 12345
    changed = hll.changed_header(b"HYLL\1abc" + (12345).to_bytes(8, "little") + b"rest", hll.DENSE)
    assert changed == b"HYLL\0abc" + (12345).to_bytes(7, "little") + b"\x80"
    assert hll.cached_cardinality(changed) is None
