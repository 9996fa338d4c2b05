"""Hashes and estimates, some as a real server gave them."""

from __future__ import annotations

import pytest

from keyp.algorithms import hll_registers as hll
from keyp.algorithms.hll_estimate import estimate, murmur_hash, register_of
from keyp.algorithms.hll_registers import REGISTERS


@pytest.mark.parametrize("length", range(20))
def test_a_hash_has_64_bits_and_depends_on_every_byte(length: int) -> None:
    data = bytes(range(length))
    hashed = murmur_hash(data)
    assert 0 <= hashed < 1 << 64
    others = [data + b"\0"] + [data[:at] + b"\xff" + data[at + 1 :] for at in range(length)]
    assert hashed not in map(murmur_hash, others)


@pytest.mark.parametrize(
    ("element", "runs"),
    [
        (b"", (5938, 2)),
        (b"a", (12711, 2)),
        (b"hello", (9216, 1)),
        (b"12345678", (10579, 3)),
        (b"123456789", (9293, 2)),
        (b"\xff" * 15, (12391, 4)),
        (b"x" * 1000, (11258, 1)),
    ],
)
def test_registers_that_a_real_server_chose(element: bytes, runs: tuple[int, int]) -> None:
    assert register_of(element) == runs


@pytest.mark.parametrize("count", [0, 1, 2, 10, 100, 1000, 10_000, 50_000])
def test_estimates_are_near(count: int) -> None:
    values = bytearray(REGISTERS)
    for number in range(count):
        index, value = register_of(b"element %d" % number)
        values[index] = max(values[index], value)
    assert abs(estimate(bytes(values)) - count) <= 0.03 * count


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (1, 23637),
        (2, 47274),
        (25, 396564993198),
        (50, -9223372036854775808),
        (51, -9223372036854775808),
        (63, -9223372036854775808),
    ],
)
def test_equal_registers(value: int, expected: int) -> None:
    assert estimate(bytes((value,)) * REGISTERS) == expected
    assert hll.registers(hll.header(hll.EMPTY, hll.DENSE) + hll.pack(bytes((value,)) * REGISTERS))[0] == value
