"""What scripts call as `bit` and `struct`: functions of numbers and strings, with the names and texts that Redis has.

They know nothing of Lua's tables. Numbers come as whole numbers where they are whole, else as floats. What is wrong
with the arguments is a `CallError`, whose text is that of Lua's own functions.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import isfinite
from typing import Any, Final

from keyp.scripting.errors import CallError

Number = int | float


def lua_type(value: Any) -> str:
    """The name that Lua has for the type of a value that came from it."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, bytes) else "table"


def number(args: tuple[Any, ...], index: int, name: str) -> Number:
    """The argument as a number, for Lua reads numbers in strings too. Raises `CallError`."""
    if index >= len(args):
        raise CallError(f"bad argument #{index + 1} to '{name}' (number expected, got no value)")
    value = args[index]
    if isinstance(value, bytes):
        try:
            value = int(value, 16) if value.strip()[:2].lower() == b"0x" else float(value)
        except ValueError:
            raise CallError(f"bad argument #{index + 1} to '{name}' (number expected, got string)") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise CallError(f"bad argument #{index + 1} to '{name}' (number expected, got {lua_type(value)})")
    return value


def text(args: tuple[Any, ...], index: int, name: str) -> bytes:
    """The argument as a string, for Lua takes numbers for strings too. Raises `CallError`."""
    if index >= len(args):
        raise CallError(f"bad argument #{index + 1} to '{name}' (string expected, got no value)")
    value = args[index]
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise CallError(f"bad argument #{index + 1} to '{name}' (string expected, got {lua_type(value)})")
    return number_text(value)


def number_text(value: Number) -> bytes:
    """A number as Lua writes it: with 14 digits."""
    return b"%.14g" % value if isfinite(value) else str(value).encode()


# Bits: numbers are taken modulo 2^32 and come back as signed ones.


# Added to a number it puts its last 32 bits at the end of the double, as the library that Redis uses does it.
BITS_BIAS: Final = 1.5 * 2**52


def _bits(args: tuple[Any, ...], index: int, name: str) -> int:
    value = number(args, index, name)
    return int.from_bytes(struct.pack("<d", value + BITS_BIAS)[:4], "little")


def _signed(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


def _folded(name: str, fold: Callable[[int, int], int]) -> Callable[..., int]:
    def function(*args: Any) -> int:
        result = _bits(args, 0, name)
        for index in range(1, len(args)):
            result = fold(result, _bits(args, index, name))
        return _signed(result)

    return function


def _shifted(name: str, shift: Callable[[int, int], int]) -> Callable[..., int]:
    def function(*args: Any) -> int:
        return _signed(shift(_bits(args, 0, name), _bits(args, 1, name) & 31))

    return function


def _rotated(value: int, places: int) -> int:
    return value << places | value >> (32 - places)


def _tobit(*args: Any) -> int:
    return _signed(_bits(args, 0, "tobit"))


def _bnot(*args: Any) -> int:
    return _signed(~_bits(args, 0, "bnot"))


def _bswap(*args: Any) -> int:
    return _signed(int.from_bytes(_bits(args, 0, "bswap").to_bytes(4, "little"), "big"))


def _tohex(*args: Any) -> bytes:
    value = _bits(args, 0, "tohex")
    digits = _signed(_bits(args, 1, "tohex")) if len(args) > 1 else 8
    written = b"%08X" % value if digits < 0 else b"%08x" % value
    return written[8 - min(abs(digits), 8) :]


BIT: Final[dict[bytes, Callable[..., int | bytes]]] = {
    b"tobit": _tobit,
    b"bnot": _bnot,
    b"band": _folded("band", lambda one, other: one & other),
    b"bor": _folded("bor", lambda one, other: one | other),
    b"bxor": _folded("bxor", lambda one, other: one ^ other),
    b"lshift": _shifted("lshift", lambda value, places: value << places),
    b"rshift": _shifted("rshift", lambda value, places: value >> places),
    b"arshift": _shifted("arshift", lambda value, places: _signed(value) >> places),
    b"rol": _shifted("rol", _rotated),
    b"ror": _shifted("ror", lambda value, places: _rotated(value, 32 - places)),
    b"bswap": _bswap,
    b"tohex": _tohex,
}

# Structures: a format is read letter by letter; sizes and alignments are those of C on a 64-bit machine.

INTEGER_MAX: Final = 32  # bytes of the longest integer
SIZES: Final = {"b": 1, "B": 1, "h": 2, "H": 2, "l": 8, "L": 8, "T": 8, "f": 4, "d": 8, "x": 1, "i": 4, "I": 4}
ALIGNMENT_MAX: Final = 8


class _Format:
    """Reads a format: its byte order and alignment so far, and the options one by one."""

    def __init__(self, data: bytes, name: str) -> None:
        self._name = name  # of the function, for errors
        self._format = data.partition(b"\0")[0].decode("latin-1")
        self._at = 0
        self.order = "little"
        self._alignment = 1

    def next_option(self) -> tuple[str, int] | None:
        """The next option and its size in bytes, None at the end. Raises `CallError`."""
        while self._at < len(self._format):
            option = self._format[self._at]
            self._at += 1
            if option in "<>":
                self.order = "little" if option == "<" else "big"
            elif option == "!":
                self._alignment = self._count(ALIGNMENT_MAX)
                if self._alignment & (self._alignment - 1) or not self._alignment:
                    raise CallError(f"alignment {self._alignment} is not a power of 2")
            elif option == " ":
                continue
            elif option in "iI":
                size = self._count(4)
                if size > INTEGER_MAX:
                    raise CallError(f"integral size {size} is larger than limit of {INTEGER_MAX}")
                return option, size
            elif option == "c":
                return option, self._count(1)
            elif option == "s":
                return option, 0
            elif option in SIZES:
                return option, SIZES[option]
            else:
                raise CallError(f"bad argument #1 to '{self._name}' (invalid format option '{option}')")
        return None

    def _count(self, default: int) -> int:
        start = self._at
        while self._at < len(self._format) and self._format[self._at].isascii() and self._format[self._at].isdigit():
            self._at += 1
        if start == self._at:
            return default
        count = int(self._format[start : self._at][:12])
        if count > 0x7FFFFFFF:
            raise CallError("integral size overflow")
        return count

    def padding(self, option: str, size: int, position: int) -> int:
        """How many bytes stand before an option, so that it is aligned."""
        if size == 0 or option in "cx":
            return 0
        align = min(size, self._alignment)
        if align <= 1:
            return 0
        return -position % align


def _double_order(order: str) -> str:
    return "<" if order == "little" else ">"


def _pack_one(layout: _Format, option: str, size: int, args: tuple[Any, ...], index: int) -> bytes:
    if index >= len(args):
        args = (*args, None)  # which is nil, as C's function sees it
    if option in "fd":
        value = number(args, index, "pack")
        try:
            return struct.pack(_double_order(layout.order) + option, value)
        except OverflowError:
            return struct.pack(_double_order(layout.order) + option, float("inf") if value > 0 else float("-inf"))
    if option in "cs":
        data = text(args, index, "pack")
        wanted = len(data) if option == "s" or size == 0 else size
        if len(data) < wanted:
            raise CallError(f"bad argument #{index + 2} to 'pack' (string too short)")
        return data[:wanted] + (b"\0" if option == "s" else b"")
    whole = _whole(number(args, index, "pack"))
    packed = (whole & ((1 << 64) - 1)).to_bytes(8, "little").ljust(size, b"\0")[:size]
    return packed if layout.order == "little" else packed[::-1]


def _whole(value: Number) -> int:
    """A number as C makes a 64-bit integer of it."""
    if not isfinite(value) or not -(2.0**63) <= value < 2.0**63:
        return -(1 << 63)
    return int(value)


def struct_pack(*args: Any) -> bytes:
    """`struct.pack(format, …)`."""
    layout = _Format(text(args, 0, "pack"), "pack")
    packed = bytearray()
    index = 1
    while (found := layout.next_option()) is not None:
        option, size = found
        packed += bytes(layout.padding(option, size, len(packed)))
        if option == "x":
            packed += b"\0"
            continue
        packed += _pack_one(layout, option, size, args, index)
        index += 1
    return bytes(packed)


def struct_unpack(*args: Any) -> tuple[Any, ...]:
    """`struct.unpack(format, data [, position])`: the values, and the position behind them."""
    layout = _Format(text(args, 0, "unpack"), "unpack")
    data = text(args, 1, "unpack")
    position = _whole(number(args, 2, "unpack")) - 1 if len(args) > 2 and args[2] is not None else 0
    if position == -1:
        raise CallError("bad argument #3 to 'unpack' (offset must be 1 or greater)")
    values: list[Any] = []
    while (found := layout.next_option()) is not None:
        option, size = found
        position += layout.padding(option, size, position)
        if position < 0 or position > len(data) - size:
            raise CallError("bad argument #2 to 'unpack' (data string too short)")
        piece = data[position : position + size]
        if option == "x":
            position += 1
            continue
        if option in "fd":
            values.append(struct.unpack(_double_order(layout.order) + option, piece)[0])
        elif option == "s":
            end = data.find(b"\0", position)
            if end < 0:
                raise CallError("unfinished string in data")
            values.append(data[position:end])
            size = end - position + 1
        elif option == "c":
            if size == 0:
                size = _previous_size(values)
                if size > len(data) - position:
                    raise CallError("bad argument #2 to 'unpack' (data string too short)")
            values.append(data[position : position + size])
        else:
            values.append(_unpacked_integer(piece, layout.order, option.islower()))
        position += size
    return (*values, position + 1)


def _unpacked_integer(piece: bytes, order: str, is_signed: bool) -> float | int:
    low = piece[:8] if order == "little" else piece[-8:]
    value = int.from_bytes(low, "little" if order == "little" else "big", signed=is_signed)
    return value if -(1 << 53) <= value <= 1 << 53 else float(value)


def _previous_size(values: list[Any]) -> int:
    if not values or isinstance(values[-1], bytes):
        raise CallError("format 'c0' needs a previous size")
    size = _whole(values.pop())
    if size < 0:
        raise CallError("format 'c0' needs a previous size")
    return size


def struct_size(*args: Any) -> int:
    """`struct.size(format)`."""
    layout = _Format(text(args, 0, "size"), "size")
    position = 0
    while (found := layout.next_option()) is not None:
        option, size = found
        if option == "s" or (option == "c" and size == 0):
            letters = "s" if option == "s" else "c0"
            raise CallError(f"bad argument #1 to 'size' (option '{letters}' has no fixed size)")
        position += layout.padding(option, size, position) + size
    return position


STRUCT: Final[dict[bytes, Callable[..., Any]]] = {
    b"pack": struct_pack,
    b"unpack": struct_unpack,
    b"size": struct_size,
}

# Floating-point numbers for cmsgpack, which packs as 32 bits what these hold without loss.


def pack_double(value: Number) -> bytes:
    """MessagePack's float 32 or float 64."""
    try:
        short = struct.pack(">f", value)
    except OverflowError:
        return b"\xcb" + struct.pack(">d", value)
    if struct.unpack(">f", short)[0] == value:
        return b"\xca" + short
    return b"\xcb" + struct.pack(">d", value)


def unpack_double(data: bytes) -> float:
    """The number that 4 or 8 bytes stand for."""
    unpacked: float = struct.unpack(">f" if len(data) == 4 else ">d", data)[0]
    return unpacked


DOUBLES: Final[dict[bytes, Callable[..., Any]]] = {b"pack": pack_double, b"unpack": unpack_double}
