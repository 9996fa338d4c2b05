"""Calls of every command, drawn from its block: the notation of its arguments says what may stand where.

Most words fit their place: keys of the right type, keywords, numbers at their edges. Some calls are spoilt then.
"""

from __future__ import annotations

from typing import Any, Final

from keyp.command.function_dump import dump
from keyp.command.registry import Registry
from keyp.command.spec import OWN, CommandSpec
from keyp.command.syntax import arguments
from keyp.commands.all import TABLES
from keyp.server.config.table import TABLE as SETTINGS
from tests.fuzz import lua_programs, users
from tests.fuzz.source import Source

Call = list[bytes]
Node = dict[bytes, Any]

REGISTRY: Final = Registry(TABLES)

# What is there before each input, and the keys by the group of the commands for them.
STAGE: Final = (
    b"SET s 10", b"SET t hello", b"SET v x PX 1000", b"SETRANGE b 70000 z", b"RPUSH l a b 1 2 a", b"SADD u a b 1",
    b"SADD i 1 2 3", b"ZADD z 1 a 2 b 3 c -inf d", b"HSET h f 1 g x", b"XADD x 1-1 f v", b"XADD x 2-1 f v g w",
    b"XGROUP CREATE x g 0", b"XREADGROUP GROUP g c COUNT 1 STREAMS x >", b"PFADD p a b",
    b"GEOADD e 13.36 38.11 P 15.08 37.5 C",
)  # fmt: skip
KEYS: Final = {
    "string": (b"s", b"t", b"v", b"b", b"n"),
    "bitmap": (b"s", b"t", b"b", b"n"),
    "hyperloglog": (b"p", b"p", b"s", b"n"),
    "list": (b"l", b"l", b"m"),
    "set": (b"u", b"i", b"m"),
    "sorted-set": (b"z", b"e", b"m"),
    "geo": (b"e", b"e", b"z"),
    "hash": (b"h", b"h", b"m"),
    "stream": (b"x", b"x", b"m"),
}
ALL_KEYS: Final = (
    b"s", b"t", b"v", b"b", b"l", b"u", b"i", b"z", b"h", b"x", b"p", b"e", b"n", b"m", b"", b"k" * 600, b"\0\xff",
)  # fmt: skip
INTEGERS: Final = tuple(
    [b"%d" % number for number in (
        0, 1, 2, -1, 3, -2, 10, 16, 63, 64, 100, -100, 255, 1000, 65535, -10, 2**31 - 1, 2**31, -(2**31), 2**32, 2**40,
        2**53, 2**62, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 2**64 - 1, 2**64, 1_700_000_000, 1_700_000_000_000,
        1_700_000_100, 1_700_000_100_000, 4_000_000_000, 9223372036854775, 9223372036854776, 4294967296 * 8 - 1,
    )]
)  # fmt: skip
NUMBERS: Final = (
    b"0", b"1", b"-1", b"1.5", b"0.1", b"-0", b"inf", b"-inf", b"+inf", b"nan", b"1e308", b"-1e308", b"1e400",
    b"1e-400", b"0x10", b"3.0e", b"(1", b"(inf", b"180", b"90", b"85.06", b"-180.0001", b"13.36", b"38", b"1e17",
    b" 1", b"1 ", b"", b"5e-324", b"9223372036854775807", b"9007199254740993", b"." + b"1" * 300, b"17179869184",
    b"0.001",
)  # fmt: skip
SPANS: Final = (b"0", b"1", b"100", b"-1", b"0.01", b"1e3", b"9223372036854775807", b"x", b"10", b"0.0001")
TEXTS: Final = (
    b"a", b"b", b"f", b"g", b"1", b"", b"c", b"hello", b"\0\r\n", b"x" * 70, b"y" * 600, b"-", b"+", b"[a", b"(b",
    b"*", b"$", b">", b"0-0", b"1-1", b"2-*", b"5-1", b"0", b"(1-1", b"18446744073709551615-18446744073709551615",
    b"P", b"C", b"u8", b"i64", b"u63", b"i1", b"#1", b"u64", b"10", b"3.5", b"nosuch", b"=", b"~", b"h->f", b"w*",
    b"#", b"h->*", b"\xff\xfe", b"127.0.0.1:1", b"10.0.0.9:50000", b"default", b"ann", b"8=", b"1-2-3", b"\xc4\x80",
)  # fmt: skip
PATTERNS: Final = (
    b"*",
    b"a*",
    b"?",
    b"[a-c]",
    b"[^a",
    b"\\",
    b"h*",
    b"**",
    b"[",
    b"*[",
    b"[]-a]",
    b"\\*",
    b"",
    b"x*y*z*",
)
NONSENSE: Final = (
    b"", b" ", b"\0", b"-", b"nan", b"1_0", b"9" * 400, b"GET", b"NX", b"COUNT", b"LIMIT", b"STORE", b"WITHSCORES",
    b"BLOCK", b"#", b"(", b"*", b"KEEPTTL", b"EX", b"ID", b"\xff" * 3, b"x" * 5000, b"0", b"-1", b"HELP", b"s", b"l",
    b"z", b"x", b"h",
)  # fmt: skip
WORDS: Final[dict[bytes, tuple[bytes, ...]]] = {
    b"type": (b"string", b"hash", b"stream", b"zset", b"nosuch", b"LIST"),
    b"section": (b"server", b"all", b"everything", b"keyspace", b"stats", b"x", b"commandstats", b"latencystats"),
    b"category": (b"read", b"write", b"nosuch", b"ALL"),
    b"event": (b"command", b"fork", b"x"),
    b"protover": (b"2", b"3"),
    b"libname": (b"py", b"a b", b""),
    b"username": (b"ann", b"bob", b"default", b"a b"),
    b"password": (b"p", b"", b"x" * 70),
    b"group": (b"g", b"g", b"nosuch"),
    b"consumer": (b"c", b"d"),
    b"sha1": (b"f" * 40, b"x", b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"),
    b"function": (b"f", b"g", b"nosuch"),
    b"library-name": (b"l", b"m"),
    b"subcommand": (b"SLEEP", b"SET-ACTIVE-EXPIRE", b"HELP", b"x"),
    b"channel": (b"c", b"d", b"\xff"),
    b"shardchannel": (b"c", b"d"),
    b"numkeys": (b"1", b"0", b"2", b"-1", b"99999999999"),
    b"encoding": (b"u8", b"i64", b"u63", b"i1", b"u64", b"i65", b"x", b"u0"),
    b"cursor": (b"0", b"1", b"18446744073709551615", b"x", b"-1"),
    b"host": (b"localhost", b"NO"),
}
# What a count of random elements is given: with repetitions, there may be as many as it says, in Redis as well.
FEW: Final = (b"0", b"1", b"3", b"-1", b"-3", b"10", b"-50", b"9223372036854775807", b"-9223372036854775808", b"x")
REPEATING: Final = ("SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER")
VALUES_OF_SETTINGS: Final = (
    b"yes", b"no", b"0", b"1", b"100", b"-1", b"1mb", b"1gb", b"", b"x", b"KEA", b"everysec", b"always",
    b"normal 0 0 0", b"pubsub 1mb 1mb 1", b"3600 1 300 100", b"50%", b"allkeys-lru", b"notice", b"9" * 30, b"\xff",
    b"127.0.0.1", b"0777",
)  # fmt: skip


class Drawn:
    """A call that is being drawn: its words, and what later ones depend on."""

    def __init__(self, spec: CommandSpec) -> None:
        self.spec = spec
        self.words = [word.upper().encode() for word in spec.full_name.split("|")]
        self.count_at = 0  # where the number of keys stands
        self.keys = 0  # how many keys stood together last


SPECS: Final = [
    each
    for one in REGISTRY.specs
    for each in (one, *one.subcommands.values())
    if each.function is not None and not each.flags & OWN
]
ARGUMENTS: Final = {spec.full_name: arguments(spec) for spec in SPECS}


def call(source: Source, depth: int = 0) -> Call:
    """One call. `depth` is how many others it stands in."""
    drawn = Drawn(SPECS[source.below(len(SPECS))])
    for node in ARGUMENTS[drawn.spec.full_name]:
        _draw(source, drawn, node, depth)
    words = drawn.words
    if source.chance(12):
        _spoil(source, words)
    return words


def _spoil(source: Source, words: Call) -> None:
    """Something wrong, or only unusual."""
    at = source.below(len(words))
    form = source.below(5)
    if form == 0:
        words.append(source.choice(NONSENSE))
    elif form == 1 and at:
        del words[at]
    elif form == 2:
        words.insert(at + 1, words[at])
    elif form == 3 and at:
        words[at] = source.choice(NONSENSE) if source.chance(70) else source.text(40)
    else:
        words[:] = [words[0].lower(), *words[1:]]


def _draw(source: Source, drawn: Drawn, node: Node, depth: int) -> None:
    flags = node.get(b"flags", ())
    if b"optional" in flags and not source.chance(45):
        return
    times = 1
    if b"multiple" in flags:
        times = 1 + source.below(3)
        if node[b"name"] in (b"id", b"weight") and drawn.keys:
            times = drawn.keys
    token = node.get(b"token")
    if token is not None and node[b"type"] != b"pure-token":
        drawn.words.append(token)
    for _ in range(times):
        _draw_once(source, drawn, node, depth)
    if node[b"type"] == b"key" and b"multiple" in flags:
        drawn.keys = times
        if drawn.count_at:
            drawn.words[drawn.count_at] = b"%d" % times
            drawn.count_at = 0


def _draw_once(source: Source, drawn: Drawn, node: Node, depth: int) -> None:
    form = node[b"type"]
    if form == b"pure-token":
        drawn.words.append(node[b"token"])
    elif form == b"oneof":
        _draw(source, drawn, source.choice(node[b"arguments"]), depth)
    elif form == b"block":
        for part in node[b"arguments"]:
            _draw(source, drawn, part, depth)
    elif node[b"name"] == b"numkeys":
        drawn.count_at = len(drawn.words)
        drawn.words.append(b"0")
    elif node[b"name"] in (b"command", b"command-name") and depth < 2:
        drawn.words += call(source, depth + 1) if source.chance(80) else [source.choice(TEXTS)]
    else:
        drawn.words.append(_word(source, drawn.spec, node, depth))


def _word(source: Source, spec: CommandSpec, node: Node, depth: int) -> bytes:
    form, name = node[b"type"], node[b"name"]
    if form == b"key":
        own = KEYS.get(spec.group)
        return source.choice(own) if own is not None and source.chance(75) else source.choice(ALL_KEYS)
    if name in (b"script", b"function-code", b"serialized-value"):
        return _program(source, name, depth)
    if name == b"parameter":
        return source.choice(NAMES_OF_SETTINGS)
    if name == b"rule":
        return users.rule(source)
    if name == b"value" and spec.full_name == "config|set":
        return source.choice(VALUES_OF_SETTINGS)
    if name == b"count" and spec.name in REPEATING:
        return source.choice(FEW)
    if source.chance(6):
        return source.text(30)
    if name in WORDS:
        return source.choice(WORDS[name])
    if name in (b"timeout", b"milliseconds", b"seconds", b"ms"):
        return source.choice(SPANS)
    if form == b"double":
        return source.choice(NUMBERS)
    if form in (b"integer", b"unix-time"):
        return source.choice(INTEGERS)
    return source.choice(PATTERNS if form == b"pattern" else TEXTS)


def _program(source: Source, name: bytes, depth: int) -> bytes:
    calls = [call(source, depth + 2) for _ in range(source.below(3))] if depth == 0 else []
    if name == b"script":
        return lua_programs.program(source, calls)
    text = lua_programs.library(source, calls)
    return text if name == b"function-code" else dump([text])


NAMES_OF_SETTINGS: Final = tuple(sorted([setting.name.encode() for setting in SETTINGS]))
