"""How a HyperLogLog lies in its string: Redis's own bytes, so that strings can be exchanged with it.

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
sparse one has depends on the order of what was added, and `Sparse.put` takes Redis's steps to get there.

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

VALUE: Final = 0x80  # the opcode's bit of a VAL
LONG: Final = 0x40  # and of an XZERO
VALUE_MAX: Final = 32
VALUE_RUN_MAX: Final = 4
ZERO_RUN_MAX: Final = 64
JOINED_MAX: Final = 5  # how many runs Redis looks at to join neighbours
CHANGED_MAX: Final = 2 * (JOINED_MAX + 2)  # bytes from a changed run on that joining may reach
MARK_EVERY: Final = 256  # registers

# Of each opcode: how many registers its run has, 0 where that needs a second byte; the registers; its text.
_RUNS: Final = bytes((op & 3) + 1 if op & VALUE else 0 if op & LONG else op + 1 for op in range(256))
_REGISTERS: Final = [bytes(((op >> 2 & 31) + 1 if op & VALUE else 0,)) * _RUNS[op] for op in range(256)]
_TEXTS: Final = [f"v:{(op >> 2 & 31) + 1},{_RUNS[op]}" if op & VALUE else f"z:{_RUNS[op]}" for op in range(256)]

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
    """Whether a string of `length` bytes that begins with `head` is a HyperLogLog, by its header."""
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
    """The runs of a sparse HyperLogLog, as they lie in its string. `size` is that of the string, header included.

    A register's run is found by a walk from the nearest mark before it. Marks are set on the way, at most one in so
    many registers, so that one register costs one walk and many registers cost short ones.
    """

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self.runs = bytearray(data[HEADER_BYTES:])
        # Of each mark: the first register of its run, the run's place, and that of the run before it (0 for the first).
        self._marked = [0]
        self._places = [0]
        self._befores = [0]

    def put(self, index: int, value: int, max_bytes: int) -> int:
        """Raises a register to a value: UNCHANGED where it is not less, NO_ROOM where only a dense one can hold it.

        NO_ROOM changes nothing. Raises `Corrupted` where no run has the register.
        """
        if value > VALUE_MAX:
            return NO_ROOM
        runs = self.runs
        mark = bisect_right(self._marked, index) - 1
        first, place, before = self._marked[mark], self._places[mark], self._befores[mark]
        opcode = run = width = 0
        while place < len(runs):
            opcode = runs[place]
            run, width = _RUNS[opcode], 1
            if not run:
                run, width = _long_run(runs, place), 2
            if index < first + run:
                break
            before = place
            place += width
            first += run
            if first - self._marked[mark] >= MARK_EVERY:
                mark += 1
                self._marked.insert(mark, first)
                self._places.insert(mark, place)
                self._befores.insert(mark, before)
        else:
            raise Corrupted
        if opcode & VALUE and (opcode >> 2 & 31) + 1 >= value:
            return UNCHANGED
        new = _rest(opcode, index - first) + _value_run(value, 1) + _rest(opcode, first + run - 1 - index)
        growth = len(new) - width
        if growth > 0 and self.size + growth > max_bytes:
            return NO_ROOM
        runs[place : place + width] = new
        self._join(before)
        self._move_marks(before, HEADER_BYTES + len(runs) - self.size)
        self.size = HEADER_BYTES + len(runs)
        return CHANGED

    def _join(self, place: int) -> None:
        """Joins neighbours of equal value. As Redis, it takes a few steps from a run on and no more."""
        runs = self.runs
        for _ in range(JOINED_MAX):
            if place + 1 >= len(runs):
                return
            opcode, next_opcode = runs[place], runs[place + 1]
            if not opcode & VALUE:
                place += 2 if opcode & LONG else 1
            elif (opcode ^ next_opcode) < VALUE_RUN_MAX and _RUNS[opcode] + _RUNS[next_opcode] <= VALUE_RUN_MAX:
                runs[place : place + 2] = _value_run((opcode >> 2 & 31) + 1, _RUNS[opcode] + _RUNS[next_opcode])
            else:
                place += 1

    def _move_marks(self, changed: int, growth: int) -> None:
        """Keeps marks true after a change close behind the place `changed`: those close by go, those behind move."""
        mark = bisect_right(self._places, changed)
        while mark < len(self._marked) and self._befores[mark] <= changed + CHANGED_MAX:
            del self._marked[mark], self._places[mark], self._befores[mark]
        for behind in range(mark, len(self._marked)):
            self._places[behind] += growth
            self._befores[behind] += growth

    def body(self) -> bytes:
        """The opcodes."""
        return bytes(self.runs)

    def registers(self) -> bytes:
        """All registers. Raises `Corrupted`; of runs that have too many registers, those behind are not looked at."""
        found: list[bytes] = []
        count = place = 0
        while place < len(self.runs) and count <= REGISTERS:
            part = _REGISTERS[self.runs[place]]
            if not part:
                part = bytes(_long_run(self.runs, place))
                place += 1
            place += 1
            found.append(part)
            count += len(part)
        if count != REGISTERS:
            raise Corrupted
        return b"".join(found)

    def text(self) -> str:
        """The runs for people to read, in Redis's notation."""
        words: list[str] = []
        place = 0
        while place < len(self.runs):
            opcode = self.runs[place]
            if opcode & VALUE or not opcode & LONG:
                words.append(_TEXTS[opcode])
            else:
                words.append(f"Z:{_long_run(self.runs, place)}")
                place += 1
            place += 1
        return " ".join(words)


def _long_run(runs: bytearray, place: int) -> int:
    """How many registers the XZERO at a place has. A second byte that is missing is 0."""
    second = runs[place + 1] if place + 1 < len(runs) else 0
    return ((runs[place] & 0x3F) << 8 | second) + 1


def _value_run(value: int, run: int) -> bytes:
    return (VALUE | (value - 1) << 2 | (run - 1)).to_bytes(1, "big")


def _rest(opcode: int, run: int) -> bytes:
    """What is left of an opcode's run when it has `run` registers; nothing of none."""
    if run == 0:
        return b""
    if opcode & VALUE:
        return _value_run((opcode >> 2 & 31) + 1, run)
    if run > ZERO_RUN_MAX:
        return (LONG << 8 | (run - 1)).to_bytes(2, "big")
    return (run - 1).to_bytes(1, "big")
