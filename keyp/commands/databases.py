"""Whole databases: count, empty and exchange them. None of these costs more where there is more to count or empty."""

from __future__ import annotations

from typing import Final

from keyp.command.arguments import integer_between
from keyp.command.context import ReadContext, WriteContext
from keyp.command.spec import FAST, Args
from keyp.command.table import CommandTable
from keyp.errors import SYNTAX, CommandError
from keyp.resp.values import Reply

DATABASES = CommandTable(group="server", categories="keyspace")

ON_ALL_SHARDS: Final = ("request_policy:all_shards", "response_policy:all_succeeded")

# A C int: what Redis reads a database's number into.
INT_MIN: Final = -(1 << 31)
INT_MAX: Final = (1 << 31) - 1


@DATABASES.read(
    "DBSIZE",
    arity=1,
    flags=FAST,
    since="1.0.0",
    tips=("request_policy:all_shards", "response_policy:agg_sum"),
    summary="Counts the keys of the selected database.",
)
def dbsize(context: ReadContext, args: Args) -> Reply:
    """Replies with the count; keys past their deadline are in it until they are removed."""
    return context.keys.size()


@DATABASES.write(
    "FLUSHDB",
    arity=-1,
    categories="keyspace dangerous",
    since="1.0.0",
    complexity="O(1); the room is freed later, in small steps",
    tips=ON_ALL_SHARDS,
    syntax="[ASYNC | SYNC]",
    summary="Removes all keys of the selected database.",
)
def flushdb(context: WriteContext, args: Args) -> Reply:
    """Replies OK."""
    _check_flush_option(args)
    context.keys.flush()
    return "OK"


@DATABASES.write(
    "FLUSHALL",
    arity=-1,
    categories="keyspace dangerous",
    since="1.0.0",
    complexity="O(N) with N the number of databases; the room is freed later, in small steps",
    tips=ON_ALL_SHARDS,
    syntax="[ASYNC | SYNC]",
    summary="Removes all keys of all databases.",
)
def flushall(context: WriteContext, args: Args) -> Reply:
    """Replies OK."""
    _check_flush_option(args)
    for index in range(context.shared.databases):
        context.database(index).flush()
    return "OK"


def _check_flush_option(args: Args) -> None:
    if len(args) > 2 or (len(args) == 2 and args[1].upper() not in (b"ASYNC", b"SYNC")):
        raise CommandError(SYNTAX)


@DATABASES.write(
    "SWAPDB",
    arity=3,
    flags=FAST,
    categories="keyspace dangerous",
    since="4.0.0",
    syntax="index1 index2",
    summary="Exchanges two databases; all clients see it at once.",
)
def swapdb(context: WriteContext, args: Args) -> Reply:
    """Replies OK."""
    one = integer_between(args[1], INT_MIN, INT_MAX, "ERR invalid first DB index")
    other = integer_between(args[2], INT_MIN, INT_MAX, "ERR invalid second DB index")
    context.check_index(one)
    context.check_index(other)
    context.swap(one, other)
    return "OK"
