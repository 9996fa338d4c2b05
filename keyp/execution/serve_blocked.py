"""Serves the clients that are blocked on keys which a command has made.

A command that finds nothing and may wait returns a `Wait`; its client joins the table and its batch ends there. When a
command has made a key that clients are blocked on, they are served before the next command runs, in the same
transaction, the longest blocked first: their command is run again, as it was. So no later client takes what they
wait for, and what they take is committed with what brought it.
"""

from __future__ import annotations

from keyp.command.access_control import refusal
from keyp.command.blocked_clients import BlockedClient, BlockedClients
from keyp.command.context import SessionContext, WriteContext
from keyp.errors import CommandError
from keyp.execution.apply import apply
from keyp.resp.values import Reply, ReplyError, Wait
from keyp.server.acl.users import Users
from keyp.storage.value_types import NOTHING


def serve_blocked(context: WriteContext, table: BlockedClients, users: Users | None, now_ns: int) -> None:
    """Serves those blocked on keys that the last command has made, and on those that this in turn makes.

    `users` are those that the running batch sees, where it has changed some; `now_ns` is the time by the clock that is
    never set.
    """
    writing = context.writing
    if not table.count:
        writing.ready.clear()
        writing.swapped.clear()
        return
    selected = context.selected
    while writing.ready or writing.swapped:
        ready = dict.fromkeys(writing.ready)
        if writing.swapped:
            ready.update(dict.fromkeys([key for key in table.blocked_keys() if key[0] in writing.swapped]))
        writing.ready, writing.swapped = [], []
        for key in ready:
            _serve_key(context, table, key, users, now_ns)
    if context.selected != selected:
        context.select(selected)


def _serve_key(
    context: WriteContext, table: BlockedClients, key: tuple[int, bytes], users: Users | None, now_ns: int
) -> None:
    """Serves those blocked on one key; of rivals none behind the first that finds nothing."""
    failed: set[bytes] = set()
    for blocked in table.on(key):
        rival = blocked.wait.rival
        if blocked.is_gone or rival in failed:
            continue
        is_open = users is None and blocked.batch.server.users.is_open
        if not is_open and _refuse(context, table, blocked, users, now_ns):
            continue
        if not _serve(context, table, blocked, key) and rival is not None:
            if not rival:
                break
            failed.add(rival)


def _serve(context: WriteContext, table: BlockedClients, blocked: BlockedClient, key: tuple[int, bytes]) -> bool:
    """Runs a client's command again; whether something may be left for its rivals."""
    if context.selected != key[0]:
        context.select(key[0])
    reply: Reply
    try:
        reply = apply(context, blocked.spec, blocked.again)
    except CommandError as error:
        context.writing.in_write = True  # to look for what it waits for is no read that counts
        value_type = context.keys.type_of(key[1])
        context.writing.in_write = False
        if value_type != blocked.wait.value_type and not blocked.wait.needs_key:
            return value_type != NOTHING
        reply = ReplyError(error.text)
    if isinstance(reply, Wait):
        return False
    table.serve(blocked, reply)
    return True


def _refuse(
    context: WriteContext, table: BlockedClients, blocked: BlockedClient, users: Users | None, now_ns: int
) -> bool:
    """Ends the waiting of a client that may not make its call any more, as a call of its own; whether it did."""
    batch = blocked.batch
    state = batch.state.copy()
    state.users = users
    session = SessionContext(blocked.client, state, batch.server, context)
    session.now_ns = now_ns
    refused = refusal(session, blocked.spec, blocked.args)
    if refused:
        table.serve(blocked, ReplyError(refused), session.effects)
    return bool(refused)
