"""The types of values, a row each: what everything that works on values of any type needs to know of one.

Copying, measuring and checking (`keyp/storage/`), TYPE, SCAN's TYPE option, SORT and the waking of blocked clients
follow from a type's row. A new type is a row here, a module in `keyp/storage/types/` and the name of its encoding in
`keyp/command/encodings.py`; `tests/commands/test_value_types.py` goes through all of them.
"""

from __future__ import annotations

from typing import Final

# The numbers stand in the records on the disk; 0 stands for "no such key" and is never there.
NOTHING: Final = 0
STRING: Final = 1
LIST: Final = 2
HASH: Final = 3
SET: Final = 4
ZSET: Final = 5
STREAM: Final = 6

# The sections of a collection's elements, the first byte of their names behind the collection's id.
MEMBERS: Final = b"m"
ORDER: Final = b"o"
COUNTS: Final = b"c"
GROUPS: Final = b"g"
GROUP: Final = b"d"
LATER_COUNTS: Final = b"e"
LATER_MEMBERS: Final = b"f"


class ValueType:
    """One type of values.

    `name` is what TYPE replies. `sections` hold an entry for each element of a collection; a type without sections is
    kept in the record itself, or in pieces where it is long. `ranked` is the section whose elements are counted in runs
    where there are many, empty for none. `wakes` says that commands block until a key of this type is made, and
    `wakes_when_gone` that some of them do until it is removed, or replaced by another type; `sorts` that SORT takes its
    elements.
    """

    def __init__(
        self,
        number: int,
        name: str,
        sections: tuple[bytes, ...] = (),
        ranked: bytes = b"",
        wakes: bool = False,
        sorts: bool = False,
        wakes_when_gone: bool = False,
    ) -> None:
        self.number = number
        self.name = name
        self.sections = sections
        self.ranked = ranked
        self.wakes = wakes
        self.sorts = sorts
        self.wakes_when_gone = wakes_when_gone

    def __repr__(self) -> str:
        return f"<type {self.name}>"


# By number.
VALUE_TYPES: Final = (
    ValueType(NOTHING, "none"),
    ValueType(STRING, "string"),
    ValueType(LIST, "list", (MEMBERS,), wakes=True, sorts=True),
    ValueType(HASH, "hash", (MEMBERS,), MEMBERS),
    ValueType(SET, "set", (MEMBERS,), MEMBERS, sorts=True),
    ValueType(ZSET, "zset", (MEMBERS, ORDER), ORDER, wakes=True, sorts=True),
    ValueType(STREAM, "stream", (MEMBERS,), wakes=True, wakes_when_gone=True),
)

# What every write asks, by number.
WAKES: Final = tuple([type_.wakes for type_ in VALUE_TYPES])
WAKES_WHEN_GONE: Final = (*[type_.wakes_when_gone for type_ in VALUE_TYPES], False)  # 7 is the number of no type
