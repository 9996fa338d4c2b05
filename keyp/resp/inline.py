"""Inline requests: a line of text, as typed into telnet, cut into arguments.

The quoting is Redis's, and redis-cli's: a double-quoted part knows `\\n \\r \\t \\b \\a \\xHH` and takes any other
escaped byte for itself; a single-quoted part knows only `\\'`. A quote may open in the middle of an argument, but
closing it ends the argument: what follows must be a space or the end of the line.

No hot path. The functions walk the line by index and hand on the index where the next one goes on.
"""

from typing import Final

_BACKSLASH: Final = 0x5C
_DOUBLE: Final = 0x22
_SINGLE: Final = 0x27
_QUOTES: Final = b"\"'"
_LOWER_X: Final = 0x78

# An argument begins after any white space of C's isspace(), yet only these end it: "a\vb" is one argument.
_SKIPPED: Final = b" \t\n\v\f\r"
_ENDING: Final = b" \t\n\r"

_HEX_DIGITS: Final = b"0123456789abcdefABCDEF"
_ESCAPES: Final[dict[int, int]] = {0x6E: 0x0A, 0x72: 0x0D, 0x74: 0x09, 0x62: 0x08, 0x61: 0x07}


def split_inline(line: bytes) -> list[bytes] | None:
    """The arguments of `line`, which comes without its line end; `[]` for a blank line, None where quotes are wrong.

    Quotes are wrong when one is left open, or when a closing one has anything but white space behind it.
    """
    args: list[bytes] = []
    size = len(line)
    i = 0
    while True:
        while i < size and line[i] in _SKIPPED:
            i += 1
        if i == size:
            return args
        arg = bytearray()
        i = _read_argument(line, i, arg)
        if i < 0:
            return None
        args.append(bytes(arg))


def _read_argument(line: bytes, i: int, arg: bytearray) -> int:
    """Append to `arg` what the argument starting at `i` says; returns where it ends, -1 where its quotes are wrong."""
    size = len(line)
    while i < size:
        byte = line[i]
        if byte in _ENDING:
            break
        if byte in _QUOTES:
            end = _read_double_quoted(line, i + 1, arg) if byte == _DOUBLE else _read_single_quoted(line, i + 1, arg)
            if 0 <= end < size and line[end] not in _SKIPPED:
                return -1
            return end
        arg.append(byte)
        i += 1
    return i


def _read_double_quoted(line: bytes, i: int, arg: bytearray) -> int:
    """Append the quoted text starting at `i`; returns the index behind its closing quote, -1 where there is none."""
    size = len(line)
    while i < size:
        byte = line[i]
        if byte == _DOUBLE:
            return i + 1
        if byte != _BACKSLASH or i + 1 == size:
            arg.append(byte)
            i += 1
        elif i + 3 < size and line[i + 1] == _LOWER_X and line[i + 2] in _HEX_DIGITS and line[i + 3] in _HEX_DIGITS:
            arg.append(int(line[i + 2 : i + 4], 16))
            i += 4
        else:
            escaped = line[i + 1]
            arg.append(_ESCAPES.get(escaped, escaped))
            i += 2
    return -1


def _read_single_quoted(line: bytes, i: int, arg: bytearray) -> int:
    """Append the quoted text starting at `i`; returns the index behind its closing quote, -1 where there is none."""
    size = len(line)
    while i < size:
        byte = line[i]
        if byte == _SINGLE:
            return i + 1
        if byte == _BACKSLASH and i + 1 < size and line[i + 1] == _SINGLE:
            byte = _SINGLE
            i += 1
        arg.append(byte)
        i += 1
    return -1
