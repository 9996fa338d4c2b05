"""From the manual's notation to the reference's description of arguments, which COMMAND DOCS gives to clients.

A command's block says `key value [NX | XX] [EX seconds | PX milliseconds | KEEPTTL]`; redis-cli's hints and other
tools want the same as nested maps. The notation: lower-case words are arguments, UPPER-CASE words are tokens that
are typed as they are, `[…]` may be left out, `<…>` only groups, `|` separates alternatives, and `word [word ...]`
is one or more of the same.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from keyp.commands.spec import CommandSpec

Node: TypeAlias = dict[bytes, Any]

KEYS: Final = frozenset(("key", "key1", "key2", "source", "destination", "newkey"))
INTEGERS: Final = frozenset(
    (
        "seconds", "milliseconds", "count", "offset", "decrement", "increment", "index", "index1", "index2", "start",
        "end", "timeout", "client-id", "cursor", "db", "destination-db", "min-match-len", "protover", "numreplicas",
        "numlocal", "samples", "version",
    )
)  # fmt: skip


def arguments(spec: CommandSpec) -> list[Node]:
    """The command's arguments as COMMAND DOCS describes them; empty where there are none."""
    words = spec.syntax
    for bracket in "[]<>|":
        words = words.replace(bracket, f" {bracket} ")
    nodes = _Reader(words.split(), spec).sequence()
    _mark_keys(nodes, spec)
    return nodes


def _mark_keys(nodes: list[Node], spec: CommandSpec) -> None:
    """Gives each key its specification: the one that begins where the argument stands, else the first."""
    if not spec.keys:
        return
    first = 2 if "|" in spec.name else 1
    for position, node in enumerate(nodes, first):
        if node[b"type"] == b"key":
            begins = [key_spec.begin for key_spec in spec.keys]
            node[b"key_spec_index"] = begins.index(position) if position in begins else 0


class _Reader:
    """Reads words from the left; `at` is the next one."""

    def __init__(self, words: list[str], spec: CommandSpec) -> None:
        self.words = words
        self.at = 0
        self.real = spec.name.endswith("FLOAT")

    def sequence(self) -> list[Node]:
        """Arguments one after the other, up to the end of their group. A token takes what follows it as its own."""
        nodes: list[Node] = []
        token = ""
        while self.at < len(self.words) and self.words[self.at] not in ("]", ">", "|"):
            word = self.words[self.at]
            self.at += 1
            if word in ("[", "<"):
                self._add_group(nodes, optional=word == "[")
            elif word == "...":
                _flag(nodes[-1], b"multiple")
            elif word == word.upper() and not nodes and not token:
                token = word
            elif word == word.upper():
                nodes.append(_pure_token(word))
            else:
                nodes.append({b"name": word.encode(), b"type": self._type(word)})
        return _under_token(token, nodes) if token else nodes

    def _add_group(self, nodes: list[Node], optional: bool) -> None:
        choices = [self.sequence()]
        while self.at < len(self.words) and self.words[self.at] == "|":
            self.at += 1
            choices.append(self.sequence())
        self.at += 1
        repeated = choices[0]
        if len(choices) == 1 and _repeats(repeated, nodes):
            names = [node[b"name"] for node in repeated]
            group = _block([dict(node) for node in nodes[-len(names) :]])
            group.pop(b"flags", None)
            del nodes[-len(names) :]
            nodes.append(_flag(group, b"multiple"))
            return
        node = _block(repeated) if len(choices) == 1 else _one_of([_block(choice) for choice in choices])
        nodes.append(_flag(node, b"optional") if optional else node)

    def _type(self, word: str) -> bytes:
        if word in KEYS:
            return b"key"
        if word == "pattern":
            return b"pattern"
        if word.startswith("unix-time"):
            return b"unix-time"
        if word in INTEGERS:
            return b"double" if self.real else b"integer"
        return b"string"


def _repeats(group: list[Node], nodes: list[Node]) -> bool:
    """Whether a group says the same once more, with dots: `field value [field value ...]`."""
    if not group or b"multiple" not in group[-1].get(b"flags", ()):
        return False
    names = [node[b"name"] for node in group]
    return [node[b"name"] for node in nodes[-len(names) :]] == names


def _under_token(token: str, nodes: list[Node]) -> list[Node]:
    if not nodes:
        return [_pure_token(token)]
    node = _block(nodes)
    if b"token" in node:
        node = {b"name": token.lower().encode(), b"type": b"block", b"arguments": nodes}
    node[b"token"] = token.encode()
    return [node]


def _pure_token(word: str) -> Node:
    return {b"name": word.lower().encode(), b"type": b"pure-token", b"token": word.encode()}


def _block(nodes: list[Node]) -> Node:
    if len(nodes) == 1:
        return nodes[0]
    return {b"name": _joined(nodes), b"type": b"block", b"arguments": nodes}


def _one_of(nodes: list[Node]) -> Node:
    return {b"name": _joined(nodes), b"type": b"oneof", b"arguments": nodes}


def _joined(nodes: list[Node]) -> bytes:
    return b"_".join([node[b"name"] for node in nodes])


def _flag(node: Node, flag: bytes) -> Node:
    node[b"flags"] = [*node.get(b"flags", ()), flag]
    return node
