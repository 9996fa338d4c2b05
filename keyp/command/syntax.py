"""From the manual's notation to Redis's description of arguments, which COMMAND DOCS gives to clients.

A command's block says `key value [NX | XX] [EX seconds | PX milliseconds | KEEPTTL]`; redis-cli's hints and other
tools want the same as nested maps. The notation: lower-case words are arguments, UPPER-CASE words and signs are
tokens that are typed as they are, `[…]` may be left out, `<…>` only groups, `|` separates alternatives, and
`word [word ...]` is one or more of the same. A token owns the words right behind it: `LIMIT offset count`.

The notation is first read into parts, then the parts become arguments (the `arguments` of
https://redis.io/docs/latest/commands/command-docs/). The notation has no names for groups; they are made of their
members' names.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from keyp.command.spec import CommandSpec, KeySpec

Node: TypeAlias = dict[bytes, Any]

DOTS: Final = "..."
BRACKETS: Final = "[]<>|"

KEYS: Final = frozenset(
    (
        "key",
        "key1",
        "key2",
        "newkey",
        "source",
        "sourcekey",
        "src",
        "destination",
        "destkey",
        "dst",
    )
)
INTEGERS: Final = frozenset(
    (
        "seconds", "milliseconds", "count", "offset", "decrement", "increment", "index", "index1", "index2", "start",
        "stop", "end", "timeout", "client-id", "cursor", "db", "destination-db", "len", "limit", "min-match-len",
        "numkeys", "numlocal", "numreplicas", "port", "protover", "rank", "samples", "ttl", "version", "weight", "bit",
        "num-matches", "slot", "start-slot", "end-slot", "config-epoch", "cluster-bus-port", "entries-added",
        "entries-read", "ms",
    )
)  # fmt: skip
DOUBLES: Final = frozenset(("score", "longitude", "latitude", "radius", "width", "height"))

# Words that mean something else in one command than in others. A time that a client waits for a key is a double, too.
OF_ONE_COMMAND: Final = {
    ("INCRBYFLOAT", "increment"): b"double",
    ("HINCRBYFLOAT", "increment"): b"double",
    ("ACL|GENPASS", "bits"): b"integer",
    ("SETBIT", "value"): b"integer",
    ("BITFIELD", "value"): b"integer",
    ("ZRANGE", "start"): b"string",
    ("ZRANGE", "stop"): b"string",
    ("XPENDING", "min-idle-time"): b"integer",
    **{
        (name, word): b"string"
        for name in ("XRANGE", "XREVRANGE", "XPENDING", "XAUTOCLAIM")
        for word in ("start", "end")
    },
    **{
        (name, word): b"double"
        for name in ("ZCOUNT", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZREMRANGEBYSCORE")
        for word in ("min", "max")
    },
}


def arguments(spec: CommandSpec) -> list[Node]:
    """The command's arguments as COMMAND DOCS describes them; empty where there are none."""
    words = spec.syntax
    for bracket in BRACKETS:
        words = words.replace(bracket, f" {bracket} ")
    choices = _Reader(words.split()).choices()
    described = _arguments(choices[0], spec) if len(choices) == 1 else [_one_of(choices, spec)]
    _mark_keys(described, spec.keys, 0)
    return described


class _Part:
    """A word, or the alternatives inside brackets. `text` is how it is written."""

    def __init__(self, text: str, choices: list[list[_Part]], optional: bool) -> None:
        self.text = text
        self.choices = choices
        self.optional = optional
        self.is_token = not choices and text != DOTS and text == text.upper()
        self.is_word = not choices and text != DOTS and not self.is_token

    def repeated(self) -> list[_Part]:
        """The parts that `[part ...]` says may come again; none for any other part."""
        if self.optional and len(self.choices) == 1 and self.choices[0][-1].text == DOTS:
            return self.choices[0][:-1]
        return []


class _Reader:
    """Reads words from the left; `at` is the next one."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.at = 0

    def choices(self) -> list[list[_Part]]:
        """The alternatives up to the closing bracket, or to the end."""
        choices: list[list[_Part]] = [[]]
        while self.at < len(self.words):
            word = self.words[self.at]
            self.at += 1
            if word in ("]", ">"):
                break
            if word == "|":
                choices.append([])
            elif word in ("[", "<"):
                inner = self.choices()
                text = " | ".join([" ".join([part.text for part in choice]) for choice in inner])
                choices[-1].append(_Part(f"[{text}]" if word == "[" else f"<{text}>", inner, word == "["))
            else:
                choices[-1].append(_Part(word, [], False))
        return choices


def _arguments(parts: list[_Part], spec: CommandSpec) -> list[Node]:
    """The arguments that parts written one behind the other stand for."""
    nodes: list[Node] = []
    widths: list[int] = []  # how many parts each node stands for
    at = 0
    while at < len(parts):
        part = parts[at]
        again = part.repeated()
        if part.text == DOTS:
            _flag(nodes[-1], b"multiple")
            widths[-1] += 1
            at += 1
        elif again and _texts(parts[max(0, at - len(again)) : at]) == _texts(again):
            _repeat_last(nodes, widths, len(again), again[0].is_token)
            at += 1
        else:
            end = _end_of_operands(parts, at)
            nodes.append(_argument(part, parts[at + 1 : end], spec))
            widths.append(end - at)
            at = end
    return nodes


def _texts(parts: list[_Part]) -> list[str]:
    return [part.text for part in parts]


def _end_of_operands(parts: list[_Part], at: int) -> int:
    """Where what belongs to the part at `at` ends: a token owns the words behind it, or the group of its values."""
    end = at + 1
    if not parts[at].is_token:
        return end
    if end < len(parts) and parts[end].choices and not parts[end].optional:
        return end + 1
    while end < len(parts):
        again = parts[end].repeated()
        if not parts[end].is_word and not (again and again[0].is_word):
            break
        end += 1
    return end


def _repeat_last(nodes: list[Node], widths: list[int], count: int, with_token: bool) -> None:
    """Says that the arguments made of the last `count` parts may come again, as one."""
    first = len(nodes)
    width = 0
    while width < count:
        first -= 1
        width += widths[first]
    node = _flag(_block(nodes[first:]), b"multiple")
    nodes[first:] = [_flag(node, b"multiple_token") if with_token else node]
    widths[first:] = [width + 1]


def _argument(part: _Part, operands: list[_Part], spec: CommandSpec) -> Node:
    """The argument that one part stands for, with the operands of a token."""
    if part.is_token:
        return _under_token(part.text, _arguments(operands, spec))
    if part.is_word:
        return {b"name": part.text.encode(), b"type": _type(part.text, spec)}
    node = _one_of(part.choices, spec)
    return _flag(node, b"optional") if part.optional else node


def _one_of(choices: list[list[_Part]], spec: CommandSpec) -> Node:
    nodes = [_block(_arguments(choice, spec)) for choice in choices]
    return nodes[0] if len(nodes) == 1 else {b"name": _joined(nodes), b"type": b"oneof", b"arguments": nodes}


def _block(nodes: list[Node]) -> Node:
    return nodes[0] if len(nodes) == 1 else {b"name": _joined(nodes), b"type": b"block", b"arguments": nodes}


def _under_token(token: str, operands: list[Node]) -> Node:
    if not operands:
        return {b"name": token.lower().encode(), b"type": b"pure-token", b"token": token.encode()}
    node = _block(operands)
    node[b"token"] = token.encode()
    return node


def _type(word: str, spec: CommandSpec) -> bytes:
    if word in KEYS and spec.keys:
        return b"key"
    if word == "pattern":
        return b"pattern"
    if word.startswith("unix-time"):
        return b"unix-time"
    if (spec.name, word) in OF_ONE_COMMAND:
        return OF_ONE_COMMAND[spec.name, word]
    if word in DOUBLES or (word == "timeout" and spec.keys):
        return b"double"
    return b"integer" if word in INTEGERS else b"string"


def _joined(nodes: list[Node]) -> bytes:
    return b"_".join([node[b"name"] for node in nodes])


def _flag(node: Node, flag: bytes) -> Node:
    flags: list[bytes] = node.setdefault(b"flags", [])
    if flag not in flags:
        flags.append(flag)
    return node


def _mark_keys(nodes: list[Node], specs: tuple[KeySpec, ...], used: int) -> int:
    """Gives each key, as they are read, the next of the key specifications or the last; how many are used now.

    Patterns that keys' names are made of share one.
    """
    for node in nodes:
        if node[b"type"] == b"key":
            node[b"key_spec_index"] = min(used, len(specs) - 1)
            used += 1
        elif node[b"type"] == b"pattern":
            for index, spec in enumerate(specs):
                if spec.is_of_patterns():
                    node[b"key_spec_index"] = index
                    used = max(used, index + 1)
        used = _mark_keys(node.get(b"arguments", []), specs, used)
    return used
