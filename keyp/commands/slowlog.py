"""SLOWLOG: the latest commands that took long."""

from __future__ import annotations

from typing import Final

from keyp.command.arguments import INT64_MAX, integer_between
from keyp.command.context import SessionContext
from keyp.command.spec import ADMIN, LOADING, STALE, Args
from keyp.command.table import CommandTable
from keyp.errors import wrong_subcommand
from keyp.resp.values import Reply

SLOWLOG = CommandTable(group="server")

FLAGS: Final = ADMIN | LOADING | STALE
ON_EVERY_NODE: Final = "request_policy:all_nodes"
UNSTABLE: Final = "nondeterministic_output"

ENTRIES_DEFAULT: Final = 10
BAD_COUNT: Final = "ERR count should be greater than or equal to -1"

HELP: Final = (
    "GET [<count>]",
    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
    "    Entries are made of:",
    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
    "    client name",
    "LEN",
    "    Return the length of the slowlog.",
    "RESET",
    "    Reset the slowlog.",
)

SLOWLOG.container(
    "SLOWLOG",
    help_text=HELP,
    arity=-2,
    since="2.2.12",
    help_since="6.2.0",
    complexity="Depends on the subcommand.",
    summary="Introduces the subcommands about commands that took long.",
)


@SLOWLOG.session(
    "SLOWLOG|GET",
    arity=-2,
    flags=FLAGS,
    since="2.2.12",
    complexity="O(N) with N the number of entries shown",
    tips=(ON_EVERY_NODE, UNSTABLE),
    syntax="[count]",
    summary="Shows the latest commands that took long.",
)
def slowlog_get(context: SessionContext, args: Args) -> Reply:
    """Replies with the newest first: number, seconds since 1970, microseconds, arguments, address, client's name."""
    if len(args) > 3:
        raise wrong_subcommand("SLOWLOG", args[1])
    count = integer_between(args[2], -1, INT64_MAX, BAD_COUNT) if len(args) == 3 else ENTRIES_DEFAULT
    log = context.server.metrics.slow_log
    entries = log.latest(len(log) if count == -1 else count)
    return [[entry.id, entry.at_s, entry.microseconds, entry.args, entry.client, entry.name] for entry in entries]


@SLOWLOG.session(
    "SLOWLOG|LEN",
    arity=2,
    flags=FLAGS,
    since="2.2.12",
    tips=(ON_EVERY_NODE, "response_policy:agg_sum", UNSTABLE),
    summary="Counts the entries of the slow log.",
)
def slowlog_len(context: SessionContext, args: Args) -> Reply:
    """Replies with their number."""
    return len(context.server.metrics.slow_log)


@SLOWLOG.session(
    "SLOWLOG|RESET",
    arity=2,
    flags=FLAGS,
    since="2.2.12",
    complexity="O(N) with N the number of entries",
    tips=(ON_EVERY_NODE, "response_policy:all_succeeded"),
    summary="Removes all entries of the slow log.",
)
def slowlog_reset(context: SessionContext, args: Args) -> Reply:
    """Replies OK."""
    context.server.metrics.slow_log.reset()
    return "OK"
