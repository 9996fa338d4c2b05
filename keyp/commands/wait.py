"""WAIT and WAITAOF: how safe a client's writes are.

A write is answered after its commit, so there is nothing to wait for but, unless every commit is synced, a sync.
"""

from __future__ import annotations

from typing import Final

from keyp.command.arguments import integer
from keyp.command.context import SessionContext
from keyp.command.effects import SyncStore
from keyp.command.spec import BLOCKING, Args
from keyp.command.table import CommandTable
from keyp.errors import BAD_TIMEOUT, NEGATIVE_TIMEOUT, NOT_POSITIVE, CommandError
from keyp.resp.values import Reply
from keyp.storage.lmdb.environment import ALWAYS

WAIT = CommandTable(group="generic", categories="connection")

ON_ALL_SHARDS: Final = ("request_policy:all_shards", "response_policy:agg_min")

BAD_LOCAL_COUNT: Final = "ERR value is out of range, value must between 0 and 1"


@WAIT.session(
    "WAIT",
    arity=3,
    flags=BLOCKING,
    since="3.0.0",
    tips=ON_ALL_SHARDS,
    syntax="numreplicas timeout",
    summary="Counts the replicas that have the client's writes: there are none.",
)
def wait(context: SessionContext, args: Args) -> Reply:
    """Replies 0 at once: there is no replica to wait for. `timeout` is in milliseconds."""
    integer(args[1])
    _check_timeout(args[2])
    return 0


@WAIT.session(
    "WAITAOF",
    arity=4,
    flags=BLOCKING,
    since="7.2.0",
    tips=ON_ALL_SHARDS,
    syntax="numlocal numreplicas timeout",
    summary="Answers when the client's writes are on this server's disk; no replica is waited for.",
)
def waitaof(context: SessionContext, args: Args) -> Reply:
    """Replies with 1 if the writes are known to be on the disk, which `numlocal` 1 makes sure of, and 0 replicas."""
    local = integer(args[1])
    if local not in (0, 1):
        raise CommandError(BAD_LOCAL_COUNT)
    if integer(args[2]) < 0:
        raise CommandError(NOT_POSITIVE)
    _check_timeout(args[3])
    if context.server.environment.fsync == ALWAYS:
        return [1, 0]
    if local:
        context.after(SyncStore())
    return [local, 0]


def _check_timeout(text: bytes) -> None:
    if integer(text, BAD_TIMEOUT) < 0:
        raise CommandError(NEGATIVE_TIMEOUT)
