"""Types that one setting alone has; the others are in `setting_types.py`."""

from __future__ import annotations

import re
from math import isinf, isnan
from typing import Final

from keyp.errors import printable
from keyp.events import parse_classes, show_classes
from keyp.server.config.file import quoted
from keyp.server.config.setting_types import (
    INT32_MAX,
    WHOLE,
    Invalid,
    Limits,
    SettingType,
    Text,
    Value,
    Words,
    memory_bytes,
    memory_text,
)


class Master(Words):
    """The host and port of a server to follow; `no one` is none."""

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        if text and len(text.split(b" ")) != 2:
            raise Invalid("wrong number of arguments")
        return "" if text.lower() == b"no one" else super().parse(text)


class Locale(Text):
    """How texts are compared: byte by byte, which has three names."""

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        if text not in (b"", b"C", b"POSIX"):
            raise Invalid("Invalid locale name")
        return text.decode()


class HostName(Text):
    """A name that a host may have."""

    LENGTH_MAX: Final = 255

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        if len(text) > self.LENGTH_MAX:
            raise Invalid(f"Hostnames must be less than {self.LENGTH_MAX + 1} characters")
        if not re.fullmatch(rb"[A-Za-z0-9.-]*", text):
            raise Invalid("Hostnames may only contain alphanumeric characters, hyphens or dots")
        return text.decode()


class NodeName(Text):
    """A name of a node for people to read."""

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        if not re.fullmatch(rb"[A-Za-z0-9._-]*", text):
            raise Invalid("Announced human node name contained invalid character")
        return text.decode()


class TitleTemplate(Text):
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

    def _text(self, value: Value) -> bytes:
        return quoted(super()._text(value))


class SavePoints(SettingType):
    """Pairs of seconds and changes, after which a server would save."""

    several = True

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        words = text.split(b" ") if text else []
        if len(words) % 2 or not all(WHOLE.fullmatch(word) for word in words):
            raise Invalid("Invalid save parameters")
        numbers = [int(word or b"0") for word in words]
        if any(changes < 0 for changes in numbers[1::2]):
            raise Invalid("Invalid save parameters")
        if any(seconds < 1 for seconds in numbers[::2]):
            raise Invalid("Invalid save parameters")
        return " ".join(map(str, numbers))

    def written(self, value: Value, default: Value) -> list[tuple[bytes, bool]]:
        """See `SettingType`."""
        numbers = self._text(value).split()
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return [(b" ".join(pair), True) for pair in pairs] or [(b'""', True)]


class OomScores(SettingType):
    """Three adjustments of the score by which Linux chooses whom to kill when memory runs out."""

    several = True

    def parse(self, text: bytes) -> Value:
        """See `SettingType`."""
        words = text.split(b" ")
        if len(words) != 3:
            raise Invalid("wrong number of arguments")
        if not all(WHOLE.fullmatch(word) and -2000 <= int(word or b"0") <= 2000 for word in words):
            raise Invalid("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
        return " ".join([str(int(word or b"0")) for word in words])


class Percentiles(SettingType):
    """Percentages of 0 to 100, as INFO is to show them."""

    several = True

    def written(self, value: Value, default: Value) -> list[tuple[bytes, bool]]:
        """See `SettingType`."""
        return [(self._text(value) or b'""', True)]

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


class OutputBufferLimits(SettingType):
    """How many bytes may wait for a client that does not read, for each class of clients (`OUTPUT_CLASSES`)."""

    several = True

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

    def written(self, value: Value, default: Value) -> list[tuple[bytes, bool]]:
        """See `SettingType`."""
        assert isinstance(value, tuple)
        assert isinstance(default, tuple)
        lines: list[tuple[bytes, bool]] = []
        for name, limits, usual in zip((b"normal", b"replica", b"pubsub"), value, default, strict=True):
            text = b"%b %b %b %d" % (name, memory_text(limits[0]), memory_text(limits[1]), limits[2])
            lines.append((text, limits != usual))
        return lines


# The classes of clients, in the order in which their limits are kept and shown.
OUTPUT_CLASSES: Final = ("normal", "slave", "pubsub")
NORMAL: Final = 0
PUBSUB: Final = 2
_OUTPUT_CLASSES_BY_NAME: Final = {"normal": NORMAL, "slave": 1, "replica": 1, "pubsub": PUBSUB}


def _limits(words: list[bytes]) -> Limits:
    hard, soft = memory_bytes(words[0]), memory_bytes(words[1])
    seconds = int(words[2] or b"0") if WHOLE.fullmatch(words[2]) else -1
    if hard is None or soft is None or not 0 <= seconds <= INT32_MAX:
        raise Invalid("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
    return hard, soft, seconds
