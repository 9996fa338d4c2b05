"""BITFIELD: a string as an array of integers of any width, read and changed by several operations in one command.

The operations are read first, all of them, so that an error in the last one leaves the string as it is. They work on
a `Window`, which holds the blocks of the string that they meet; what has changed in them is written at the end, and
nothing else is.

A write makes the string as long as the highest field of all operations needs, even where overflow then forbids every
one of them.
"""

from __future__ import annotations

from typing import Final

from keyp import events
from keyp.command.arguments import INT64_MAX, INT64_MIN, integer, to_int64
from keyp.command.context import ReadContext, WriteContext
from keyp.command.spec import DENYOOM, FAST, Args, key_at
from keyp.command.table import CommandTable
from keyp.commands.bits import BAD_OFFSET, bit_offset, within
from keyp.errors import SYNTAX, CommandError
from keyp.resp.values import Reply
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.types import strings
from keyp.storage.value_types import STRING

BITFIELD = CommandTable(group="bitmap", categories="bitmap")

BAD_TYPE: Final = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
BAD_OVERFLOW: Final = "ERR Invalid OVERFLOW type specified"
READ_ONLY: Final = "ERR BITFIELD_RO only supports the GET subcommand"

# What follows each of the words; GET changes nothing.
OPERANDS: Final[dict[bytes, int]] = {b"GET": 2, b"SET": 3, b"INCRBY": 3, b"OVERFLOW": 1}
OVERFLOWS: Final = (b"WRAP", b"SAT", b"FAIL")

BLOCK_BYTES: Final = 512


class Field:
    """An integer of `bits` bits, from bit `offset` of the string on."""

    def __init__(self, signed: bool, bits: int, offset: int) -> None:
        self.signed = signed
        self.bits = bits
        self.offset = offset

    def number(self, pattern: int) -> int:
        """What the lowest bits of `pattern` stand for in such a field."""
        pattern &= (1 << self.bits) - 1
        return pattern - (1 << self.bits) if self.signed and pattern >> (self.bits - 1) else pattern

    def fitted(self, value: int, overflow: bytes, is_set: bool) -> int | None:
        """`value`, or what the overflow rule makes of one that does not fit; None where it forbids that.

        Redis reads a negative number for an unsigned field, and one so low that its distance to the highest exceeds 64
        bits, as too high when it SETs it.
        """
        high = (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1
        low = -high - 1 if self.signed else 0
        if low <= value <= high:
            return value
        if overflow == b"FAIL":
            return None
        if overflow == b"WRAP":
            return self.number(value)
        too_high = value > high or (is_set and (not self.signed or high - value > INT64_MAX))
        return high if too_high else low


class Operation:
    """GET, SET or INCRBY on a field. `operand` is the value or the increment, `overflow` the rule that holds for it."""

    def __init__(self, word: bytes, field: Field, operand: int, overflow: bytes) -> None:
        self.word = word
        self.field = field
        self.operand = operand
        self.overflow = overflow


class Window:
    """A string as the operations change it; nothing is stored before `save`."""

    def __init__(self, keys: Keyspace, record: bytes | None) -> None:
        self.keys = keys
        self.record = record
        self.length = 0 if record is None else strings.length_of(record)
        self.blocks: dict[int, bytearray] = {}
        self.edits: dict[int, tuple[int, int]] = {}  # of a block: from where to where it has changed

    def _block(self, number: int) -> bytearray:
        block = self.blocks.get(number)
        if block is None:
            start = number * BLOCK_BYTES
            stored = b""
            if self.record is not None:
                stored = strings.part(self.keys, self.record, start, min(start + BLOCK_BYTES, self.length))
            block = self.blocks[number] = bytearray(stored.ljust(BLOCK_BYTES, b"\0"))
        return block

    def get(self, field: Field) -> int:
        """The number in a field."""
        pattern, below = self._surroundings(field)
        return field.number(pattern >> below)

    def _surroundings(self, field: Field) -> tuple[int, int]:
        """The bytes that a field touches, as one number, and how many bits of it are below the field."""
        end = field.offset + field.bits
        pattern = 0
        for place in range(field.offset >> 3, (end + 7) >> 3):
            pattern = pattern << 8 | self._block(place // BLOCK_BYTES)[place % BLOCK_BYTES]
        return pattern, -end & 7

    def put(self, field: Field, value: int) -> None:
        """Makes `value`, which fits, the number in a field."""
        pattern, below = self._surroundings(field)
        mask = ((1 << field.bits) - 1) << below
        pattern = (pattern & ~mask) | (value << below & mask)
        first, last = field.offset >> 3, (field.offset + field.bits - 1) >> 3
        for place in range(last, first - 1, -1):
            number, within_block = divmod(place, BLOCK_BYTES)
            self._block(number)[within_block] = pattern & 0xFF
            pattern >>= 8
            low, high = self.edits.get(number, (within_block, within_block))
            self.edits[number] = (min(low, within_block), max(high, within_block))

    def save(self, keys: WritableKeyspace, key: bytes, least_length: int) -> None:
        """Stores what has changed; the string gets at least a length, and counts as edited where there was a write."""
        length = self.length
        for number in sorted(self.edits):
            low, high = self.edits[number]
            patch = bytes(self.blocks[number][low : high + 1])
            length = strings.set_range(keys, key, number * BLOCK_BYTES + low, patch)
        if length < least_length:
            strings.set_range(keys, key, least_length - 1, b"\0")
        elif least_length and self.record is not None and not self.edits:
            strings.mark_edited(keys, key, self.record)


def _field(encoding: bytes, place: bytes, max_bytes: int) -> Field:
    text = encoding.partition(b"\0")[0]  # Redis reads it as a C string
    bits = to_int64(text[1:])
    signed = text[:1] == b"i"
    if text[:1] not in (b"i", b"u") or bits is None or not 1 <= bits <= (64 if signed else 63):
        raise CommandError(BAD_TYPE)
    if place[:1] != b"#":
        return Field(signed, bits, bit_offset(place, max_bytes))
    index = to_int64(place[1:])
    if index is None:
        raise CommandError(BAD_OFFSET)
    # Redis multiplies in 64 bits, and takes what is left.
    offset = (index * bits - INT64_MIN & (1 << 64) - 1) + INT64_MIN
    return Field(signed, bits, within(offset, max_bytes))


def _operations(args: Args, max_bytes: int) -> list[Operation]:
    """What the command is to do, in order. Raises the errors of all its arguments."""
    operations: list[Operation] = []
    overflow = b"WRAP"
    position = 2
    while position < len(args):
        word = args[position].upper()
        operands = OPERANDS.get(word, len(args))
        if position + operands >= len(args):
            raise CommandError(SYNTAX)
        if word == b"OVERFLOW":
            overflow = args[position + 1].upper()
            if overflow not in OVERFLOWS:
                raise CommandError(BAD_OVERFLOW)
        else:
            field = _field(args[position + 1], args[position + 2], max_bytes)
            operand = 0 if word == b"GET" else integer(args[position + 3])
            operations.append(Operation(word, field, operand, overflow))
        position += operands + 1
    return operations


def _key_flags(call: Args) -> str:
    """A BITFIELD of nothing but GETs reads; one that makes no sense is taken for one that writes."""
    position = 2
    while position < len(call):
        word = call[position].upper()
        position += OPERANDS.get(word, len(call))
        if word not in (b"GET", b"OVERFLOW") or position >= len(call):
            return "RW access update"
        position += 1
    return "RO access"


@BITFIELD.write(
    "BITFIELD",
    arity=-2,
    keys=key_at(1, "RW access update variable_flags", _key_flags),
    flags=DENYOOM,
    since="3.2.0",
    complexity="O(1) for each subcommand specified",
    syntax="key [[GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value"
    " | INCRBY encoding offset increment>] ...]",
    summary="Reads and changes integers of any width inside a string.",
)
def bitfield(context: WriteContext, args: Args) -> Reply:
    """For each GET the number, for each SET the one before, for each INCRBY the new one; null where FAIL forbade it."""
    keys, key = context.keys, args[1]
    operations = _operations(args, context.shared.max_string_bytes)
    record = keys.find(key, STRING)
    window = Window(keys, record)
    writes = [one.field.offset + one.field.bits for one in operations if one.word != b"GET"]
    if not writes:
        keys.note_read(key, record is not None)
    least_length = (max(writes, default=0) + 7) >> 3
    grows = least_length > window.length
    changes = 0
    replies: list[Reply] = []
    for one in operations:
        old = window.get(one.field)
        if one.word == b"GET":
            replies.append(old)
            continue
        is_set = one.word == b"SET"
        new = one.field.fitted(one.operand if is_set else old + one.operand, one.overflow, is_set)
        if new is None:
            replies.append(None)
            continue
        replies.append(old if is_set else new)
        if new != old:
            window.put(one.field, new)
        if grows or new != old:
            changes += 1
    window.save(keys, key, least_length)
    if changes:
        keys.notify(events.STRING, "setbit", key, changes)
    return replies


@BITFIELD.read(
    "BITFIELD_RO",
    arity=-2,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="6.0.0",
    complexity="O(1) for each subcommand specified",
    syntax="key [GET encoding offset [GET encoding offset ...]]",
    summary="Reads integers of any width inside a string.",
)
def bitfield_ro(context: ReadContext, args: Args) -> Reply:
    """The number in each of the fields."""
    operations = _operations(args, context.shared.max_string_bytes)
    if any(one.word != b"GET" for one in operations):
        raise CommandError(READ_ONLY)
    window = Window(context.keys, context.keys.find(args[1], STRING))
    return [window.get(one.field) for one in operations]
