"""LATENCY: the events of the latency monitor, and how the latencies of commands are distributed.

Texts that clients know are Redis's, the first lines of a report among them; the advice in it is of Keyp.
"""

from __future__ import annotations

from typing import Final

from keyp.algorithms.sparkline import sparkline
from keyp.command.context import SessionContext
from keyp.command.spec import ADMIN, LOADING, NOSCRIPT, STALE, Args
from keyp.command.table import CommandTable
from keyp.errors import CommandError, printable
from keyp.resp.values import Reply, Verbatim
from keyp.server.config import Settings
from keyp.server.latency_monitor import Sample
from keyp.server.metrics import CommandStats

LATENCY = CommandTable(group="server")

FLAGS: Final = ADMIN | LOADING | STALE | NOSCRIPT
READ_TIPS: Final = ("nondeterministic_output", "request_policy:all_nodes", "response_policy:special")

GRAPH_COLUMNS: Final = 80
GRAPH_ROWS: Final = 4

DISABLED: Final = (
    "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You may use \"CONFIG SET"
    " latency-monitor-threshold <milliseconds>.\" in order to enable it. If we weren't in a deep space mission I'd"
    " suggest to take a look at https://redis.io/topics/latency-monitor.\n"
)
NOTHING_SEEN: Final = (
    "Dave, no latency spike was observed during the lifetime of this Redis instance, not in the slightest bit. I"
    " honestly think you ought to sit down calmly, take a stress pill, and think things over.\n"
)
SPIKES_SEEN: Final = (
    "Dave, I have observed latency spikes in this Redis instance. You don't mind talking about it, do you Dave?\n\n"
)
ADVICE: Final = "\nI have a few advices for you:\n\n"

HELP: Final = (
    "DOCTOR",
    "    Return a human readable latency analysis report.",
    "GRAPH <event>",
    "    Return an ASCII latency graph for the <event> class.",
    "HISTORY <event>",
    "    Return time-latency samples for the <event> class.",
    "LATEST",
    "    Return the latest latency samples for all events.",
    "RESET [<event> ...]",
    "    Reset latency data of one or more <event> classes.",
    "    (default: reset all data for all event classes)",
    "HISTOGRAM [COMMAND ...]",
    "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
    "    If no commands are specified then all histograms are replied.",
)

LATENCY.container(
    "LATENCY",
    help_text=HELP,
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
    "LATENCY|GRAPH",
    arity=3,
    flags=FLAGS,
    since="2.8.13",
    tips=READ_TIPS,
    syntax="event",
    summary="Draws the samples of a latency event.",
)
def latency_graph(context: SessionContext, args: Args) -> Reply:
    """Replies with lines of text: the extremes, a curve, and below it for each sample how long ago it was."""
    monitor, event = context.server.metrics.latency_monitor, args[2].decode("latin-1")
    samples = monitor.history(event)
    if not samples:
        raise CommandError(f"ERR No samples available for event '{printable(args[2])}'")
    values = [milliseconds for _, milliseconds in samples]
    title = f"{event} - high {max(values)} ms, low {min(values)} ms (all time high {monitor.longest(event)} ms)"
    now_s = context.data.now_us // 1_000_000
    curve = sparkline(values, [_ago(max(now_s - at_s, 0)) for at_s, _ in samples], GRAPH_COLUMNS, GRAPH_ROWS)
    return Verbatim(f"{title}\n{'-' * GRAPH_COLUMNS}\n{curve}".encode("latin-1"))


def _ago(seconds: int) -> str:
    """A time in the largest unit that it has one of."""
    for unit, name in ((24 * 3600, "d"), (3600, "h"), (60, "m")):
        if seconds >= unit:
            return f"{seconds // unit}{name}"
    return f"{seconds}s"


@LATENCY.session(
    "LATENCY|DOCTOR",
    arity=2,
    flags=FLAGS,
    since="2.8.13",
    tips=READ_TIPS,
    summary="Reports on the latency events, and what to do about them.",
)
def latency_doctor(context: SessionContext, args: Args) -> Reply:
    """Replies with lines of text: for each event how often and how long it was, then advice."""
    monitor, settings = context.server.metrics.latency_monitor, context.server.settings
    latest = monitor.latest()
    if not latest:
        return Verbatim((NOTHING_SEEN if settings.latency_monitor_threshold else DISABLED).encode())
    now_s = context.data.now_us // 1_000_000
    lines = [
        f"{number}. {event}: {_analysis(monitor.history(event), now_s)}. Worst all time event {longest}ms.\n"
        for number, (event, _, _, longest) in enumerate(latest, 1)
    ]
    advice = [f"- {text}\n" for event, *_ in latest for text in _advice(event, settings)]
    return Verbatim("".join([SPIKES_SEEN, *lines, ADVICE, *advice]).encode())


def _analysis(samples: list[Sample], now_s: int) -> str:
    """How many samples there are, their mean and its deviation, and how many seconds there is one of them."""
    count = len(samples)
    mean = sum(milliseconds for _, milliseconds in samples) // count
    deviation = sum(abs(milliseconds - mean) for _, milliseconds in samples) // count
    period_s = max(now_s - samples[0][0], 1) / count
    return f"{count} latency spikes (average {mean}ms, mean deviation {deviation}ms, period {period_s:.2f} sec)"


def _advice(event: str, settings: Settings) -> list[str]:
    if event == "fast-command":
        return [
            "Commands that have little to do took long, so they waited for something: for a page of the store that was"
            " not in memory, or for a processor. Compare the size of the store with the memory that is free for the"
            " system's cache, and look at what else runs on the machine and at its disk.",
        ]
    wanted = settings.latency_monitor_threshold * 1000
    logged = settings.slowlog_log_slower_than
    found = []
    if wanted and not 0 <= logged <= wanted:
        without = "is off" if logged < 0 else f"leaves out what takes less than {logged} microseconds"
        found.append(
            f"The slow log {without}: 'CONFIG SET slowlog-log-slower-than {wanted}' has it show these commands."
        )
    return [
        *found,
        "SLOWLOG GET shows which commands took long, and how they were called.",
        "What looks at a whole collection or at all names (KEYS, SMEMBERS, SORT, ZUNIONSTORE) takes the longer the more"
        " there is. SCAN, SSCAN, HSCAN and ZSCAN go in steps, ranges with a limit read no more than they reply.",
    ]


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
