"""LCS: the longest common subsequence of two strings, and where its runs stand in both.

Redis fills a table of n times m lengths. Here a row of that table is one long integer, a bit per cell, and a row is
made from the one before with an addition and a few bitwise operations (Crochemore, Iliopoulos, Pinzon and Reid, "A fast
and practical bit-vector algorithm for the longest common subsequence problem", 2001): a thirtieth of the memory, and no
loop over cells. The longer string lies along the bits, so that there are few rows.

Where several subsequences are equally long, Redis's way back through its table decides. Where two bytes differ it turns
to the shorter prefix of the first string only if that keeps strictly more, so one bit a cell is all that way needs:

- first string down the rows: the cell is greater than its neighbour along the row, a bit of the row itself;
- first string along the bits: the cell is greater than its neighbour in the row above, the carry of the addition.
"""

from __future__ import annotations

from typing import Final

from keyp.command.arguments import integer
from keyp.command.context import ReadContext
from keyp.command.spec import WALKS, Args, KeySpec
from keyp.command.table import CommandTable
from keyp.errors import SYNTAX, CommandError
from keyp.resp.values import Reply
from keyp.storage.lmdb.layout import record_type
from keyp.storage.types import strings
from keyp.storage.value_types import STRING

LCS = CommandTable(group="string", categories="string")

NOT_STRINGS: Final = "ERR The specified keys must contain string values"
LEN_OR_IDX: Final = "ERR If you want both the length and indexes, please just use IDX."
TOO_LONG: Final = "ERR String too long for LCS"
TOO_MUCH_MEMORY: Final = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"

LONGEST: Final = 0xFFFFFFFF - 1
REFERENCE_CELL_BYTES: Final = 4


class Run:
    """A run of equal bytes: where it starts in the first and in the second string, and how long it is."""

    def __init__(self, first: int, second: int, length: int) -> None:
        self.first = first
        self.second = second
        self.length = length


class Table:
    """What the way back needs to know: for each cell, whether it turns to the shorter first string.

    With `turns` False only the length is found.
    """

    def __init__(self, first: bytes, second: bytes, turns: bool) -> None:
        self.first_down = len(first) <= len(second)
        down, along = (first, second) if self.first_down else (second, first)
        self.rows: list[bytes] = []
        width = len(along)
        full = (1 << width) - 1
        matches = {byte: _positions(along, byte) for byte in set(down)}
        row = full  # a bit is clear where a cell is one more than its neighbour before it
        for byte in down:
            matching = row & matches[byte]
            total = row + matching
            next_row = (total | (row - matching)) & full
            if turns:
                bits = next_row ^ full if self.first_down else (total ^ row ^ matching) >> 1
                self.rows.append(bits.to_bytes(width // 8 + 1, "little"))
            row = next_row
        self.length = width - row.bit_count()

    def turns_to_shorter_first(self, i: int, j: int) -> bool:
        """Whether the way back goes from (i, j), where the bytes differ, to (i - 1, j) and not to (i, j - 1)."""
        if self.first_down:
            return bool(self.rows[i - 1][(j - 1) >> 3] >> ((j - 1) & 7) & 1)
        return bool(self.rows[j - 1][(i - 1) >> 3] >> ((i - 1) & 7) & 1)


def _positions(text: bytes, byte: int) -> int:
    """A bit for each place of `text` that holds `byte`; the lowest is the first place."""
    if not text:
        return 0
    digits = bytearray(b"0" * 256)
    digits[byte] = 0x31
    return int(text[::-1].translate(bytes(digits)), 2)


def common_runs(first: bytes, second: bytes, table: Table) -> list[Run]:
    """The runs that make up the subsequence, the last one first.

    A run also ends where it reaches the start of a string, as it must.
    """
    runs: list[Run] = []
    i, j, length = len(first), len(second), 0
    while i and j:
        if first[i - 1] == second[j - 1]:
            i, j, length = i - 1, j - 1, length + 1
            continue
        if length:
            runs.append(Run(i, j, length))
            length = 0
        if table.turns_to_shorter_first(i, j):
            i -= 1
        else:
            j -= 1
    if length:
        runs.append(Run(i, j, length))
    return runs


class _Options:
    def __init__(self, args: Args) -> None:
        self.length_only = False
        self.places = False
        self.with_lengths = False
        self.shortest = 0
        position = 3
        while position < len(args):
            word = args[position].upper()
            if word == b"IDX":
                self.places = True
            elif word == b"LEN":
                self.length_only = True
            elif word == b"WITHMATCHLEN":
                self.with_lengths = True
            elif word == b"MINMATCHLEN" and position + 1 < len(args):
                position += 1
                self.shortest = integer(args[position])
            else:
                raise CommandError(SYNTAX)
            position += 1
        if self.places and self.length_only:
            raise CommandError(LEN_OR_IDX)


def _record_at(context: ReadContext, key: bytes) -> bytes | None:
    record = context.keys.find(key)
    if record is not None and record_type(record) != STRING:
        raise CommandError(NOT_STRINGS)
    return record


def _refuse_long(first: int, second: int, max_bytes: int) -> None:
    """Raises the errors for strings of such lengths that Redis does not compare."""
    if first >= LONGEST or second >= LONGEST:
        raise CommandError(TOO_LONG)
    # Ours takes a thirtieth of it, but the same calls must fail.
    if (first + 1) * (second + 1) * REFERENCE_CELL_BYTES > max_bytes:
        raise CommandError(TOO_MUCH_MEMORY)


@LCS.read(
    "LCS",
    arity=-3,
    keys=(KeySpec(1, 1, 1, "RO access"),),
    flags=WALKS,
    since="7.0.0",
    complexity="O(N*M) where N and M are the lengths of s1 and s2, respectively",
    syntax="key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
    summary="Finds the longest common subsequence of two strings.",
)
def lcs(context: ReadContext, args: Args) -> Reply:
    """The subsequence; with LEN its length; with IDX a map of the runs (last first) and the length."""
    records = [_record_at(context, args[1]), _record_at(context, args[2])]
    options = _Options(args)
    lengths = [0 if record is None else strings.length_of(record) for record in records]
    _refuse_long(lengths[0], lengths[1], context.shared.max_string_bytes)
    first, second = [b"" if record is None else strings.value(context.keys, record) for record in records]
    table = Table(first, second, turns=not options.length_only)
    if options.length_only:
        return table.length
    runs = common_runs(first, second, table)
    if not options.places:
        return b"".join([first[run.first : run.first + run.length] for run in reversed(runs)])
    return {
        b"matches": [_place(run, options.with_lengths) for run in runs if run.length >= options.shortest],
        b"len": table.length,
    }


def _place(run: Run, with_length: bool) -> Reply:
    place: list[Reply] = [
        [run.first, run.first + run.length - 1],
        [run.second, run.second + run.length - 1],
    ]
    if with_length:
        place.append(run.length)
    return place
