"""How long commands take: the slow log, the events of the latency monitor and the distribution of latencies."""

from __future__ import annotations

from typing import Final

from keyp.command.arguments import INT64_MAX, integer_between
from keyp.command.context import SessionContext
from keyp.command.spec import ADMIN, LOADING, NOSCRIPT, STALE, Args
from keyp.command.table import CommandTable
from keyp.errors import CommandError
from keyp.resp.values import Reply
from keyp.server.metrics import CommandStats

TIMINGS = CommandTable(group="server")

LOOK: Final = ADMIN | LOADING | STALE
ON_EVERY_NODE: Final = "request_policy:all_nodes"
UNSTABLE: Final = "nondeterministic_output"
SPECIAL: Final = "response_policy:special"

ENTRIES_DEFAULT: Final = 10
BAD_COUNT: Final = "ERR count should be greater than or equal to -1"
BAD_GET: Final = "ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP."


TIMINGS.container(
    "SLOWLOG",
    arity=-2,
    since="2.2.12",
    complexity="Depends on the subcommand.",
    summary="Introduces the subcommands about commands that took long.",
)


@TIMINGS.session(
    "SLOWLOG|GET",
    arity=-2,
    flags=LOOK,
    since="2.2.12",
    complexity="O(N) with N the number of entries shown",
    tips=(ON_EVERY_NODE, UNSTABLE),
    syntax="[count]",
    summary="Shows the latest commands that took long.",
)
def slowlog_get(context: SessionContext, args: Args) -> Reply:
    """Replies with the newest first: number, seconds since 1970, microseconds, arguments, address, client's name."""
    if len(args) > 3:
        raise CommandError(BAD_GET)
    count = integer_between(args[2], -1, INT64_MAX, BAD_COUNT) if len(args) == 3 else ENTRIES_DEFAULT
    log = context.server.metrics.slow_log
    entries = log.latest(len(log) if count == -1 else count)
    return [[entry.id, entry.at_s, entry.microseconds, entry.args, entry.client, entry.name] for entry in entries]


@TIMINGS.session(
    "SLOWLOG|LEN",
    arity=2,
    flags=LOOK,
    since="2.2.12",
    tips=(ON_EVERY_NODE, "response_policy:agg_sum", UNSTABLE),
    summary="Counts the entries of the slow log.",
)
def slowlog_len(context: SessionContext, args: Args) -> Reply:
    """Replies with their number."""
    return len(context.server.metrics.slow_log)


@TIMINGS.session(
    "SLOWLOG|RESET",
    arity=2,
    flags=LOOK,
    since="2.2.12",
    complexity="O(N) with N the number of entries",
    tips=(ON_EVERY_NODE, "response_policy:all_succeeded"),
    summary="Removes all entries of the slow log.",
)
def slowlog_reset(context: SessionContext, args: Args) -> Reply:
    """Replies OK."""
    context.server.metrics.slow_log.reset()
    return "OK"


TIMINGS.container(
    "LATENCY",
    arity=-2,
    since="2.8.13",
    complexity="Depends on the subcommand.",
    summary="Introduces the subcommands about latencies.",
)


@TIMINGS.session(
    "LATENCY|LATEST",
    arity=2,
    flags=LOOK | NOSCRIPT,
    since="2.8.13",
    tips=(UNSTABLE, ON_EVERY_NODE, SPECIAL),
    summary="Shows the latest latency events.",
)
def latency_latest(context: SessionContext, args: Args) -> Reply:
    """Replies for each event: its name, seconds since 1970, milliseconds it took, the most it ever took."""
    latest = context.server.metrics.latency_monitor.latest()
    return [[name.encode(), at_s, last, longest] for name, at_s, last, longest in latest]


@TIMINGS.session(
    "LATENCY|HISTORY",
    arity=3,
    flags=LOOK | NOSCRIPT,
    since="2.8.13",
    tips=(UNSTABLE, ON_EVERY_NODE, SPECIAL),
    syntax="event",
    summary="Shows the samples of a latency event.",
)
def latency_history(context: SessionContext, args: Args) -> Reply:
    """Replies with pairs of seconds since 1970 and milliseconds, the oldest first."""
    samples = context.server.metrics.latency_monitor.history(args[2].decode("latin-1"))
    return [[at_s, milliseconds] for at_s, milliseconds in samples]


@TIMINGS.session(
    "LATENCY|RESET",
    arity=-2,
    flags=LOOK | NOSCRIPT,
    since="2.8.13",
    tips=(ON_EVERY_NODE, "response_policy:agg_sum"),
    syntax="[event [event ...]]",
    summary="Removes latency events, all or some.",
)
def latency_reset(context: SessionContext, args: Args) -> Reply:
    """Replies with the number of events removed."""
    events = [arg.decode("latin-1") for arg in args[2:]]
    return context.server.metrics.latency_monitor.reset(events or None)


@TIMINGS.session(
    "LATENCY|HISTOGRAM",
    arity=-2,
    flags=LOOK | NOSCRIPT,
    since="7.0.0",
    complexity="O(N) with N the number of commands shown",
    tips=(UNSTABLE, ON_EVERY_NODE, SPECIAL),
    syntax="[command [command ...]]",
    summary="Shows how the latencies of commands are distributed.",
)
def latency_histogram(context: SessionContext, args: Args) -> Reply:
    """Replies with a map of names: calls, and how many took up to 1, 2, 4 … microseconds, each count with the smaller.

    A container stands for its subcommands. Commands that were not called and unknown names are left out.
    """
    metrics = context.server.metrics
    names = _names(context, args[2:]) if len(args) > 2 else list(metrics.commands)
    found = [(name, metrics.commands.get(name)) for name in names]
    return {name.encode(): _distribution(stats) for name, stats in found if stats is not None and stats.latencies.count}


def _names(context: SessionContext, asked: list[bytes]) -> list[str]:
    names: list[str] = []
    for name in asked:
        spec = context.server.registry.get_full(name)
        if spec is not None:
            names.append(spec.full_name)
            names += [subcommand.full_name for subcommand in spec.subcommands.values()]
    return names


def _distribution(stats: CommandStats) -> Reply:
    """Bounds are powers of two of nanoseconds, in microseconds rounded as Redis does it: 1, 2 … 33, 66 …"""
    steps = stats.latencies.cumulative()
    return {
        b"calls": stats.latencies.count,
        b"histogram_usec": {(bound + (bound >> 7) - 1) // 1000: count for bound, count in steps},
    }
