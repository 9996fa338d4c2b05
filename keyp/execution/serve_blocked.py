"""Serves the clients that are blocked on keys which a command has made.

A command that finds nothing and may wait returns a `Wait`; its client joins the table and its batch ends there. When a
command has made a key that clients are blocked on, they are served before the next command runs, in the same
transaction, the longest blocked first: their command is run again, as it was. So no later client takes what they
wait for, and what they take is committed with what brought it.
"""

from __future__ import annotations

from keyp.command.blocked_clients import BlockedClient, BlockedClients
from keyp.command.context import WriteContext
from keyp.command.permission import denial
from keyp.errors import CommandError
from keyp.execution.apply import apply
from keyp.resp.values import Reply, ReplyError, Wait
from keyp.server.acl.users import Users
from keyp.storage.value_types import NOTHING


def serve_blocked(context: WriteContext, table: BlockedClients) -> None:
    """Serves those blocked on keys that the last command has made, and on those that this in turn makes."""
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
            _serve_key(context, table, key)
    if context.selected != selected:
        context.select(selected)


def _serve_key(context: WriteContext, table: BlockedClients, key: tuple[int, bytes]) -> None:
    """Serves those blocked on one key; of rivals none behind the first that finds nothing."""
    failed: set[bytes] = set()
    for blocked in table.on(key):
        rival = blocked.wait.rival
        if blocked.is_gone or rival in failed:
            continue
        if not _serve(context, table, blocked, key) and rival is not None:
            if not rival:
                break
            failed.add(rival)


def _serve(context: WriteContext, table: BlockedClients, blocked: BlockedClient, key: tuple[int, bytes]) -> bool:
    """Runs a client's command again; whether something may be left for its rivals."""
    if context.selected != key[0]:
        context.select(key[0])
    users = blocked.batch.server.users
    refused = "" if users.is_open else _refusal(users, blocked)
    if refused:
        table.serve(blocked, ReplyError(refused))
        return True
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


def _refusal(users: Users, blocked: BlockedClient) -> str:
    """The error for a call that the client may not make any more; empty where it may."""
    user = users.restricted(blocked.batch.state)
    denied = None if user is None else denial(user, blocked.spec, blocked.args)
    return "" if denied is None else f"NOPERM {denied.text}"
