"""The one way in which a write command runs: for a client's call, for a blocked client that is served, for a test.

So every write meets the same refusals, has a version of its own, and knows that it is a write.
"""

from __future__ import annotations

from keyp.command.context import WriteContext
from keyp.command.spec import DENYOOM, Args, CommandSpec
from keyp.errors import CommandError
from keyp.resp.values import Reply


def apply(context: WriteContext, spec: CommandSpec, args: Args) -> Reply:
    """Runs a write command inside its transaction and gives its reply.

    Raises `CommandError`: what the command refuses, or that there is no room for a command that adds data.
    """
    transaction = context.writing
    if transaction.growth_refusal and spec.flags & DENYOOM:
        raise CommandError(transaction.growth_refusal)
    function = spec.function
    assert function is not None
    transaction.version += 1
    transaction.in_write = True
    try:
        return function(context, args)
    finally:
        transaction.in_write = False
