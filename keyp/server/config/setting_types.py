"""The types of settings: which texts are values, how values are shown and written to a file, and Redis's error texts.

Types that one setting alone has are in `special_types.py`.

A value is read by `change`, which also knows the value so far; it raises `Invalid` with what CONFIG SET then says.
Numbers are never read from more digits than they can have, whatever a client sends.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from keyp.errors import printable
from keyp.server import process
from keyp.server.config.file import quoted

Limits: TypeAlias = tuple[int, int, int]  # of the bytes that may wait for a client: hard, soft, seconds above soft
Value: TypeAlias = int | str | tuple[Limits, ...]

INT32_MIN: Final = -(1 << 31)
INT32_MAX: Final = (1 << 31) - 1
UINT32_MAX: Final = (1 << 32) - 1
INT64_MAX: Final = (1 << 63) - 1
UINT64_MAX: Final = (1 << 64) - 1
MEGABYTE: Final = 1 << 20

_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
WHOLE: Final = re.compile(rb"[+-]?[0-9]{1,18}|")  # as C's strtoll reads it, where nothing is 0
_MEMORY: Final = re.compile(rb"([0-9]{0,127})([a-z]*)")
_UNITS: Final = {
    b"": 1, b"b": 1, b"k": 1000, b"kb": 1 << 10, b"m": 1000**2, b"mb": 1 << 20, b"g": 1000**3, b"gb": 1 << 30,
}  # fmt: skip


class Invalid(Exception):
    """A text that is not a value of the setting's type; says what one must be."""


class SettingType:
    """What values a setting may take, and how they are read. This one takes any text.

    `several`: in a file a value may be several words, which CONFIG SET is given with spaces between them.
    """

    several = False

    def parse(self, text: bytes) -> Value:
        """The value that `text` stands for. Raises `Invalid`."""
        return text.decode("utf-8", "surrogateescape")

    def change(self, value: Value, text: bytes) -> Value:
        """What becomes of a value when CONFIG SET is given `text`. Raises `Invalid`."""
        return self.parse(text)

    def prepare(self, value: Value) -> None:
        """Called when all values of a CONFIG SET have been read and before any holds. Raises `Invalid`."""

    def show(self, value: Value) -> str:
        """A value as CONFIG GET shows it."""
        return str(value)

    def written(self, value: Value, default: Value) -> list[tuple[bytes, bool]]:
        """What CONFIG REWRITE writes behind the setting's name: for each line its text, and whether it must be there.

        A line that need not be there only takes the place of one that is. Without any the file is to have none.
        """
        return [(self._text(value), value != default)]

    def _text(self, value: Value) -> bytes:
        return self.show(value).encode("utf-8", "surrogateescape")


class Text(SettingType):
    """Any text. An empty one is written only where `may_be_empty`, else it is no value."""

    def __init__(self, may_be_empty: bool = False) -> None:
        self._may_be_empty = may_be_empty

    def written(self, value: Value, default: Value) -> list[tuple[bytes, bool]]:
        """See `SettingType`."""
        return super().written(value, default) if value or self._may_be_empty else []

    def _text(self, value: Value) -> bytes:
        return quoted(super()._text(value))


class Directory(Text):
    """A path, which is always written."""

    def written(self, value: Value, default: Value) -> list[tuple[bytes, bool]]:
        """See `SettingType`."""
        return [(self._text(value), True)]


class Words(SettingType):
    """Several words. The default is not written."""

    several = True

    def written(self, value: Value, default: Value) -> list[tuple[bytes, bool]]:
        """See `SettingType`."""
        return [] if value == default else [(self._text(value) or b'""', True)]


class Number(SettingType):
    """An integer from `low` to `high`."""

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = high

    def parse(self, text: bytes) -> int:
        """See `SettingType`."""
        if not _INTEGER.fullmatch(text) or not -INT64_MAX - 1 <= int(text) <= INT64_MAX:
            raise Invalid("argument couldn't be parsed into an integer")
        return self.check(int(text))

    def check(self, value: int) -> int:
        """`value`, if it is within bounds. Raises `Invalid`."""
        if not self.low <= value <= self.high:
            raise Invalid(f"argument must be between {self.low} and {self.high} inclusive")
        return value


class ClientCount(Number):
    """A number of clients, for which there must be descriptors."""

    SPARE: Final = 32  # descriptors that are none of the clients'

    def possible(self, wanted: int) -> int:
        """How many clients there can be descriptors for, `wanted` at most. Raises the process's own limit for them."""
        return process.allow_descriptors(wanted + self.SPARE) - self.SPARE

    def prepare(self, value: Value) -> None:
        """See `SettingType`. Raises the process's own limit where that is needed."""
        assert isinstance(value, int)
        possible = self.possible(value)
        if possible < value:
            raise Invalid(
                "The operating system is not able to handle the specified number of clients,"
                f" try with {max(possible, 1)}"
            )


class Memory(Number):
    """A size in bytes, which may be given with a unit: `k` is a thousand, `kb` is 1024.

    As in Redis, what exceeds 64 bits is the most that they hold before the unit is looked at, and wraps after.
    """

    def parse(self, text: bytes) -> int:
        """See `SettingType`."""
        size = memory_bytes(text)
        if size is None:
            raise Invalid("argument must be a memory value")
        return self.check(size)

    def _text(self, value: Value) -> bytes:
        assert isinstance(value, int)
        return memory_text(value)


def memory_text(size: int) -> bytes:
    """A size in the largest unit that gives a whole number."""
    for unit, letters in ((1 << 30, b"gb"), (1 << 20, b"mb"), (1 << 10, b"kb")):
        if size and size % unit == 0:
            return b"%d%b" % (size // unit, letters)
    return b"%d" % size


def memory_bytes(text: bytes) -> int | None:
    """The bytes that a size with or without a unit stands for, modulo 2^64; None where it is none."""
    found = _MEMORY.fullmatch(text.lower())
    if found is None or found[2] not in _UNITS:
        return None
    return min(int(found[1] or b"0"), UINT64_MAX) * _UNITS[found[2]] & UINT64_MAX


class MemoryOrPercent(Memory):
    """A size in bytes, or a percentage, which is kept as a negative number."""

    def __init__(self) -> None:
        super().__init__(-100, INT64_MAX)

    def parse(self, text: bytes) -> int:
        """See `SettingType`."""
        size = memory_bytes(text)
        if size is None:
            number = text[:-1]
            if not text.endswith(b"%") or not _INTEGER.fullmatch(number) or number.startswith(b"-"):
                raise Invalid("argument must be a memory or percent value")
            size = -int(number)
        elif size > INT64_MAX:
            size -= 1 << 64  # as Redis reads it: the last hundred sizes of 64 bits are percentages
        if not self.low <= size <= self.high:
            raise Invalid("percentage argument must be less or equal to 100")
        return size

    def show(self, value: Value) -> str:
        """See `SettingType`."""
        assert isinstance(value, int)
        return f"{-value}%" if value < 0 else str(value)

    def _text(self, value: Value) -> bytes:
        assert isinstance(value, int)
        return memory_text(value) if value >= 0 else self.show(value).encode()


class Octal(Number):
    """A number that is shown in base 8."""

    def parse(self, text: bytes) -> int:
        """See `SettingType`."""
        if not re.fullmatch(rb"[0-7]{1,21}", text):
            raise Invalid("argument couldn't be parsed as an octal number")
        return self.check(int(text, 8))

    def show(self, value: Value) -> str:
        """See `SettingType`."""
        assert isinstance(value, int)
        return f"{value:o}"


class YesOrNo(SettingType):
    """A switch."""

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        word = text.lower()
        if word not in (b"yes", b"no"):
            raise Invalid("argument must be 'yes' or 'no'")
        return word.decode()


class Choice(SettingType):
    """One of a few words, in any case. `shown_as`: words that are shown as another one."""

    def __init__(self, *words: str, shown_as: dict[str, str] | None = None) -> None:
        self.words = words
        self._shown_as = shown_as or {}

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        word = printable(text).lower()
        if word not in self.words:
            raise self.no_such_word()
        return self._shown_as.get(word, word)

    def no_such_word(self) -> Invalid:
        """The error for a word that is none of them."""
        return Invalid("argument(s) must be one of the following: " + ", ".join(self.words))


class ShutdownOptions(Choice):
    """What a signal that stops the server asks for: several words, with a space between two."""

    several = True

    def __init__(self) -> None:
        super().__init__("default", "save", "nosave", "now", "force")

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        given = printable(text).lower().split(" ")
        if not set(given) <= set(self.words):
            raise self.no_such_word()
        if {"save", "nosave"} <= set(given):
            raise Invalid("shutdown options SAVE and NOSAVE can't be used simultaneously")
        return " ".join([word for word in self.words[1:] if word in given]) or "default"


class Clamped(SettingType):
    """Another type's numbers. What is less than `least` becomes that, and what is more than `most` likewise."""

    def __init__(self, setting_type: Number, least: int, most: int) -> None:
        self._setting_type = setting_type
        self._least = least
        self._most = most

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        return min(max(self._setting_type.parse(text), self._least), self._most)

    def written(self, value: Value, default: Value) -> list[tuple[bytes, bool]]:
        """See `SettingType`."""
        return self._setting_type.written(value, default)


class Pinned(SettingType):
    """Of another type's values only the one there is; any other is refused with a sentence that says why."""

    def __init__(self, setting_type: SettingType, reason: str) -> None:
        self.of_file = setting_type  # what reads a value at the start, where another one may be chosen
        self.several = setting_type.several
        self._reason = reason

    def change(self, value: Value, text: bytes) -> Value:
        """See `SettingType`."""
        if self.of_file.change(value, text) != value:
            raise Invalid(self._reason)
        return value

    def show(self, value: Value) -> str:
        """See `SettingType`."""
        return self.of_file.show(value)

    def written(self, value: Value, default: Value) -> list[tuple[bytes, bool]]:
        """See `SettingType`."""
        return self.of_file.written(value, default)
