"""How clients that wait for keys are served.

A command that finds nothing and may wait returns a `Wait`. Its client joins the table and its batch ends there. When a
command has made a key that somebody waits for, those who wait are served before the next command runs, in the same
transaction and the longest waiter first: their command is run again, as it was. So nobody who comes later can take
what they wait for, and what they take is committed with what brought it.
"""

from __future__ import annotations

from keyp.command.blocked_clients import Waiter, WaitingTable
from keyp.command.context import WriteContext
from keyp.errors import CommandError
from keyp.execution.apply import apply
from keyp.resp.values import Reply, ReplyError, Wait
from keyp.storage.lmdb.layout import NOTHING


def serve_waiters(context: WriteContext, table: WaitingTable) -> None:
    """Serves those who wait for keys that the last command has made, and those that this in turn makes."""
    writing = context.writing
    selected = context.selected
    while writing.ready or writing.swapped:
        ready = dict.fromkeys(writing.ready)
        if writing.swapped:
            ready.update(dict.fromkeys([place for place in table.places() if place[0] in writing.swapped]))
        writing.ready, writing.swapped = [], []
        if len(table):
            for place in ready:
                for waiter in table.at(place):
                    if not waiter.has_left and not _serve(context, table, waiter, place):
                        break
    context.select(selected)


def _serve(context: WriteContext, table: WaitingTable, waiter: Waiter, place: tuple[int, bytes]) -> bool:
    """Serves a client, if the key has what it waits for; whether there may be something for the next one."""
    context.select(place[0])
    context.writing.in_write = True  # looking for what they wait for is no read
    kind = context.keys.kind(place[1])
    context.writing.in_write = False
    if kind == waiter.wait.kind:
        reply = _run(context, waiter)
        if not isinstance(reply, Wait):
            table.serve(waiter, reply)
    return kind != NOTHING


def _run(context: WriteContext, waiter: Waiter) -> Reply:
    try:
        return apply(context, waiter.spec, waiter.args)
    except CommandError as refusal:
        return ReplyError(refusal.text)
