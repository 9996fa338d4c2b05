"""LZF, in which Redis compresses strings in its dumps: how they are read.

A byte below 32 says how many bytes, less one, stand behind it as they are. Any other byte begins a copy of what has
been read already: its upper three bits are the length less two (7: add the next byte), the lower five and the next byte
say how far back it begins, less one.
"""

from __future__ import annotations


def decompress(data: bytes, length: int) -> bytes:
    """What `data` stands for, which is `length` bytes long. Raises `ValueError` where it is not that."""
    out = bytearray()
    at, end = 0, len(data)
    while at < end:
        control = data[at]
        at += 1
        if control < 32:
            out += data[at : at + control + 1]
            at += control + 1
        else:
            size = control >> 5
            if size == 7:
                size += _at(data, at)
                at += 1
            start = len(out) - ((control & 0x1F) << 8) - _at(data, at) - 1
            at += 1
            if start < 0:
                raise ValueError("a copy of what is not there")
            for place in range(start, start + size + 2):  # it may overlap what it makes
                out.append(out[place])
        if len(out) > length:
            break
    if at != end or len(out) != length:
        raise ValueError("the length is not what was said")
    return bytes(out)


def _at(data: bytes, at: int) -> int:
    if at >= len(data):
        raise ValueError("it is cut off")
    return data[at]
