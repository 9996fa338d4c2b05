"""COMMAND: descriptions of the commands, for clients and tools, derived from the commands' own blocks."""

from __future__ import annotations

from typing import Final

from keyp.algorithms.glob import Glob
from keyp.command.context import SessionContext
from keyp.command.describe import categories, docs, info
from keyp.command.spec import LOADING, NO_MANDATORY_KEYS, STALE, Args, CommandSpec, KeySpec
from keyp.command.table import CommandTable
from keyp.errors import SYNTAX, CommandError
from keyp.resp.values import Reply, Set

COMMAND = CommandTable(group="server", categories="connection")

ORDINARY: Final = LOADING | STALE
UNORDERED: Final = ("nondeterministic_output_order",)
PER_COMMAND: Final = "O(N) with N the number of commands asked for"


@COMMAND.session(
    "COMMAND",
    arity=-1,
    flags=ORDINARY,
    since="2.8.13",
    complexity="O(N) with N the number of commands",
    tips=UNORDERED,
    summary="Describes all commands.",
)
def command(context: SessionContext, args: list[bytes]) -> Reply:
    """Replies with a row for each command."""
    return [info(spec) for spec in context.server.registry]


COMMAND.help_for("COMMAND", since="5.0.0")


@COMMAND.session(
    "COMMAND|COUNT",
    arity=2,
    flags=ORDINARY,
    since="2.8.13",
    summary="Counts the commands.",
)
def command_count(context: SessionContext, args: Args) -> Reply:
    """Replies with the number; subcommands do not count."""
    return len(context.server.registry)


@COMMAND.session(
    "COMMAND|INFO",
    arity=-2,
    flags=ORDINARY,
    since="2.8.13",
    complexity=PER_COMMAND,
    tips=UNORDERED,
    syntax="[command-name [command-name ...]]",
    summary="Describes the commands that are named, or all.",
)
def command_info(context: SessionContext, args: Args) -> Reply:
    """Replies with a row for each name, null for one that is unknown."""
    registry = context.server.registry
    if len(args) == 2:
        return command(context, args)
    found = [registry.get_full(name) for name in args[2:]]
    return [None if spec is None else info(spec) for spec in found]


@COMMAND.session(
    "COMMAND|DOCS",
    arity=-2,
    flags=ORDINARY,
    since="7.0.0",
    complexity=PER_COMMAND,
    tips=UNORDERED,
    syntax="[command-name [command-name ...]]",
    summary="Explains the commands that are named, or all, to people and to tools that help them type.",
)
def command_docs(context: SessionContext, args: Args) -> Reply:
    """Replies with a map of names and explanations; unknown names are left out."""
    registry = context.server.registry
    if len(args) == 2:
        found: list[CommandSpec | None] = list(registry)
    else:
        found = [registry.get_full(name) for name in args[2:]]
    return {spec.full_name.encode(): docs(spec) for spec in found if spec is not None}


@COMMAND.session(
    "COMMAND|LIST",
    arity=-2,
    flags=ORDINARY,
    since="7.0.0",
    complexity="O(N) with N the number of commands",
    tips=UNORDERED,
    syntax="[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
    summary="Lists the names of commands and subcommands.",
)
def command_list(context: SessionContext, args: Args) -> Reply:
    """Replies with the names of all, or of those that a filter lets through."""
    specs: list[CommandSpec] = []
    for spec in context.server.registry:
        specs += [spec, *spec.subcommands.values()]
    if len(args) == 5 and args[2].upper() == b"FILTERBY":
        specs = _filtered(specs, args[3].upper(), args[4])
    elif len(args) != 2:
        raise CommandError(SYNTAX)
    return [spec.full_name.encode() for spec in specs]


def _filtered(specs: list[CommandSpec], by: bytes, value: bytes) -> list[CommandSpec]:
    if by == b"MODULE":
        return []
    if by == b"ACLCAT":
        category = value.decode("latin-1").lower()
        return [spec for spec in specs if category in categories(spec)]
    if by == b"PATTERN":
        glob = Glob(value.lower())
        return [spec for spec in specs if glob.matches(spec.full_name.encode())]
    raise CommandError(SYNTAX)


@COMMAND.session(
    "COMMAND|GETKEYS",
    arity=-3,
    flags=ORDINARY,
    since="2.8.13",
    complexity="O(N) with N the number of arguments",
    syntax="command [arg [arg ...]]",
    summary="Lists the arguments of a call that are keys.",
)
def command_getkeys(context: SessionContext, args: Args) -> Reply:
    """Replies with the keys."""
    return [key for key, _ in _keys(context, args[2:])]


@COMMAND.session(
    "COMMAND|GETKEYSANDFLAGS",
    arity=-3,
    flags=ORDINARY,
    since="7.0.0",
    complexity="O(N) with N the number of arguments",
    syntax="command [arg [arg ...]]",
    summary="Lists the arguments of a call that are keys, and what is done with each.",
)
def command_getkeysandflags(context: SessionContext, args: Args) -> Reply:
    """Replies with pairs of a key and its flags."""
    call = args[2:]
    return [[key, Set(list(key_spec.flags_in(call)))] for key, key_spec in _keys(context, call)]


def _keys(context: SessionContext, call: Args) -> list[tuple[bytes, KeySpec]]:
    registry = context.server.registry
    spec = registry.find(call)
    if spec is None:
        raise CommandError("ERR Invalid command specified")
    keys = [key_spec for key_spec in spec.keys if key_spec.flags != "not_key"]
    if not keys:
        raise CommandError("ERR The command has no key arguments")
    if not spec.accepts(len(call)):
        raise CommandError("ERR Invalid number of arguments specified for command")
    try:
        return [(call[at], key_spec) for key_spec in keys for at in key_spec.positions(call)]
    except ValueError:
        if spec.flags & NO_MANDATORY_KEYS:
            return []
        raise CommandError("ERR Invalid arguments specified for command") from None
