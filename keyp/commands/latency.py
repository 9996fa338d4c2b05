"""LATENCY: the events of the latency monitor, and how the latencies of commands are distributed."""

from __future__ import annotations

from typing import Final

from keyp.command.context import SessionContext
from keyp.command.spec import ADMIN, LOADING, NOSCRIPT, STALE, Args
from keyp.command.table import CommandTable
from keyp.resp.values import Reply
from keyp.server.metrics import CommandStats

LATENCY = CommandTable(group="server")

FLAGS: Final = ADMIN | LOADING | STALE | NOSCRIPT
READ_TIPS: Final = ("nondeterministic_output", "request_policy:all_nodes", "response_policy:special")


LATENCY.container(
    "LATENCY",
    arity=-2,
    since="2.8.13",
    complexity="Depends on the subcommand.",
    summary="Introduces the subcommands about latencies.",
)


@LATENCY.session(
    "LATENCY|LATEST",
    arity=2,
    flags=FLAGS,
    since="2.8.13",
    tips=READ_TIPS,
    summary="Shows the latest latency events.",
)
def latency_latest(context: SessionContext, args: Args) -> Reply:
    """Replies for each event: its name, seconds since 1970, milliseconds it took, the most it ever took."""
    latest = context.server.metrics.latency_monitor.latest()
    return [[name.encode(), at_s, last, longest] for name, at_s, last, longest in latest]


@LATENCY.session(
    "LATENCY|HISTORY",
    arity=3,
    flags=FLAGS,
    since="2.8.13",
    tips=READ_TIPS,
    syntax="event",
    summary="Shows the samples of a latency event.",
)
def latency_history(context: SessionContext, args: Args) -> Reply:
    """Replies with pairs of seconds since 1970 and milliseconds, the oldest first."""
    samples = context.server.metrics.latency_monitor.history(args[2].decode("latin-1"))
    return [[at_s, milliseconds] for at_s, milliseconds in samples]


@LATENCY.session(
    "LATENCY|RESET",
    arity=-2,
    flags=FLAGS,
    since="2.8.13",
    tips=("request_policy:all_nodes", "response_policy:agg_sum"),
    syntax="[event [event ...]]",
    summary="Removes latency events, all or some.",
)
def latency_reset(context: SessionContext, args: Args) -> Reply:
    """Replies with the number of events removed."""
    events = [arg.decode("latin-1") for arg in args[2:]]
    return context.server.metrics.latency_monitor.reset(events or None)


@LATENCY.session(
    "LATENCY|HISTOGRAM",
    arity=-2,
    flags=FLAGS,
    since="7.0.0",
    complexity="O(N) with N the number of commands shown",
    tips=READ_TIPS,
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
