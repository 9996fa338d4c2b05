"""What happens to keys, as keyspace notifications report it: the classes of events and one event.

The letters are those of the setting `notify-keyspace-events`
(https://redis.io/docs/latest/develop/use/keyspace-notifications/).
"""

from __future__ import annotations

from typing import Final

KEYSPACE: Final = 1 << 0  # published on __keyspace@N__:key, with the event …
KEYEVENT: Final = 1 << 1  # … and on __keyevent@N__:event, with the key
GENERIC: Final = 1 << 2
STRING: Final = 1 << 3
LIST: Final = 1 << 4
SET: Final = 1 << 5
HASH: Final = 1 << 6
ZSET: Final = 1 << 7
EXPIRED: Final = 1 << 8
EVICTED: Final = 1 << 9
STREAM: Final = 1 << 10
KEY_MISS: Final = 1 << 11
MODULE: Final = 1 << 12
NEW: Final = 1 << 13

# The classes by their letters, in the order in which the setting is shown. `A` stands for all of ALL.
LETTERS: Final = (
    (GENERIC, "g"), (STRING, "$"), (LIST, "l"), (SET, "s"), (HASH, "h"), (ZSET, "z"), (EXPIRED, "x"), (EVICTED, "e"),
    (STREAM, "t"), (MODULE, "d"), (NEW, "n"),
)  # fmt: skip
ALL: Final = GENERIC | STRING | LIST | SET | HASH | ZSET | EXPIRED | EVICTED | STREAM | MODULE
TARGETS: Final = ((KEYSPACE, "K"), (KEYEVENT, "E"), (KEY_MISS, "m"))


def parse_classes(text: str) -> int | None:
    """The classes that letters stand for; None where one stands for nothing."""
    flags = {letter: flag for flag, letter in LETTERS + TARGETS}
    flags["A"] = ALL
    classes = 0
    for letter in text:
        if letter not in flags:
            return None
        classes |= flags[letter]
    return classes


def show_classes(classes: int) -> str:
    """The letters of classes, as Redis shows them: behind an `A` it leaves out the `n`, even where it is on."""
    shown = "A" if classes & ALL == ALL else "".join([letter for flag, letter in LETTERS if classes & flag])
    return shown + "".join([letter for flag, letter in TARGETS if classes & flag])


class Event:
    """`name` happened to `key` of a database; `event_class` is one of the classes above."""

    def __init__(self, event_class: int, name: str, database: int, key: bytes) -> None:
        self.event_class = event_class
        self.name = name
        self.database = database
        self.key = key
