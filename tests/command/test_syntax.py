"""The manual's notation becomes Redis's description of arguments.

The rows write an argument as `type:name`, its token in front, its flags behind, its members in brackets.
"""

from __future__ import annotations

from typing import Any

import pytest

from keyp.command.registry import Registry
from keyp.command.spec import READ, CommandSpec, KeySpec, KeyToStore, UnknownKeys
from keyp.command.syntax import arguments
from keyp.commands.all import TABLES

REGISTRY = Registry(TABLES)
KEYS = (KeySpec(1, 0, 1, "RW"), KeySpec(2, 0, 1, "OW"))


def described(syntax: str, name: str = "TEST", keys: tuple[KeySpec, ...] = KEYS) -> str:
    spec = CommandSpec(name, "test", READ, None, -1, keys, 0, "1.0.0", "", syntax, "", "", (), ())
    return " ".join(map(written, arguments(spec)))


def written(node: dict[bytes, Any]) -> str:
    kind = node[b"type"].decode()
    text = f"{node[b'token'].decode()}=" if b"token" in node else ""
    text += kind if kind in ("pure-token", "oneof", "block") else f"{kind}:{node[b'name'].decode()}"
    text += f"#{node[b'key_spec_index']}" if b"key_spec_index" in node else ""
    text += "".join(f"+{flag.decode()}" for flag in node.get(b"flags", []))
    if b"arguments" in node:
        text += f"({' '.join(map(written, node[b'arguments']))})"
    return text


@pytest.mark.parametrize(
    ("syntax", "expected"),
    [
        ("", ""),
        ("message", "string:message"),
        ("[message]", "string:message+optional"),
        ("key value", "key:key#0 string:value"),
        ("key newkey", "key:key#0 key:newkey#1"),
        ("key [key ...]", "key:key#0+multiple"),
        ("[key [key ...]]", "key:key#0+multiple+optional"),
        ("[arg ...]", "string:arg+multiple+optional"),
        ("key value [key value ...]", "block+multiple(key:key#0 string:value)"),
        ("key element value [element value ...]", "key:key#0 block+multiple(string:element string:value)"),
        ("[NX | XX]", "oneof+optional(NX=pure-token XX=pure-token)"),
        ("<ON | OFF>", "oneof(ON=pure-token OFF=pure-token)"),
        ("ON | OFF", "oneof(ON=pure-token OFF=pure-token)"),
        ("[GET]", "GET=pure-token+optional"),
        (
            "[EX seconds | PXAT unix-time-milliseconds | PERSIST]",
            "oneof+optional(EX=integer:seconds PXAT=unix-time:unix-time-milliseconds PERSIST=pure-token)",
        ),
        ("[LIMIT offset count]", "LIMIT=block+optional(integer:offset integer:count)"),
        ("[MATCH pattern] [COUNT count]", "MATCH=pattern:pattern+optional COUNT=integer:count+optional"),
        ("[TYPE <A | B>]", "TYPE=oneof+optional(A=pure-token B=pure-token)"),
        ("[ID client-id [client-id ...]]", "ID=integer:client-id+multiple+optional"),
        ("[GET pattern [GET pattern ...]]", "GET=pattern:pattern+multiple+multiple_token+optional"),
        (
            "SLOTS start-slot end-slot [SLOTS start-slot end-slot ...]",
            "SLOTS=block+multiple+multiple_token(integer:start-slot integer:end-slot)",
        ),
        (
            "[protover [AUTH username password] [SETNAME clientname]]",
            "block+optional(integer:protover AUTH=block+optional(string:username string:password)"
            " SETNAME=string:clientname+optional)",
        ),
        ("<host port | NO ONE>", "oneof(block(string:host integer:port) block(NO=pure-token ONE=pure-token))"),
        ("<* | id>", "oneof(*=pure-token string:id)"),
        ("[= | ~] threshold", "oneof+optional(==pure-token ~=pure-token) string:threshold"),
        (
            "GROUP group consumer [COUNT count] STREAMS key [key ...] id [id ...]",
            "GROUP=block(string:group string:consumer) COUNT=integer:count+optional"
            " STREAMS=block(key:key#0+multiple string:id+multiple)",
        ),
        ("<ip:port | <ID id | SKIPME> ...>", "oneof(string:ip:port oneof+multiple(ID=string:id SKIPME=pure-token))"),
        ("[[ID id] ...]", "ID=string:id+optional+multiple"),
    ],
)
def test_notation(syntax: str, expected: str) -> None:
    assert described(syntax) == expected


def test_keys_beyond_the_last_specification_share_it() -> None:
    assert described("key1 key2", keys=KEYS[:1]) == "key:key1#0 key:key2#0"


def test_a_key_that_is_no_key_of_the_command_is_a_word() -> None:
    assert described("key", keys=()) == "string:key"


def test_increments_by_floats_are_real() -> None:
    assert described("key increment", "INCRBY") == "key:key#0 integer:increment"
    assert described("key increment", "INCRBYFLOAT") == "key:key#0 double:increment"


def every_spec() -> list[CommandSpec]:
    return [each for spec in REGISTRY for each in (spec, *spec.subcommands.values())]


def test_patterns_that_make_names_share_a_key_specification() -> None:
    keys = (*KEYS[:1], UnknownKeys("RO"), KeyToStore("OW"))
    assert described("key [BY pattern] [GET pattern] [STORE destination]", keys=keys) == (
        "key:key#0 BY=pattern:pattern#1+optional GET=pattern:pattern#1+optional STORE=key:destination#2+optional"
    )


@pytest.mark.parametrize("spec", [spec for spec in every_spec() if spec.syntax], ids=lambda spec: spec.full_name)
def test_every_notation_of_ours_can_be_read(spec: CommandSpec) -> None:
    assert spec.syntax.count("[") == spec.syntax.count("]")
    assert spec.syntax.count("<") == spec.syntax.count(">")
    nodes = arguments(spec)
    assert nodes
    pending = list(nodes)
    indexes = set()
    while pending:
        node = pending.pop()
        assert node[b"name"]
        assert (b"arguments" in node) == (node[b"type"] in (b"oneof", b"block"))
        pending += node.get(b"arguments", [])
        indexes.add(node.get(b"key_spec_index"))
    assert indexes - {None} == {at for at, key_spec in enumerate(spec.keys) if key_spec.flags != "not_key"}
