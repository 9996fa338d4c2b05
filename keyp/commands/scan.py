"""The names of keys: all of them at once (KEYS), or some at each call (SCAN).

SCAN walks the stored names in their order; its cursor stands for the last one it visited. A key that is there all the
time keeps its place in the order, so that no scan misses it, whatever is added or removed meanwhile. A pattern with a
literal beginning is sought only among the names that have it. Neither reads a value.
"""

from __future__ import annotations

from keyp.algorithms.glob import Glob
from keyp.command.context import ReadContext
from keyp.command.scan_options import scan_cursor, scan_options
from keyp.command.spec import WALKS, Args
from keyp.command.table import CommandTable
from keyp.errors import DAMAGED_STORE, CommandError
from keyp.resp.values import Reply
from keyp.storage.value_types import VALUE_TYPES

SCAN = CommandTable(group="generic", categories="keyspace")


@SCAN.read(
    "KEYS",
    arity=2,
    flags=WALKS,
    categories="keyspace dangerous",
    since="1.0.0",
    complexity="O(N) with N the number of keys whose names share the pattern's literal beginning",
    tips=("request_policy:all_shards", "nondeterministic_output_order"),
    syntax="pattern",
    summary="Lists the keys whose names match a pattern.",
)
def keys(context: ReadContext, args: Args) -> Reply:
    """Replies with all names that match, in the order of stored names."""
    glob = Glob(args[1])
    if glob.is_literal:
        return [glob.prefix] if context.keys.find(glob.prefix, is_access=False) is not None else []
    return [name for name in context.keys.names(glob.prefix) if glob.matches(name)]


@SCAN.read(
    "SCAN",
    arity=-2,
    since="2.8.0",
    complexity="O(COUNT) for a call, O(N) for a whole scan with N the number of keys",
    tips=("nondeterministic_output", "request_policy:special", "response_policy:special"),
    syntax="cursor [MATCH pattern] [COUNT count] [TYPE type]",
    summary="Lists the names of keys, some at each call.",
)
def scan(context: ReadContext, args: Args) -> Reply:
    """Replies with the next cursor, 0 at the end, and the names found on the way."""
    cursor = scan_cursor(args[1])
    glob, count, type_name = scan_options(args[2:], with_type=True)
    keyspace, cursors = context.keys, context.shared.cursors
    # One name more than asked for shows whether the scan is over.
    visited, live = keyspace.visit(count + 1, cursors.find(cursor), b"" if glob is None else glob.prefix)
    over = len(visited) <= count
    if over and not cursor and (glob is None or not glob.prefix) and len(visited) != keyspace.size():
        raise CommandError(DAMAGED_STORE)
    visited = visited[:count]
    if not over and live and live[-1] != visited[-1]:
        live = [stored for stored in live if stored <= visited[-1]]
    names: list[bytes] = []
    for stored in live:
        name = keyspace.full_name(stored)
        if glob is not None and not glob.matches(name):
            continue
        if not type_name or VALUE_TYPES[keyspace.type_of(name)].name == type_name:
            names.append(name)
    return [b"0" if over else b"%d" % cursors.save(visited[-1]), names]
