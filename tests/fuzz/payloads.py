"""What comes as one string and is read by Keyp's own decoders: dumps of functions, compressed strings, structures.

Each either gives a value or fails by its one documented error, in a time and a memory that its length bounds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from keyp.algorithms.crc64 import crc64
from keyp.algorithms.hll_registers import Corrupted, Sparse, is_hyperloglog, pack, registers, unpack
from keyp.algorithms.lzf import decompress
from keyp.command.function_dump import FOOTER, OPCODE, dump, read_dump
from keyp.errors import CommandError
from keyp.scripting.binary import BIT, STRUCT, struct_pack, struct_size, struct_unpack
from keyp.scripting.errors import CallError
from keyp.storage.journal import redo
from tests.fuzz.source import Source
from tests.fuzz.target import Run


def compressed(_: Path) -> Run:
    """LZF: any bytes, against a second reading; and what was compressed with care."""

    def run(data: bytes) -> None:
        source = Source(data)
        wanted = source.below(4096)
        if source.chance(50):
            packed, text = written_as_lzf(source)
            assert decompress(packed, len(text)) == text
            return
        packed = source.rest()
        expected = second_reading(packed)
        try:
            assert decompress(packed, len(expected) if expected is not None else wanted) == expected
        except ValueError:
            assert expected is None
        try:
            assert len(decompress(packed, wanted)) == wanted
        except ValueError:
            assert expected is None or len(expected) != wanted

    return run


def second_reading(packed: bytes) -> bytes | None:
    """What LZF says, None where it says nothing."""
    text = b""
    at = 0
    try:
        while at < len(packed):
            first = packed[at]
            if first < 32:
                if at + 1 + first >= len(packed):
                    return None
                text += packed[at + 1 : at + 2 + first]
                at += 2 + first
                continue
            size, at = (first >> 5) + 2, at + 1
            if size == 9:
                size, at = size + packed[at], at + 1
            back = (first & 31) << 8 | packed[at]
            at += 1
            begins = len(text) - back - 1
            if begins < 0:
                return None
            repeated = text[begins:]
            text += (repeated * (size // len(repeated) + 1))[:size]
    except IndexError:
        return None
    return text


def written_as_lzf(source: Source) -> tuple[bytes, bytes]:
    """Something compressed, and what it is."""
    packed = text = b""
    while source.has_more() and len(text) < 4096:
        if not text or source.chance(50):
            piece = source.text(31) + b"."
            packed += bytes([len(piece) - 1]) + piece
            text += piece
            continue
        back, size = source.below(min(len(text), 8192)), 3 + source.below(262)
        high = back >> 8
        packed += bytes([size - 2 << 5 | high] if size < 9 else [7 << 5 | high, size - 9]) + bytes([back & 255])
        repeated = text[len(text) - back - 1 :]
        text += (repeated * (size // len(repeated) + 1))[:size]
    return packed, text


def dumps(_: Path) -> Run:
    """FUNCTION RESTORE: bodies of any bytes with a right checksum, or without one."""

    def run(data: bytes) -> None:
        source = Source(data)
        form = source.below(4)
        if form == 0:
            texts = [source.text() * (1 + source.below(200)) for _ in range(source.below(4))]
            assert read_dump(dump(texts)) == texts
            return
        if form == 1:
            payload = source.rest()
        else:
            body = b"".join([bytes([OPCODE]) + source.text(60) for _ in range(source.below(4))]) + source.rest()
            body += bytes([source.below(14), 0])
            payload = body + crc64(body).to_bytes(8, "little")
        try:
            texts = read_dump(payload)
        except CommandError as error:
            assert error.text.startswith("ERR ")
            return
        assert len(payload) >= FOOTER
        assert sum(map(len, texts)) <= 264 * len(payload)  # a copy of three bytes stands for 264 at most
        assert read_dump(dump(texts)) == texts

    return run


FORMATS: Final = b"<>!1248 iIbBhHlLTfdxcs0"
NUMBERS: Final = (0, 1, -1, 255, 256, 2**31, -(2**31), 2**53, -(2**63), 2.0**63, 1e308, -1e308, 0.5, 1e-310)
STRANGE: Final = (None, True, b"", b"12", b"0x10", b"abc", b"\0", float("inf"), float("-inf"), float("nan"), b" 5 ")


def value(source: Source) -> Any:
    """What a script may pass."""
    form = source.below(4)
    if form == 0:
        return source.choice(STRANGE)
    return source.text(20) if form == 1 else source.choice(NUMBERS) + source.byte() * (form == 3)


def structures(_: Path) -> Run:
    """The functions of `struct` and `bit`, with any arguments: a value, or the error that scripts may see."""

    def run(data: bytes) -> None:
        source = Source(data)
        if source.chance(30):
            function = source.choice(list(BIT.values()))
            arguments = [value(source) for _ in range(source.below(4))]
            answered(function, *arguments)
            return
        layout = (
            bytes([source.choice(FORMATS) for _ in range(source.below(12))]) if source.chance(80) else source.text()
        )
        if source.chance(50):
            answered(source.choice(list(STRUCT.values())), *(layout, *[value(source) for _ in range(source.below(5))]))
            answered(struct_unpack, layout, source.rest(), 1 + source.below(4))
            return
        packed = answered(struct_pack, layout, *[value(source) for _ in range(12)])
        if packed is not None and len(packed) < 1 << 16:
            size = answered(struct_size, layout)
            assert size is None or size == len(packed)
            read = answered(struct_unpack, layout, packed)
            assert read is None or size is None or read[-1] == len(packed) + 1  # texts may be shorter when read

    return run


def answered(function: Any, *arguments: Any) -> Any:
    """What it gives, None where it refuses the arguments."""
    try:
        result = function(*arguments)
    except CallError as error:
        assert error.text
        return None
    for one in result if isinstance(result, tuple) else (result,):
        assert isinstance(one, (bytes, int, float))
        assert not isinstance(one, bytes) or len(one) <= 1 << 31
    return result


HEADER: Final = b"HYLL\1\0\0\0" + bytes(8)
REGISTERS: Final = 16384
DENSE_BYTES: Final = 12288


def counters(_: Path) -> Run:
    """HyperLogLogs: strings that say they are one, sparse or dense; a register that is put is there."""

    def run(data: bytes) -> None:
        source = Source(data)
        if source.chance(10):
            values = unpack((source.rest() * DENSE_BYTES)[:DENSE_BYTES].ljust(DENSE_BYTES, b"\0"))
            assert unpack(pack(values)) == values
            return
        number, value, is_whole = source.below(REGISTERS), 1 + source.below(32), source.chance(80)
        runs = source.rest()
        text = HEADER + (completed(runs) if is_whole else runs)
        assert is_hyperloglog(text[:16], len(text))
        try:
            values = registers(text)
        except Corrupted:
            return
        assert len(values) == REGISTERS
        sparse = Sparse(text)
        for at in (number, 0, REGISTERS - 1, (number + 1) % REGISTERS):
            if sparse.put(at, value, 3000) >= 0:
                values = values[:at] + bytes([max(values[at], value)]) + values[at + 1 :]
            assert sparse.size == len(HEADER) + len(sparse.body())
            assert sparse.registers() == values
        assert sparse.text()

    return run


def completed(runs: bytes) -> bytes:
    """Runs as they stand, as far as they go, and zeros for the registers that are left."""
    count = at = 0
    while at < len(runs):
        first = runs[at]
        is_long = first & 0xC0 == 0x40
        if is_long and at + 1 == len(runs):
            break
        run = ((first & 63) << 8 | runs[at + 1]) + 1 if is_long else (first & 3 if first & 0x80 else first) + 1
        if count + run > REGISTERS:
            break
        count += run
        at += 2 if is_long else 1
    left = REGISTERS - count
    return runs[:at] + (bytes([0x40 | left - 1 >> 8, left - 1 & 255]) if left else b"")


OPERATIONS: Final = (redo.PUT, redo.DELETE, redo.DELETE_RANGE, redo.DROP)


def records(_: Path) -> Run:
    """Redo records: what was written is read, and a bound is kept."""

    def run(data: bytes) -> None:
        source = Source(data)
        changes = []
        while source.has_more():
            name, text = source.text(), source.text() * source.choice((1, 0, 40))
            changes.append((source.choice(OPERATIONS), source.below(1 << 16), name, text))
        record = redo.encode(changes, 4000)
        if record is None:
            record = redo.encode(changes, 1 << 40)
            assert record is not None
            assert len(record) > 4000
        else:
            assert len(record) <= 4000
        assert list(redo.decode(record)) == changes

    return run
