"""The commands of a cluster. A single Redis refuses them all, and so does Keyp: clients ask in order to find out."""

from __future__ import annotations

from typing import Final

from keyp.command.context import SessionContext
from keyp.command.spec import ADMIN, FAST, LOADING, NO_ASYNC_LOADING, NOSCRIPT, STALE, Args
from keyp.command.table import CommandTable
from keyp.errors import CommandError
from keyp.resp.values import Reply

CLUSTER = CommandTable(group="cluster")

DISABLED: Final = "ERR This instance has cluster support disabled"
UNSTABLE: Final = ("nondeterministic_output",)
CHANGES: Final = ADMIN | STALE | NO_ASYNC_LOADING
ONE: Final = "O(1)"
PER_NODE: Final = "O(N) with N the number of nodes"
PER_SLOT: Final = "O(N) with N the number of slots"

# Subcommand, arity, flags, since, complexity, tips, syntax.
SUBCOMMANDS: Final[tuple[tuple[str, int, int, str, str, tuple[str, ...], str], ...]] = (
    ("ADDSLOTS", -3, CHANGES, "3.0.0", PER_SLOT, (), "slot [slot ...]"),
    ("ADDSLOTSRANGE", -4, CHANGES, "7.0.0", PER_SLOT, (), "start-slot end-slot [start-slot end-slot ...]"),
    ("BUMPEPOCH", 2, CHANGES, "3.0.0", ONE, UNSTABLE, ""),
    ("COUNT-FAILURE-REPORTS", 3, ADMIN | STALE, "3.0.0", "O(N) with N the number of reports", UNSTABLE, "node-id"),
    ("COUNTKEYSINSLOT", 3, STALE, "3.0.0", ONE, (), "slot"),
    ("DELSLOTS", -3, CHANGES, "3.0.0", PER_SLOT, (), "slot [slot ...]"),
    ("DELSLOTSRANGE", -4, CHANGES, "7.0.0", PER_SLOT, (), "start-slot end-slot [start-slot end-slot ...]"),
    ("FAILOVER", -2, CHANGES, "3.0.0", ONE, (), "[FORCE | TAKEOVER]"),
    ("FLUSHSLOTS", 2, CHANGES, "3.0.0", ONE, (), ""),
    ("FORGET", 3, CHANGES, "3.0.0", ONE, (), "node-id"),
    ("GETKEYSINSLOT", 4, STALE, "3.0.0", "O(N) with N the number of keys asked for", UNSTABLE, "slot count"),
    ("HELP", 2, LOADING | STALE, "5.0.0", ONE, (), ""),
    ("INFO", 2, STALE, "3.0.0", ONE, UNSTABLE, ""),
    ("KEYSLOT", 3, STALE, "3.0.0", "O(N) with N the number of bytes in the key", (), "key"),
    ("LINKS", 2, STALE, "7.0.0", PER_NODE, UNSTABLE, ""),
    ("MEET", -4, CHANGES, "3.0.0", ONE, (), "ip port [cluster-bus-port]"),
    ("MYID", 2, STALE, "3.0.0", ONE, (), ""),
    ("MYSHARDID", 2, STALE, "7.2.0", ONE, UNSTABLE, ""),
    ("NODES", 2, STALE, "3.0.0", PER_NODE, UNSTABLE, ""),
    ("REPLICAS", 3, ADMIN | STALE, "5.0.0", PER_NODE, UNSTABLE, "node-id"),
    ("REPLICATE", 3, CHANGES, "3.0.0", ONE, (), "node-id"),
    ("RESET", -2, ADMIN | STALE | NOSCRIPT, "3.0.0", PER_NODE, (), "[HARD | SOFT]"),
    ("SAVECONFIG", 2, CHANGES, "3.0.0", ONE, (), ""),
    ("SET-CONFIG-EPOCH", 3, CHANGES, "3.0.0", ONE, (), "config-epoch"),
    ("SETSLOT", -4, CHANGES, "3.0.0", ONE, (), "slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>"),
    ("SHARDS", 2, STALE, "7.0.0", PER_NODE, UNSTABLE, ""),
    ("SLAVES", 3, ADMIN | STALE, "3.0.0", PER_NODE, UNSTABLE, "node-id"),
    ("SLOTS", 2, STALE, "3.0.0", PER_NODE, UNSTABLE, ""),
)


@CLUSTER.session(
    "READONLY",
    arity=1,
    flags=LOADING | STALE | FAST,
    categories="connection",
    since="3.0.0",
    summary="Fails: there are no replicas of a cluster to read from.",
)
@CLUSTER.session(
    "READWRITE",
    arity=1,
    flags=LOADING | STALE | FAST,
    categories="connection",
    since="3.0.0",
    summary="Fails, as READONLY does.",
)
def refuse(context: SessionContext, args: Args) -> Reply:
    """Raises the error of a server that belongs to no cluster; Redis gives no help either."""
    raise CommandError(DISABLED)


def _record_subcommands() -> None:
    CLUSTER.container(
        "CLUSTER",
        has_help=False,
        arity=-2,
        since="3.0.0",
        complexity="Depends on the subcommand.",
        summary="Introduces the subcommands about a cluster.",
    )
    for name, arity, flags, since, complexity, tips, syntax in SUBCOMMANDS:
        CLUSTER.session(
            f"CLUSTER|{name}",
            arity=arity,
            flags=flags,
            since=since,
            complexity=complexity,
            tips=tips,
            syntax=syntax,
            summary="Fails: there is no cluster.",
        )(refuse)


_record_subcommands()
