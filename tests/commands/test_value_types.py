"""Every type of values is known to all that goes by the table of types: copies, sizes, checks, names, encodings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from keyp.command.encodings import ENCODINGS
from keyp.storage.value_types import NOTHING, VALUE_TYPES, ValueType

COMMANDS = Path(__file__).parent.parent.parent / "keyp/commands"

# A command that makes a small value of each type, and one that makes a value of several runs or pieces.
MAKE = {
    "string": ("SET {} v", "SETRANGE {} 200000 v"),
    "list": ("RPUSH {} a b", "RPUSH {} " + " ".join(map(str, range(2000)))),
    "hash": ("HSET {} f v", "HSET {} " + " ".join(map(str, range(2000)))),
    "set": ("SADD {} a b", "SADD {} " + " ".join(map(str, range(2000)))),
    "zset": ("ZADD {} 1 a", "ZADD {} " + " ".join(map(str, range(2000)))),
    "stream": ("XGROUP CREATE {} g 0 MKSTREAM", "XADD {} 1 " + " ".join(map(str, range(2000)))),
}
TYPES = [type_ for type_ in VALUE_TYPES if type_.number != NOTHING]


def test_a_row_is_found_by_its_number() -> None:
    assert [type_.number for type_ in VALUE_TYPES] == list(range(len(VALUE_TYPES)))
    assert ENCODINGS.keys() == {type_.number for type_ in TYPES}
    assert all(not type_.ranked or type_.ranked in type_.sections for type_ in VALUE_TYPES)


@pytest.mark.parametrize("form", [0, 1])
@pytest.mark.parametrize("type_", TYPES, ids=lambda type_: type_.name)
def test_what_goes_through_the_table(keyp: Any, type_: ValueType, form: int) -> None:
    """The fixture checks the store at the end."""
    keyp.answer(MAKE[type_.name][form].format("k"))
    assert keyp.answer("COPY k copy") == 1
    for key in ("k", "copy"):
        assert keyp.answer(f"TYPE {key}") == type_.name
        assert keyp.answer(f"SCAN 0 TYPE {type_.name} MATCH {key}")[1] == [key.encode()]
    for question in ("OBJECT ENCODING", "MEMORY USAGE"):
        assert keyp.answer(f"{question} k")
    assert keyp.answer("MEMORY USAGE copy") == keyp.answer("MEMORY USAGE k") + len("copy") - len("k")
    assert (keyp.answer("SORT k BY none") == "WRONGTYPE Operation against a key holding the wrong kind of value") == (
        not type_.sorts
    )


READS = {
    "string": ("GET k", "GETRANGE k 0 99"),
    "list": ("LRANGE k 0 -1", "LPOS k b"),
    "hash": ("HGETALL k", "HSCAN k 0", "HKEYS k", "HGET k nosuch"),
    "set": ("SMEMBERS k", "SSCAN k 0", "SINTER k k", "SISMEMBER k nosuch"),
    "zset": ("ZRANGE k 0 -1", "ZRANGEBYSCORE k 1 9", "ZREVRANGEBYSCORE k 9 1", "ZSCAN k 0", "ZCOUNT k 1 9"),
    "stream": (
        "XGROUP CREATE k g 0",
        "XINFO STREAM k FULL",
        "XADD k 2 f v",
        "XRANGE k 0 9",
        "XREVRANGE k 9 0",
        "XREAD COUNT 9 STREAMS k 0-1",
        "XINFO STREAM k FULL",
        "XPENDING k g",
        "XREADGROUP GROUP g c STREAMS k >",
        "XTRIM k MAXLEN 1",
        "XDEL k 1",
    ),
}


@pytest.mark.parametrize("form", [0, 1])
@pytest.mark.parametrize("type_", TYPES, ids=lambda type_: type_.name)
def test_a_neighbour_of_zeros_is_no_damage(keyp: Any, type_: ValueType, form: int) -> None:
    """What ends a walk may be the piece of a long string, and hold nothing."""
    for before, after in (("", "SETRANGE behind 200000 v"), ("SETRANGE ahead 200000 v", "")):
        lines = ["FLUSHALL", before, MAKE[type_.name][form].format("k"), after]
        keyp.script("; ".join([line for line in lines if line]))
        for line in READS[type_.name]:
            reply = keyp.answer(line)
            assert not (isinstance(reply, str) and "damaged" in reply), (line, reply)
        if after:
            assert keyp.answer("GETRANGE behind 199999 200000") == b"\0v"


def test_a_key_that_is_made_wakes_those_who_wait_for_its_type() -> None:
    """What blocks says for which type it waits: each of those types wakes, and no other."""
    waits = {
        name.lower() for path in COMMANDS.glob("*.py") for name in re.findall(r"\bWait\(([A-Z]+),", path.read_text())
    }
    assert waits == {type_.name for type_ in VALUE_TYPES if type_.wakes}
