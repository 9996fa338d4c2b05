"""COMMAND INFO and COMMAND DOCS: what Keyp says of each command that the reference has too is what that says of it.

`facts.py` lists what is compared. A command that the reference lacks is Keyp's own, and its block says so.
"""

from __future__ import annotations

from typing import Final

import pytest

from keyp.command.describe import docs, info
from keyp.command.registry import Registry
from keyp.command.spec import OWN, CommandSpec
from keyp.commands.all import TABLES
from keyp.resp.encoder import encode
from tests import wire
from tests.differential.facts import FACTS, Facts, ask, facts_of
from tests.differential.servers import Reference

NEW_TIPS: Final = "the tips of 7.2, which 7.0 did not give yet"
BUSY: Final = "allowed while a script runs, in Valkey only; Keyp has no scripts"
LOADING: Final = "Valkey answers while it loads"
REFUSED: Final = "Valkey marks what MULTI refuses to queue"
OPTIONS: Final = "Valkey has options that Redis 7.2 has not"
OF_7_2: Final = "since 7.2"
DEBUG: Final = "subcommands that the reference does not list"
FILTERS: Final = "the filters are optional words in one list, which the notation has no sign for"

# Where the reference is known to say something else, and why: (command, field) -> reason.
IN_REDIS_7_0: Final = {
    ("client|setname", "tips"): NEW_TIPS,
    ("config|resetstat", "tips"): NEW_TIPS,
    ("config|rewrite", "tips"): NEW_TIPS,
    ("latency|reset", "tips"): NEW_TIPS,
    ("msetnx", "tips"): "7.2 took these tips back: MSETNX over several nodes would not be one unit",
    ("randomkey", "tips"): NEW_TIPS,
    ("scan", "tips"): NEW_TIPS,
    ("wait", "flags"): "blocking since 7.2",
    ("wait", "categories"): "blocking since 7.2",
    ("client|reply", "flags"): "refused by MULTI, as by Valkey: in EXEC it would put the client out of step",
    ("command|getkeys", "arity"): "since 7.2 a command without arguments may be asked about",
    ("command|getkeysandflags", "arity"): "since 7.2 a command without arguments may be asked about",
    **dict.fromkeys(
        [
            ("bitop", "syntax"), ("bitop", "types"), ("client|pause", "since"), ("cluster|meet", "syntax"),
            ("cluster|meet", "types"), ("command|getkeys", "syntax"), ("command|getkeys", "types"),
            ("command|getkeysandflags", "syntax"), ("command|getkeysandflags", "types"), ("geohash", "syntax"),
            ("geopos", "syntax"), ("georadius", "keys"), ("georadius", "syntax"), ("georadiusbymember", "keys"),
            ("georadiusbymember", "syntax"), ("lcs", "syntax"), ("lcs", "types"), ("pfmerge", "syntax"),
            ("sinterstore", "keys"), ("zrank", "arity"), ("zrank", "syntax"), ("zrevrank", "arity"),
            ("zrevrank", "syntax"),
            *[(name, "flags") for name in ("blmove", "blpop", "brpop", "brpoplpush", "bzpopmin", "bzpopmax")],
        ],
        OF_7_2,
    ),
    ("client|kill", "syntax"): FILTERS,
    ("client|kill", "types"): FILTERS,
    ("debug", "syntax"): DEBUG,
    ("debug", "types"): DEBUG,
}  # fmt: skip
IN_VALKEY_9: Final = {
    ("select", "flags"): BUSY,
    ("client|id", "flags"): BUSY,
    ("client|getname", "flags"): BUSY,
    ("client|setname", "flags"): BUSY,
    ("client|setinfo", "flags"): BUSY,
    ("client|no-evict", "flags"): BUSY,
    ("client|no-touch", "flags"): BUSY,
    ("client|getredir", "flags"): BUSY,
    ("client|reply", "flags"): BUSY,
    ("cluster|info", "flags"): LOADING,
    ("cluster|myid", "flags"): LOADING,
    ("cluster|myshardid", "flags"): LOADING,
    ("cluster|nodes", "flags"): LOADING,
    ("cluster|replicate", "arity"): "Valkey 9 knows CLUSTER REPLICATE NO ONE",
    ("cluster|shards", "flags"): LOADING,
    ("cluster|slots", "flags"): LOADING,
    ("multi", "flags"): REFUSED,
    ("watch", "flags"): REFUSED,
    ("exec", "flags"): "Valkey's slow log has another name",
    **dict.fromkeys(
        [
            (name, fact)
            for name in ("client|kill", "client|list", "cluster|setslot", "geosearch", "geosearchstore", "set")
            for fact in ("syntax", "types")
        ]
        + [(name, "syntax") for name in ("bgsave", "bitcount", "cluster|replicate", "hscan", "shutdown", "zscan")],
        OPTIONS,
    ),
    ("debug", "syntax"): DEBUG,
    ("debug", "types"): DEBUG,
}
DIFFERENCES: Final = {"redis 7.0": IN_REDIS_7_0, "valkey 9.1": IN_VALKEY_9}


def every_spec() -> list[CommandSpec]:
    """Commands and subcommands."""
    specs: list[CommandSpec] = []
    for spec in Registry(TABLES):
        specs += [spec, *spec.subcommands.values()]
    return specs


def ours(spec: CommandSpec) -> Facts:
    """The facts of a block."""
    return facts_of(wire.parse(encode(info(spec), 2)), wire.parse(encode(docs(spec), 2)))


def is_newer(spec: CommandSpec, reference: Reference) -> bool:
    """Whether the reference is a Redis from before the command."""
    server, _, version = reference.version.partition(" ")
    return server == "redis" and numbers(spec.since) > numbers(version)


def numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")[:2]]


@pytest.fixture(scope="module")
def theirs(reference: Reference) -> dict[str, Facts]:
    """The reference's facts, by command."""
    return ask(reference, [spec.full_name for spec in every_spec()])


@pytest.mark.parametrize("spec", every_spec(), ids=lambda spec: spec.full_name)
def test_facts(spec: CommandSpec, reference: Reference, theirs: dict[str, Facts]) -> None:
    if spec.flags & OWN:
        return
    if spec.full_name not in theirs:
        assert is_newer(spec, reference), f"{reference.version} has no {spec.name}: one of our own has the flag OWN"
        pytest.skip(f"{reference.version} has no {spec.full_name} yet")
    said, expected = ours(spec), theirs[spec.full_name]
    known = DIFFERENCES.get(reference.version)
    # Another version: what it may differ in is not known so well that it could be out of date.
    listed = {fact for command, fact in known or {**IN_REDIS_7_0, **IN_VALKEY_9} if command == spec.full_name}
    differing = {fact for fact in FACTS if said[fact] != expected[fact]}
    wrong = [
        f"{fact}: it is {expected[fact]!r}, the block gives {said[fact]!r}"
        for fact in FACTS
        if fact in differing - listed
    ]
    assert not wrong, f"{spec.name} in {reference.version}:\n" + "\n".join(wrong)
    assert known is None or listed <= differing, f"{listed - differing} are listed as different, and are not"


def test_the_lists_name_commands_that_exist() -> None:
    names = {spec.full_name for spec in every_spec()}
    assert {command for known in DIFFERENCES.values() for command, _ in known} <= names


def test_most_commands_are_compared(theirs: dict[str, Facts]) -> None:
    assert len(theirs) > 0.9 * len(every_spec())
