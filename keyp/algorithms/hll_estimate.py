"""From an element to a register, and from all registers to a number of elements.

An element's hash is MurmurHash64A (Austin Appleby). Its lowest 14 bits choose a register; the register keeps the
greatest number that any of its elements had of zero bits in a row behind those, and one more.

The estimate is that of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", 2017, algorithm 6,
from how many registers have each value. The arithmetic is in Redis's order, so that the last bit agrees.
"""

from __future__ import annotations

from math import floor, inf, sqrt
from typing import Final

from keyp.algorithms.hll_registers import REGISTERS

INDEX_BITS: Final = 14
HASH_BITS: Final = 64 - INDEX_BITS

_SEED: Final = 0xADC83B19
_FACTOR: Final = 0xC6A4A7935BD1E995
_MASK: Final = (1 << 64) - 1

_ALPHA: Final = 0.721347520444481703680  # half the inverse of the natural logarithm of 2

# What Redis makes of an estimate that 63 bits do not hold.
_TOO_MANY: Final = -(1 << 63)


def murmur_hash(data: bytes) -> int:
    """MurmurHash64A of `data` with Redis's seed."""
    result = _SEED ^ (len(data) * _FACTOR & _MASK)
    whole = len(data) & ~7
    for place in range(0, whole, 8):
        block = int.from_bytes(data[place : place + 8], "little") * _FACTOR & _MASK
        block = (block ^ block >> 47) * _FACTOR & _MASK
        result = (result ^ block) * _FACTOR & _MASK
    if whole < len(data):
        result = (result ^ int.from_bytes(data[whole:], "little")) * _FACTOR & _MASK
    result = (result ^ result >> 47) * _FACTOR & _MASK
    return result ^ result >> 47


def register_of(element: bytes) -> tuple[int, int]:
    """The register of an element, and the value it has at least where the element is among those counted."""
    hashed = murmur_hash(element)
    rest = hashed >> INDEX_BITS | 1 << HASH_BITS
    return hashed & (REGISTERS - 1), (rest & -rest).bit_length()


def estimate(values: bytes) -> int:
    """The estimated number of elements."""
    counts = _histogram(values)
    total = REGISTERS * _tau((REGISTERS - counts[HASH_BITS + 1]) / REGISTERS)
    for value in range(HASH_BITS, 0, -1):
        total = (total + counts[value]) * 0.5
    total += REGISTERS * _sigma(counts[0] / REGISTERS)
    result = _ALPHA * REGISTERS * REGISTERS / total if total else inf
    if result >= 1 << 63:
        return _TOO_MANY
    whole = floor(result)
    return whole + 1 if result - whole >= 0.5 else whole


def _histogram(values: bytes) -> list[int]:
    """How many registers have each value from 0 to 63."""
    counts = [0] * 64
    left = len(values)
    for value in range(64):
        if not left:
            break
        counts[value] = values.count(value)
        left -= counts[value]
    return counts


def _sigma(x: float) -> float:
    """The share of registers at 0, corrected."""
    if x == 1:
        return inf
    factor = 1.0
    result = x
    before = -1.0
    while before != result:
        x *= x
        before = result
        result += x * factor
        factor += factor
    return result


def _tau(x: float) -> float:
    """The share of registers at the highest value, corrected."""
    if x in (0, 1):
        return 0.0
    factor = 1.0
    result = 1 - x
    before = -1.0
    while before != result:
        x = sqrt(x)
        before = result
        factor *= 0.5
        result -= (1 - x) * (1 - x) * factor
    return result / 3
