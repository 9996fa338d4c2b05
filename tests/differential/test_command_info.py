"""COMMAND INFO: what Keyp says of each command that the reference has too is what the reference says of it.

Arity, flags, key positions, categories, tips and key specifications are compared, orders aside. Not compared are the
`notes` of key specifications, which are prose, and the lists of subcommands, because each subcommand has a row of
its own here.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from keyp.command.describe import info
from keyp.command.registry import Registry
from keyp.command.spec import CommandSpec
from keyp.commands.all import TABLES
from keyp.resp.encoder import encode
from tests import wire
from tests.differential.servers import Reference

FIELDS: Final = ("name", "arity", "flags", "first key", "last key", "step", "categories", "tips", "key specifications")

NEW_TIPS: Final = "the tips of 7.2, which 7.0 did not give yet"
BUSY: Final = "allowed while a script runs, in Valkey only; Keyp has no scripts"
LOADING: Final = "Valkey answers while it loads"
REFUSED: Final = "Valkey marks what MULTI refuses to queue"

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
}
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
}
DIFFERENCES: Final = {"redis 7.0": IN_REDIS_7_0, "valkey 9.1": IN_VALKEY_9}


def every_spec() -> list[CommandSpec]:
    """Commands and subcommands."""
    specs: list[CommandSpec] = []
    for spec in Registry(TABLES):
        specs += [spec, *spec.subcommands.values()]
    return specs


def fields(row: list[Any]) -> dict[str, Any]:
    """A row of COMMAND INFO, read from RESP2, as fields that can be compared."""
    specifications = [part[2:] if part[0] == b"notes" else part for part in row[8]]
    return {name: unordered(value) for name, value in zip(FIELDS, [*row[:8], specifications], strict=True)}


def unordered(value: Any) -> Any:
    return sorted(map(repr, map(unordered, value))) if isinstance(value, list) else value


@pytest.fixture(scope="module")
def theirs(reference: Reference) -> dict[str, dict[str, Any]]:
    """The reference's rows, by command."""
    names = [spec.full_name for spec in every_spec()]
    connection = reference.connect()
    call = wire.request(b"COMMAND", b"INFO", *[name.encode() for name in names])
    rows = wire.parse(connection.send(call, 1)[0])
    connection.close()
    return {name: fields(row) for name, row in zip(names, rows, strict=True) if row is not None}


@pytest.mark.parametrize("spec", every_spec(), ids=lambda spec: spec.full_name)
def test_row(spec: CommandSpec, reference: Reference, theirs: dict[str, dict[str, Any]]) -> None:
    if spec.full_name not in theirs:
        pytest.skip(f"{reference.version} has no {spec.full_name}")
    ours = fields(wire.parse(encode(info(spec), 2)))
    expected = theirs[spec.full_name]
    known = DIFFERENCES.get(reference.version)
    if known is None:  # another version: what it may differ in is not known so well that it could be out of date
        known = {**IN_REDIS_7_0, **IN_VALKEY_9}
        differing = {name for name in FIELDS if ours[name] != expected[name] and (spec.full_name, name) not in known}
        assert {name: (ours[name], expected[name]) for name in differing} == {}
        return
    listed = {name for command, name in known if command == spec.full_name}
    assert {name: ours[name] for name in FIELDS if name not in listed} == {
        name: expected[name] for name in FIELDS if name not in listed
    }
    assert [name for name in listed if ours[name] == expected[name]] == [], "listed as different, and are not"


def test_the_lists_name_commands_that_exist() -> None:
    names = {spec.full_name for spec in every_spec()}
    assert {command for known in DIFFERENCES.values() for command, _ in known} <= names


def test_most_commands_are_compared(theirs: dict[str, dict[str, Any]]) -> None:
    assert len(theirs) > 0.9 * len(every_spec())
