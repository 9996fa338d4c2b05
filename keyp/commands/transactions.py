"""MULTI, EXEC, DISCARD, WATCH, UNWATCH.

A commit group is one LMDB transaction and a batch is never split between two, so EXEC only runs what was queued, one
call after the other. WATCH keeps the version of a key's record; EXEC compares it, inside the transaction it runs in.
There is no table of watchers, so a key that was made and removed in between does not fail the EXEC.
"""

from __future__ import annotations

from typing import Final

from keyp.command.context import SessionContext
from keyp.command.spec import (
    ALLOW_BUSY,
    BEGINS_QUEUE,
    FAST,
    LOADING,
    NOSCRIPT,
    NOT_QUEUED,
    RUNS_QUEUE,
    SKIP_SLOWLOG,
    STALE,
    Args,
    keys_from,
)
from keyp.command.table import CommandTable
from keyp.errors import EXEC_REFUSED, CommandError
from keyp.resp.values import NULL_ARRAY, Reply

TRANSACTIONS = CommandTable(group="transactions", categories="transaction")

# Bytes that the process grew by for each of many watched keys, besides those of its name.
WATCHED_BYTES: Final = 150

ALWAYS_ALLOWED = NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY


def discard_queue(context: SessionContext) -> None:
    """Drops the queued calls and the watched keys."""
    context.state.end_transaction()


@TRANSACTIONS.session(
    "MULTI",
    arity=1,
    flags=ALWAYS_ALLOWED | NOT_QUEUED | BEGINS_QUEUE,
    since="1.2.0",
    summary="Begins to queue commands that EXEC will run as one unit.",
)
def multi(context: SessionContext, args: Args) -> Reply:
    """Replies OK; from now on commands are queued."""
    if context.state.queue is not None:
        raise CommandError("ERR MULTI calls can not be nested")
    context.state.queue = []
    context.state.queued = 0
    return "OK"


@TRANSACTIONS.session(
    "EXEC",
    arity=1,
    flags=NOSCRIPT | LOADING | STALE | SKIP_SLOWLOG | NOT_QUEUED | RUNS_QUEUE,
    since="1.2.0",
    complexity="What the queued commands cost.",
    summary="Runs the queued commands as one unit, unless a watched key has changed.",
)
def exec_(context: SessionContext, args: Args) -> Reply:
    """Replies with the array of the calls' replies, or the null array where a watched key has changed."""
    state = context.state
    if state.queue is None:
        raise CommandError("ERR EXEC without MULTI")
    calls = state.queue[: state.queued]
    broken, changed = state.queue_broken, context.data.has_changed(state.watched)
    context.exec_bytes = state.queue_bytes
    discard_queue(context)
    if broken:
        raise CommandError("EXECABORT Transaction discarded because of previous errors.")
    refusal = context.write_refusal([spec for spec, _ in calls])
    if refusal:
        raise CommandError(EXEC_REFUSED + refusal)
    if changed:
        return NULL_ARRAY
    context.exec_calls = len(calls)
    replies = [context.invoke(spec, call) for spec, call in calls]
    context.exec_calls = 0
    return replies


@TRANSACTIONS.session(
    "DISCARD",
    arity=1,
    flags=ALWAYS_ALLOWED | NOT_QUEUED,
    since="2.0.0",
    complexity="O(N) in the number of queued commands.",
    summary="Drops the queued commands and the watched keys.",
)
def discard(context: SessionContext, args: Args) -> Reply:
    """Replies OK."""
    if context.state.queue is None:
        raise CommandError("ERR DISCARD without MULTI")
    discard_queue(context)
    return "OK"


@TRANSACTIONS.session(
    "WATCH",
    arity=-2,
    keys=keys_from(1, "RO"),
    flags=ALWAYS_ALLOWED | NOT_QUEUED,
    since="2.2.0",
    complexity="O(1) for each key.",
    syntax="key [key ...]",
    summary="Makes the next EXEC depend on these keys staying as they are.",
)
def watch(context: SessionContext, args: Args) -> Reply:
    """Keeps the keys' versions; a key that is watched already keeps its first one."""
    state = context.state
    if state.queue is not None:
        raise CommandError("ERR WATCH inside MULTI is not allowed")
    if not state.owns_watched:
        state.watched = dict(state.watched)
        state.owns_watched = True
    watched, keys, database = state.watched, context.data.keys, state.database
    for key in args[1:]:
        if (database, key) not in watched:
            watched[database, key] = keys.version(key)
            state.watched_bytes += WATCHED_BYTES + len(key)
    return "OK"


@TRANSACTIONS.session(
    "UNWATCH",
    arity=1,
    flags=ALWAYS_ALLOWED,
    since="2.2.0",
    summary="Ends the watching of all keys.",
)
def unwatch(context: SessionContext, args: Args) -> Reply:
    """Replies OK."""
    context.state.forget_watched()
    return "OK"
