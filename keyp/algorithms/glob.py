"""Glob patterns over bytes, as KEYS, SCAN MATCH, PSUBSCRIBE and CONFIG GET use them.

    *       any bytes, none included        [abc]  [^a-z]   one byte of a class, or not of it
    ?       any one byte                    \\x              the byte x itself

A pattern is cut at its stars into segments. The first segment stands at the start of the name, the last one at its
end, and of those between each is sought once, from the end of the one before: the leftmost place is always good
enough. A segment of fixed bytes is sought by Python's own search; one that leaves a choice by Shift-And (Baeza-Yates
and Gonnet, "A new approach to text searching"), which keeps in the bits of a number how many bytes of the segment stand
before a place. So each byte of a name is looked at once, however many stars there are.

The corners are Redis's (`stringmatchlen`): a class that is never closed reaches to the end of the pattern, a range may
be given backwards, a `]` is closing even as the first of its class, a backslash at the very end is itself, bytes from
128 up count as negative in ranges, and the empty name matches nothing but the empty pattern and a lone `*`.
"""

from __future__ import annotations

from typing import Final

_ZERO: Final = 48
_ONE: Final = 49
_STAR: Final = 42
_CARET: Final = 94
_DASH: Final = 45
_QUESTION: Final = 63
_OPEN: Final = 91
_CLOSE: Final = 93
_BACKSLASH: Final = 92

# A mask has one byte for each byte there is: 1 where it fits.
_ANY: Final = b"\1" * 256
_NONE: Final = bytes(256)
_ONLY: Final = [_NONE[:byte] + b"\1" + _NONE[byte + 1 :] for byte in range(256)]


class Segment:
    """What stands between two stars: so many bytes, each of them fixed or chosen from a mask."""

    def __init__(self) -> None:
        self.size = 0
        self.literal = bytearray()  # the bytes of a segment without masks
        self.masks: list[bytes] = []  # one for each byte, as soon as one of them is not fixed
        self._fits: dict[int, int] = {}  # for a byte of a name, a bit for each place of the segment where it fits

    def add_byte(self, byte: int) -> None:
        """Appends a fixed byte."""
        self.size += 1
        if self.masks:
            self.masks.append(_ONLY[byte])
        else:
            self.literal.append(byte)

    def add_mask(self, mask: bytes) -> None:
        """Appends a byte that is chosen."""
        if not self.masks:
            self.masks = [_ONLY[byte] for byte in bytes(self.literal)]
        self.size += 1
        self.masks.append(mask)

    def stands_at(self, name: bytes, start: int) -> bool:
        """Whether the segment fits `name` at `start`; it does not reach beyond the end."""
        if not self.masks:
            return name.startswith(self.literal, start)
        for mask in self.masks:
            if not mask[name[start]]:
                return False
            start += 1
        return True

    def find(self, name: bytes, start: int, stop: int) -> int:
        """The first place within `start` and `stop` where the segment fits, -1 if there is none."""
        if not self.masks:
            return name.find(self.literal, start, stop)
        whole = 1 << (self.size - 1)
        begun = 0  # a bit for each length of the segment's beginning that ends at this place
        for place in range(start, stop):
            byte = name[place]
            fits = self._fits.get(byte, -1)
            if fits < 0:
                fits = self._fits[byte] = self._places_of(byte)
            begun = (begun << 1 | 1) & fits
            if begun >= whole:
                return place - self.size + 1
        return -1

    def _places_of(self, byte: int) -> int:
        """A bit for each place of the segment where the byte fits, the lowest for the first."""
        digits = bytearray()
        for mask in reversed(self.masks):
            digits.append(_ONE if mask[byte] else _ZERO)
        return int(digits, 2)


class Glob:
    """A pattern ready to be compared with many names.

    `prefix` is the literal beginning that all matching names share; `is_literal` says that the pattern is nothing
    but that name. With `ignore_case` ASCII letters match either case and `prefix` is empty.
    """

    def __init__(self, pattern: bytes, ignore_case: bool = False) -> None:
        self.pattern = pattern
        self._ignores_case = ignore_case
        segments = _parse(pattern.lower() if ignore_case else pattern)
        self._first = segments[0]
        self._has_star = len(segments) > 1
        self._middle = segments[1:-1]
        self._last = segments[-1]
        self.is_literal = not self._has_star and not self._first.masks and not ignore_case
        self.prefix = b"" if ignore_case else bytes(self._first.literal)

    def matches(self, name: bytes) -> bool:
        """Whether `name` fits the pattern."""
        if self._ignores_case:
            name = name.lower()
        if not self._has_star:
            return len(name) == self._first.size and self._first.stands_at(name, 0)
        if not name:
            return self.pattern == b"*"
        place = self._first.size
        stop = len(name) - self._last.size
        if stop < place or not self._first.stands_at(name, 0) or not self._last.stands_at(name, stop):
            return False
        for segment in self._middle:
            place = segment.find(name, place, stop)
            if place < 0:
                return False
            place += segment.size
        return True


def _parse(pattern: bytes) -> list[Segment]:
    """The segments of a pattern, one more than it has runs of stars."""
    segments = [Segment()]
    size = len(pattern)
    place = 0
    while place < size:
        byte = pattern[place]
        place += 1
        if byte == _STAR:
            while place < size and pattern[place] == _STAR:
                place += 1
            segments.append(Segment())
        elif byte == _QUESTION:
            segments[-1].add_mask(_ANY)
        elif byte == _OPEN:
            mask, place = _parse_class(pattern, place)
            segments[-1].add_mask(mask)
        elif byte == _BACKSLASH and place < size:
            segments[-1].add_byte(pattern[place])
            place += 1
        else:
            segments[-1].add_byte(byte)
    return segments


def _parse_class(pattern: bytes, place: int) -> tuple[bytes, int]:
    """The mask of a class whose opening bracket is just before `place`, and the place behind its end."""
    size = len(pattern)
    chosen, rest = 1, 0
    if place < size and pattern[place] == _CARET:
        chosen, rest = 0, 1
        place += 1
    mask = bytearray(_ANY if rest else _NONE)
    while place < size:
        byte = pattern[place]
        if byte == _BACKSLASH and place + 1 < size:
            mask[pattern[place + 1]] = chosen
            place += 2
        elif byte == _CLOSE:
            return bytes(mask), place + 1
        elif place + 2 < size and pattern[place + 1] == _DASH:
            ends = (_signed(byte), _signed(pattern[place + 2]))
            for member in range(min(ends), max(ends) + 1):
                mask[member & 255] = chosen
            place += 3
        else:
            mask[byte] = chosen
            place += 1
    return bytes(mask), size


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte
