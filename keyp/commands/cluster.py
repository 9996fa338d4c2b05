"""The commands of a cluster. A single Redis refuses them all, and so does Keyp: clients ask in order to find out.

Here are those that clients begin with.
"""

from __future__ import annotations

from typing import Final

from keyp.command.context import SessionContext
from keyp.command.spec import FAST, LOADING, STALE, Args
from keyp.command.table import CommandTable
from keyp.errors import CommandError
from keyp.resp.values import Reply

CLUSTER = CommandTable(group="cluster")

DISABLED: Final = "ERR This instance has cluster support disabled"
UNSTABLE: Final = ("nondeterministic_output",)
PER_NODE: Final = "O(N) with N the number of nodes"

CLUSTER.container(
    "CLUSTER",
    has_help=False,
    arity=-2,
    since="3.0.0",
    complexity="Depends on the subcommand.",
    summary="Introduces the subcommands about a cluster.",
)


@CLUSTER.session(
    "CLUSTER|INFO",
    arity=2,
    flags=STALE,
    since="3.0.0",
    tips=UNSTABLE,
    summary="Fails: there is no cluster that has a state.",
)
def cluster_info(context: SessionContext, args: Args) -> Reply:
    """Raises the error of a server that belongs to no cluster."""
    raise CommandError(DISABLED)


@CLUSTER.session(
    "CLUSTER|MYID",
    arity=2,
    flags=STALE,
    since="3.0.0",
    summary="Fails: the server is no node of a cluster.",
)
def cluster_myid(context: SessionContext, args: Args) -> Reply:
    """See `cluster_info`."""
    raise CommandError(DISABLED)


@CLUSTER.session(
    "CLUSTER|NODES",
    arity=2,
    flags=STALE,
    since="3.0.0",
    complexity=PER_NODE,
    tips=UNSTABLE,
    summary="Fails: there are no nodes.",
)
def cluster_nodes(context: SessionContext, args: Args) -> Reply:
    """See `cluster_info`."""
    raise CommandError(DISABLED)


@CLUSTER.session(
    "CLUSTER|SHARDS",
    arity=2,
    flags=STALE,
    since="7.0.0",
    complexity=PER_NODE,
    tips=UNSTABLE,
    summary="Fails: keys are not shared out.",
)
def cluster_shards(context: SessionContext, args: Args) -> Reply:
    """See `cluster_info`."""
    raise CommandError(DISABLED)


@CLUSTER.session(
    "CLUSTER|SLOTS",
    arity=2,
    flags=STALE,
    since="3.0.0",
    complexity=PER_NODE,
    tips=UNSTABLE,
    summary="Fails: keys are not shared out.",
)
def cluster_slots(context: SessionContext, args: Args) -> Reply:
    """See `cluster_info`."""
    raise CommandError(DISABLED)


@CLUSTER.session(
    "CLUSTER|HELP",
    arity=2,
    flags=LOADING | STALE,
    since="5.0.0",
    summary="Fails like the others.",
)
def cluster_help(context: SessionContext, args: Args) -> Reply:
    """See `cluster_info`; Redis gives no help either."""
    raise CommandError(DISABLED)


@CLUSTER.session(
    "READONLY",
    arity=1,
    flags=LOADING | STALE | FAST,
    categories="connection",
    since="3.0.0",
    summary="Fails: there are no replicas of a cluster to read from.",
)
def readonly(context: SessionContext, args: Args) -> Reply:
    """See `cluster_info`."""
    raise CommandError(DISABLED)


@CLUSTER.session(
    "READWRITE",
    arity=1,
    flags=LOADING | STALE | FAST,
    categories="connection",
    since="3.0.0",
    summary="Fails, as READONLY does.",
)
def readwrite(context: SessionContext, args: Args) -> Reply:
    """See `cluster_info`."""
    raise CommandError(DISABLED)
