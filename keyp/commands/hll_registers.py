"""How a HyperLogLog lies in its string: the reference's own bytes, so that strings can be exchanged both ways.

A HyperLogLog has 16384 registers of six bits. Its string is a header and the registers in one of two forms:

    HYLL                4
    form                1    0 dense, 1 sparse
    nothing             3
    cached cardinality  8    little-endian; the highest bit says that it is out of date
    registers

- Dense: the registers one after the other, from the lowest bit of the first byte on.
- Sparse: runs of equal registers, each an opcode of a byte or two:

      00nnnnnn             ZERO: n + 1 registers are 0
      01nnnnnn nnnnnnnn    XZERO: n + 1 registers are 0
      1vvvvvnn             VAL: n + 1 registers are v + 1

A sparse one becomes dense when a register exceeds 32 or the string would exceed a limit. Which of several spellings a
sparse one has depends on the order of what was added, and `Sparse.put` takes the reference's steps to get there.

Registers as a whole are `bytes`, one for each; where all of them are combined they are one long integer, a byte a
register.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

REGISTERS: Final = 1 << 14

HEADER_BYTES: Final = 16
FORM_AT: Final = 4
CACHE_AT: Final = 8
OUT_OF_DATE: Final = 0x80  # in the last byte of the cached cardinality
DENSE: Final = 0
SPARSE: Final = 1

PACKED_BYTES: Final = REGISTERS * 6 // 8
DENSE_BYTES: Final = HEADER_BYTES + PACKED_BYTES

# The kinds of run; a VAL's is its value, 1 to 32.
XZERO: Final = -1
ZERO: Final = 0
VALUE_MAX: Final = 32
VALUE_RUN_MAX: Final = 4
ZERO_RUN_MAX: Final = 64

# What became of a register that was put.
UNCHANGED: Final = 0
CHANGED: Final = 1
NO_ROOM: Final = 2

EMPTY: Final = b"HYLL" + bytes((SPARSE,)) + bytes(11) + b"\x7f\xff"

# A byte a lane: a quarter of the registers at once.
_LANES: Final = int.from_bytes(b"\1" * (REGISTERS // 4), "little")
_LOW_2: Final = 0x03 * _LANES
_LOW_4: Final = 0x0F * _LANES
_LOW_6: Final = 0x3F * _LANES
_HIGHEST: Final = int.from_bytes(b"\x80" * REGISTERS, "little")


class Corrupted(Exception):
    """The runs of a sparse HyperLogLog do not make up its registers."""


def is_hyperloglog(head: bytes, length: int) -> bool:
    """Whether a string of `length` bytes that begins with `head` is a HyperLogLog, as far as its header tells."""
    if len(head) < HEADER_BYTES or head[:FORM_AT] != EMPTY[:FORM_AT]:
        return False
    return head[FORM_AT] == SPARSE or (head[FORM_AT] == DENSE and length == DENSE_BYTES)


def is_dense(data: bytes) -> bool:
    """Whether a HyperLogLog is a dense one."""
    return data[FORM_AT] == DENSE


def cached_cardinality(data: bytes) -> int | None:
    """The cardinality in the header, None where it is out of date."""
    if data[HEADER_BYTES - 1] & OUT_OF_DATE:
        return None
    return int.from_bytes(data[CACHE_AT:HEADER_BYTES], "little")


def header(data: bytes, form: int) -> bytes:
    """The header of a HyperLogLog that gets another form and keeps the values of its registers."""
    return data[:FORM_AT] + bytes((form,)) + data[FORM_AT + 1 : HEADER_BYTES]


def changed_header(data: bytes, form: int) -> bytes:
    """As `header`, after the values have changed."""
    return header(data, form)[:-1] + bytes((data[HEADER_BYTES - 1] | OUT_OF_DATE,))


def registers(data: bytes) -> bytes:
    """All registers of a HyperLogLog. Raises `Corrupted`."""
    return unpack(data[HEADER_BYTES:]) if is_dense(data) else Sparse(data).registers()


def unpack(packed: bytes) -> bytes:
    """The registers that `pack` packed: each four of them are three bytes."""
    first = int.from_bytes(packed[0::3], "little")
    second = int.from_bytes(packed[1::3], "little")
    third = int.from_bytes(packed[2::3], "little")
    result = bytearray(REGISTERS)
    result[0::4] = _lanes(first & _LOW_6)
    result[1::4] = _lanes(first >> 6 & _LOW_2 | (second & _LOW_4) << 2)
    result[2::4] = _lanes(second >> 4 & _LOW_4 | (third & _LOW_2) << 4)
    result[3::4] = _lanes(third >> 2 & _LOW_6)
    return bytes(result)


def pack(values: bytes) -> bytes:
    """Registers in the dense form."""
    first = int.from_bytes(values[0::4], "little")
    second = int.from_bytes(values[1::4], "little")
    third = int.from_bytes(values[2::4], "little")
    fourth = int.from_bytes(values[3::4], "little")
    result = bytearray(PACKED_BYTES)
    result[0::3] = _lanes(first | (second & _LOW_2) << 6)
    result[1::3] = _lanes(second >> 2 & _LOW_4 | (third & _LOW_4) << 4)
    result[2::3] = _lanes(third >> 4 & _LOW_2 | fourth << 2)
    return bytes(result)


def _lanes(number: int) -> bytes:
    return number.to_bytes(REGISTERS // 4, "little")


def greater(one: bytes, other: bytes) -> bytes:
    """Of each register the greater of two values."""
    a, b = int.from_bytes(one, "little"), int.from_bytes(other, "little")
    not_less = ((a | _HIGHEST) - b) & _HIGHEST  # in each lane the highest bit, where a's is at least b's
    chosen = not_less - (not_less >> 7)
    return (b ^ ((a ^ b) & chosen)).to_bytes(REGISTERS, "little")


def put_dense(data: bytearray, index: int, value: int) -> bool:
    """Raises a register of a dense HyperLogLog to a value; whether it was less."""
    place, shift = HEADER_BYTES + index * 6 // 8, index * 6 % 8
    pair = data[place] | (data[place + 1] << 8 if shift > 2 else 0)
    if pair >> shift & 0x3F >= value:
        return False
    pair = (pair & ~(0x3F << shift)) | value << shift
    data[place] = pair & 0xFF
    if shift > 2:
        data[place + 1] = pair >> 8
    return True


class Sparse:
    """The runs of a sparse HyperLogLog: for each its kind and the register it starts with."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)  # of the string, header included
        self.kinds: list[int] = []
        self.starts: list[int] = []
        self.end = 0  # behind the last register of the last run
        place = HEADER_BYTES
        while place < len(data):
            opcode = data[place]
            place += 1
            self.starts.append(self.end)
            if opcode & 0x80:
                self.kinds.append((opcode >> 2 & 31) + 1)
                self.end += (opcode & 3) + 1
            elif opcode & 0x40:
                self.kinds.append(XZERO)
                low = data[place] if place < len(data) else 0
                self.end += (opcode & 63) << 8 | low
                self.end += 1
                place += 1
            else:
                self.kinds.append(ZERO)
                self.end += opcode + 1

    def _run(self, at: int) -> int:
        """How many registers the run at an index has."""
        after = self.starts[at + 1] if at + 1 < len(self.starts) else self.end
        return after - self.starts[at]

    def put(self, index: int, value: int, max_bytes: int) -> int:
        """Raises a register to a value: UNCHANGED where it is not less, NO_ROOM where only a dense one can hold it.

        NO_ROOM changes nothing. Raises `Corrupted` where no run has the register.
        """
        if value > VALUE_MAX:
            return NO_ROOM
        if index >= self.end:
            raise Corrupted
        at = bisect_right(self.starts, index) - 1
        kind = self.kinds[at]
        if kind >= value:
            return UNCHANGED
        if kind != XZERO and self._run(at) == 1:
            self.kinds[at] = value
        elif not self._split(at, index, value, max_bytes):
            return NO_ROOM
        self._join(max(at - 1, 0))
        return CHANGED

    def _split(self, at: int, index: int, value: int, max_bytes: int) -> bool:
        """Puts a run of its own for one register into the run that has it; whether there is room for that."""
        kind, first, run = self.kinds[at], self.starts[at], self._run(at)
        kinds: list[int] = []
        starts: list[int] = []
        before, behind = index - first, first + run - 1 - index
        if before:
            kinds.append(_rest(kind, before))
            starts.append(first)
        kinds.append(value)
        starts.append(index)
        if behind:
            kinds.append(_rest(kind, behind))
            starts.append(index + 1)
        growth = len(kinds) + kinds.count(XZERO) - (2 if kind == XZERO else 1)
        if growth > 0 and self.size + growth > max_bytes:
            return False
        self.kinds[at : at + 1] = kinds
        self.starts[at : at + 1] = starts
        self.size += growth
        return True

    def _join(self, at: int) -> None:
        """Joins neighbours of equal value. As the reference, it takes five steps from a run on and no more."""
        for _ in range(5):
            if at + 1 >= len(self.kinds):
                return
            equal = self.kinds[at] > 0 and self.kinds[at] == self.kinds[at + 1]
            if equal and self._run(at) + self._run(at + 1) <= VALUE_RUN_MAX:
                del self.kinds[at + 1]
                del self.starts[at + 1]
                self.size -= 1
            else:
                at += 1

    def body(self) -> bytes:
        """The opcodes."""
        result = bytearray()
        for at, kind in enumerate(self.kinds):
            run = self._run(at) - 1
            if kind == ZERO:
                result.append(run)
            elif kind == XZERO:
                result.append(0x40 | run >> 8)
                result.append(run & 0xFF)
            else:
                result.append(0x80 | (kind - 1) << 2 | run)
        return bytes(result)

    def registers(self) -> bytes:
        """All registers. Raises `Corrupted`."""
        if self.end != REGISTERS:
            raise Corrupted
        return b"".join([bytes((max(kind, 0),)) * self._run(at) for at, kind in enumerate(self.kinds)])

    def text(self) -> str:
        """The runs for people to read, in the reference's notation."""
        words: list[str] = []
        for at, kind in enumerate(self.kinds):
            run = self._run(at)
            if kind > 0:
                words.append(f"v:{kind},{run}")
            else:
                words.append(f"{'Z' if kind == XZERO else 'z'}:{run}")
        return " ".join(words)


def _rest(kind: int, run: int) -> int:
    """The kind of what is left of a run, now of `run` registers."""
    if kind > 0:
        return kind
    return XZERO if run > ZERO_RUN_MAX else ZERO
