"""Commands on single bits of strings, and on all of them at once.

A bit's number counts from the highest bit of the first byte. Behind its end a string has as many zero bits as may be
asked for; setting one of them makes the string longer.

One bit is read and written in the piece of the string that holds it. What looks at many bits takes a piece at a time
and treats it as one long integer, so that Python's arithmetic does the work and not a loop over bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keyp import events
from keyp.command.arguments import integer, to_int64
from keyp.command.context import ReadContext, WriteContext
from keyp.command.spec import DENYOOM, FAST, Args, KeySpec, key_at
from keyp.command.table import CommandTable
from keyp.errors import SYNTAX, CommandError
from keyp.resp.values import Reply
from keyp.storage.keys.keyspace import Keyspace
from keyp.storage.lmdb.layout import EDITED, NO_DEADLINE
from keyp.storage.lmdb.pieces import INVERTED, PIECE_BYTES, Content, Pieces
from keyp.storage.lmdb.transaction import Transaction
from keyp.storage.types import strings
from keyp.storage.value_types import STRING

BITS = CommandTable(group="bitmap", categories="bitmap")

BAD_OFFSET: Final = "ERR bit offset is not an integer or out of range"
BAD_BIT: Final = "ERR bit is not an integer or out of range"
ONE_OR_ZERO: Final = "ERR The bit argument must be 1 or 0."
ONE_SOURCE: Final = "ERR BITOP NOT must be called with a single source key."

NONE_SET: Final = b"\0"
ALL_SET: Final = b"\xff"
BYTES_AN_ELEMENT: Final = 256  # bytes that take as long to look at as one element of a collection


def bit_offset(data: bytes, max_bytes: int) -> int:
    """The number of a bit within a string of at most `max_bytes`. Raises the error for all other arguments."""
    offset = to_int64(data)
    if offset is None:
        raise CommandError(BAD_OFFSET)
    return within(offset, max_bytes)


def within(offset: int, max_bytes: int) -> int:
    """`offset`, where it is that of a bit in a string of at most `max_bytes`. Raises the error where it is not."""
    if not 0 <= offset < max_bytes << 3:
        raise CommandError(BAD_OFFSET)
    return offset


@BITS.write(
    "SETBIT",
    arity=4,
    keys=key_at(1, "RW access update"),
    flags=DENYOOM,
    since="2.2.0",
    syntax="key offset value",
    summary="Sets or clears a bit of a string, which grows if need be.",
)
def setbit(context: WriteContext, args: Args) -> Reply:
    """What the bit was before."""
    keys, key = context.keys, args[1]
    offset = bit_offset(args[2], context.shared.max_string_bytes)
    bit = integer(args[3], BAD_BIT)
    if bit not in (0, 1):
        raise CommandError(BAD_BIT)
    place, mask = offset >> 3, 0x80 >> (offset & 7)
    record = keys.find(key, STRING)
    found = _byte_at(keys, record, place)
    before = max(found, 0)
    after = before | mask if bit else before & ~mask
    if after != found:
        strings.set_range(keys, key, place, bytes((after,)))
        keys.notify(events.STRING, "setbit", key)
    elif record is not None:
        strings.mark_edited(keys, key, record)
    return 1 if before & mask else 0


@BITS.read(
    "GETBIT",
    arity=3,
    keys=key_at(1, "RO access"),
    flags=FAST,
    since="2.2.0",
    syntax="key offset",
    summary="Gives a bit of a string.",
)
def getbit(context: ReadContext, args: Args) -> Reply:
    """The bit, 0 behind the end."""
    offset = bit_offset(args[2], context.shared.max_string_bytes)
    record = context.keys.find(args[1], STRING)
    return max(_byte_at(context.keys, record, offset >> 3), 0) >> (7 - (offset & 7)) & 1


def _byte_at(keys: Keyspace, record: bytes | None, place: int) -> int:
    """A byte of the string of a record, -1 behind its end."""
    if record is None or place >= strings.length_of(record):
        return -1
    return strings.part(keys, record, place, place + 1)[0]


def _counts_bits(unit: bytes) -> bool:
    """Whether a range is given in bits and not in bytes. Raises a syntax error where it is neither."""
    word = unit.upper()
    if word not in (b"BIT", b"BYTE"):
        raise CommandError(SYNTAX)
    return word == b"BIT"


def _bit_range(start: int, end: int, length: int, in_bits: bool) -> tuple[int, int]:
    """The first and the last bit of a range in a string of `length` bytes; the last before the first where it is empty.

    Negative positions count from the end; positions outside the string are moved to its ends.
    """
    total = length << 3 if in_bits else length
    start = max(start + total, 0) if start < 0 else start
    end = max(end + total, 0) if end < 0 else end
    end = min(end, total - 1)
    if in_bits or start > end:
        return start, end
    return start << 3, (end << 3) + 7


def _parts(context: ReadContext, record: bytes, first: int, last: int) -> Iterator[bytes]:
    """The bytes that hold bits `first` to `last`, in parts."""
    start, stop = first >> 3, (last >> 3) + 1
    context.expect((stop - start) // BYTES_AN_ELEMENT)
    return strings.parts(context.keys, record, start, stop)


@BITS.read(
    "BITCOUNT",
    arity=-2,
    keys=key_at(1, "RO access"),
    since="2.6.0",
    complexity="O(N)",
    syntax="key [start end [BYTE | BIT]]",
    summary="Counts the bits of a string that are set.",
)
def bitcount(context: ReadContext, args: Args) -> Reply:
    """How many bits are set, in all of the string or from start to end, both included."""
    if len(args) not in (2, 4, 5):
        raise CommandError(SYNTAX)
    start, end, in_bits = 0, -1, False
    if len(args) > 2:
        start, end = integer(args[2]), integer(args[3])
        in_bits = len(args) == 5 and _counts_bits(args[4])
    record = context.keys.find(args[1], STRING)
    if record is None or end < start < 0:
        return 0
    first, last = _bit_range(start, end, strings.length_of(record), in_bits)
    if first > last:
        return 0
    return count_bits(_parts(context, record, first, last), first, last)


def count_bits(parts: Iterator[bytes], first: int, last: int) -> int:
    """How many of the bits `first` to `last` are set. `parts` are the bytes that hold them, and no others."""
    count = 0
    final = b""
    for part in parts:
        if not final:
            count -= (part[0] >> (8 - (first & 7))).bit_count()
        count += int.from_bytes(part, "little").bit_count()
        final = part
    return count - (final[-1] & (0x7F >> (last & 7))).bit_count()


@BITS.read(
    "BITPOS",
    arity=-3,
    keys=key_at(1, "RO access"),
    since="2.8.7",
    complexity="O(N)",
    syntax="key bit [start [end [BYTE | BIT]]]",
    summary="Finds the first bit of a string that is set, or the first that is not.",
)
def bitpos(context: ReadContext, args: Args) -> Reply:
    """The bit's number, -1 where there is none.

    A clear bit is found behind the end of the string, unless an end of the range is given.
    """
    bit = integer(args[2])
    if bit not in (0, 1):
        raise CommandError(ONE_OR_ZERO)
    start, end, in_bits = 0, -1, False
    if len(args) > 6:
        raise CommandError(SYNTAX)
    if len(args) > 3:
        start = integer(args[3])
        in_bits = len(args) == 6 and _counts_bits(args[5])
        end = integer(args[4]) if len(args) > 4 else -1
    record = context.keys.find(args[1], STRING)
    if record is None:
        return -1 if bit else 0
    length = strings.length_of(record)
    first, last = _bit_range(start, end, length, in_bits)
    if first > last:
        return -1
    found = find_bit(_parts(context, record, first, last), first, last, bit)
    if found < 0 and bit == 0 and len(args) < 5:
        return length << 3
    return found


def find_bit(parts: Iterator[bytes], first: int, last: int, bit: int) -> int:
    """The first of the bits `first` to `last` that is `bit`, -1 if none is. `parts` as in `count_bits`."""
    others = NONE_SET if bit else ALL_SET
    place = first >> 3
    before = first & 7  # bits of the first byte that are not asked for
    for part in parts:
        if before:
            head = part[0] & (0xFF >> before) if bit else part[0] | (0xFF00 >> before & 0xFF)
            part = bytes((head,)) + part[1:]
            before = 0
        if part == others * len(part):  # comparing is many times quicker than looking for the place
            place += len(part)
            continue
        rest = part.lstrip(others)
        byte = rest[0] if bit else rest[0] ^ 0xFF
        position = ((place + len(part) - len(rest)) << 3) + 8 - byte.bit_length()
        return position if position <= last else -1
    return -1


@BITS.write(
    "BITOP",
    arity=-4,
    keys=(KeySpec(2, 0, 1, "OW update"), KeySpec(3, -1, 1, "RO access")),
    flags=DENYOOM,
    since="2.6.0",
    complexity="O(N)",
    syntax="<AND | OR | XOR | NOT> destkey key [key ...]",
    summary="Combines the bits of strings, and stores the result.",
)
def bitop(context: WriteContext, args: Args) -> Reply:
    """The length of the result, which is that of the longest string. An empty result removes the key instead."""
    keys, target = context.keys, args[2]
    operation = args[1].upper()
    if operation not in (b"AND", b"OR", b"XOR", b"NOT"):
        raise CommandError(SYNTAX)
    if operation == b"NOT" and len(args) != 4:
        raise CommandError(ONE_SOURCE)
    records: list[bytes] = []
    for key in args[3:]:
        record = keys.find(key, STRING)
        keys.note_read(key, record is not None)
        if record is not None:
            records.append(record)
    sources = [strings.Stored(keys, record) for record in records]
    result = Combined(operation, sources, len(records) < len(args) - 3)
    if result.length:
        strings.put_content(keys, target, result, NO_DEADLINE, EDITED)
        keys.notify(events.STRING, "set", target)
    elif keys.remove(target):
        keys.notify(events.GENERIC, "del", target)
    return result.length


class Combined(Content):
    """Strings combined, zeros in the place of what is missing or shorter."""

    def __init__(self, operation: bytes, sources: list[strings.Stored], one_is_missing: bool) -> None:
        length = max([source.length for source in sources], default=0)
        super().__init__(length, (operation, one_is_missing, *[source.identity for source in sources]))
        self._operation = operation
        self._sources = [] if one_is_missing and operation == b"AND" else sources

    def piece(self, transaction: Transaction, number: int) -> bytes | None:
        """As `Content.piece`."""
        parts = [source.piece(transaction, number) for source in self._sources]
        return combine(self._operation, parts, min(PIECE_BYTES, self.length - number * PIECE_BYTES))

    def write_into(self, own: Pieces, first: int, stop: int) -> None:
        """As `Content.write_into`."""
        if self._operation == b"NOT":
            self._sources[0].write_inverted_into(own, first, stop)
        else:
            super().write_into(own, first, stop)


def combine(operation: bytes, parts: list[bytes | None], length: int) -> bytes | None:
    """AND, OR or XOR of some bytes, or NOT of the first of them, as `length` bytes; no part is longer.

    None stands for zeros, in a part and in the result.
    """
    if operation == b"NOT":
        part = parts[0]
        return ALL_SET * length if part is None else part.translate(INVERTED)
    some = [part for part in parts if part is not None]
    if not some or (operation == b"AND" and len(some) < len(parts)):
        return None
    result = int.from_bytes(some[0], "little")  # little-endian, so that zeros follow a shorter part
    for part in some[1:]:
        number = int.from_bytes(part, "little")
        if operation == b"AND":
            result &= number
        elif operation == b"OR":
            result |= number
        else:
            result ^= number
    return result.to_bytes(length, "little")
