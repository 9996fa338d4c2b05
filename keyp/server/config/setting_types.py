"""The types of settings: which texts are values, how values are shown, and Redis's error texts for all others.

A value is read by `change`, which also knows the value so far; it raises `Invalid` with what CONFIG SET then says.
Numbers are never read from more digits than they can have, whatever a client sends.
"""

from __future__ import annotations

import re
from math import isinf, isnan
from typing import Final, TypeAlias

from keyp.errors import printable
from keyp.events import parse_classes, show_classes
from keyp.server import process

Limits: TypeAlias = tuple[int, int, int]  # of the bytes that may wait for a client: hard, soft, seconds above soft
Value: TypeAlias = int | str | tuple[Limits, ...]

INT32_MIN: Final = -(1 << 31)
INT32_MAX: Final = (1 << 31) - 1
UINT32_MAX: Final = (1 << 32) - 1
INT64_MAX: Final = (1 << 63) - 1
UINT64_MAX: Final = (1 << 64) - 1
MEGABYTE: Final = 1 << 20

_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_WHOLE: Final = re.compile(rb"[+-]?[0-9]{1,18}|")  # as C's strtoll reads it, where nothing is 0
_MEMORY: Final = re.compile(rb"([0-9]{0,127})([a-z]*)")
_UNITS: Final = {
    b"": 1, b"b": 1, b"k": 1000, b"kb": 1 << 10, b"m": 1000**2, b"mb": 1 << 20, b"g": 1000**3, b"gb": 1 << 30,
}  # fmt: skip


class Invalid(Exception):
    """A text that is not a value of the setting's type; says what one must be."""


class SettingType:
    """What values a setting may take, and how they are read. This one takes any text."""

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


class Pinned(SettingType):
    """Of another type's values only the one there is; any other is refused with a sentence that says why."""

    def __init__(self, setting_type: SettingType, reason: str) -> None:
        self._setting_type = setting_type
        self._reason = reason

    def change(self, value: Value, text: bytes) -> Value:
        """See `SettingType`."""
        if self._setting_type.change(value, text) != value:
            raise Invalid(self._reason)
        return value

    def show(self, value: Value) -> str:
        """See `SettingType`."""
        return self._setting_type.show(value)


class Locale(SettingType):
    """How texts are compared: byte by byte, which has three names."""

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        if text not in (b"", b"C", b"POSIX"):
            raise Invalid("Invalid locale name")
        return text.decode()


class HostName(SettingType):
    """A name that a host may have."""

    LENGTH_MAX: Final = 255

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        if len(text) > self.LENGTH_MAX:
            raise Invalid(f"Hostnames must be less than {self.LENGTH_MAX + 1} characters")
        if not re.fullmatch(rb"[A-Za-z0-9.-]*", text):
            raise Invalid("Hostnames may only contain alphanumeric characters, hyphens or dots")
        return text.decode()


class NodeName(SettingType):
    """A name of a node for people to read."""

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        if not re.fullmatch(rb"[A-Za-z0-9._-]*", text):
            raise Invalid("Announced human node name contained invalid character")
        return text.decode()


class TitleTemplate(SettingType):
    """What a process may be called, with words in braces for what is not known before."""

    KNOWN: Final = frozenset(("title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"))

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        template = text.decode("utf-8", "surrogateescape")
        words = re.findall(r"\{([^}]*)(\}?)", template)
        shown = re.sub(r"\{(title|server-mode)\}", "", template)  # in Redis's trial both are empty
        if not shown.strip(" ") or not all(end and word in self.KNOWN for word, end in words):
            raise Invalid("template format is invalid or contains unknown variables")
        return template


class EventClasses(SettingType):
    """Classes of keyspace events, by their letters."""

    def parse(self, text: bytes) -> int:
        """See `SettingType`."""
        classes = parse_classes(printable(text))
        if classes is None:
            raise Invalid("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
        return classes

    def show(self, value: Value) -> str:
        """See `SettingType`."""
        assert isinstance(value, int)
        return show_classes(value)


class SavePoints(SettingType):
    """Pairs of seconds and changes, after which a server would save."""

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        words = text.split(b" ") if text else []
        if len(words) % 2 or not all(_WHOLE.fullmatch(word) for word in words):
            raise Invalid("Invalid save parameters")
        numbers = [int(word or b"0") for word in words]
        if any(changes < 0 for changes in numbers[1::2]):
            raise Invalid("Invalid save parameters")
        if any(seconds < 1 for seconds in numbers[::2]):
            raise Invalid("Invalid save parameters")
        return " ".join(map(str, numbers))


class OomScores(SettingType):
    """Three adjustments of the score by which Linux chooses whom to kill when memory runs out."""

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        words = text.split(b" ")
        if len(words) != 3:
            raise Invalid("wrong number of arguments")
        if not all(_WHOLE.fullmatch(word) and -2000 <= int(word or b"0") <= 2000 for word in words):
            raise Invalid("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
        return " ".join([str(int(word or b"0")) for word in words])


class Percentiles(SettingType):
    """Percentages of 0 to 100, as INFO is to show them."""

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        return " ".join([self._one(word) for word in text.split(b" ")]) if text else ""

    def _one(self, word: bytes) -> str:
        try:
            if word != word.strip() or b"_" in word:
                raise ValueError
            percentage = float(word)
        except ValueError:
            raise Invalid("Invalid latency-tracking-info-percentiles parameters") from None
        if isnan(percentage) or (isinf(percentage) and b"inf" not in word.lower()):
            raise Invalid("Invalid latency-tracking-info-percentiles parameters")
        if not 0.0 <= percentage <= 100.0:
            raise Invalid("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
        return f"{percentage:f}".rstrip("0").rstrip(".")


class OutputLimits(SettingType):
    """How many bytes may wait for a client that does not read, for each class of clients (`OUTPUT_CLASSES`)."""

    def change(self, value: Value, text: bytes) -> Value:
        """See `SettingType`. Classes that are not named keep their limits."""
        assert isinstance(value, tuple)
        limits = list(value)
        words = text.split(b" ") if text else []
        if len(words) % 4:
            raise Invalid("Wrong number of arguments in buffer limit configuration.")
        for place in range(0, len(words), 4):
            name = printable(words[place]).lower()
            if name not in _OUTPUT_CLASSES_BY_NAME:
                raise Invalid("Invalid client class specified in buffer limit configuration.")
            limits[_OUTPUT_CLASSES_BY_NAME[name]] = _limits(words[place + 1 : place + 4])
        return tuple(limits)

    def show(self, value: Value) -> str:
        """See `SettingType`."""
        assert isinstance(value, tuple)
        return " ".join(
            [f"{name} {hard} {soft} {s}" for name, (hard, soft, s) in zip(OUTPUT_CLASSES, value, strict=True)]
        )


# The classes of clients, in the order in which their limits are kept and shown.
OUTPUT_CLASSES: Final = ("normal", "slave", "pubsub")
NORMAL: Final = 0
PUBSUB: Final = 2
_OUTPUT_CLASSES_BY_NAME: Final = {"normal": NORMAL, "slave": 1, "replica": 1, "pubsub": PUBSUB}


def _limits(words: list[bytes]) -> Limits:
    hard, soft = memory_bytes(words[0]), memory_bytes(words[1])
    seconds = int(words[2] or b"0") if _WHOLE.fullmatch(words[2]) else -1
    if hard is None or soft is None or not 0 <= seconds <= INT32_MAX:
        raise Invalid("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
    return hard, soft, seconds
