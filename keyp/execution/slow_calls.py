"""Calls that have taken long: the slow log and the latency monitor remember them."""

from __future__ import annotations

from keyp.command.spec import FAST, SKIP_SLOWLOG, Args, CommandSpec
from keyp.server.clients import Client
from keyp.server.metrics import Metrics


def note_slow(
    metrics: Metrics, client: Client, name: bytes, spec: CommandSpec, args: Args, nanoseconds: int, now_us: int
) -> None:
    """A call has taken at least `metrics.long_ns`. `name` is the client's, as it was when the call ran."""
    slow, monitor = metrics.slow_log, metrics.latency_monitor
    now_s = now_us // 1_000_000
    if nanoseconds >= slow.threshold_ns and not spec.flags & SKIP_SLOWLOG:
        slow.add(spec.without_secrets(args), nanoseconds, now_s, client.address, name)
    if nanoseconds >= monitor.threshold_ns:
        monitor.add("fast-command" if spec.flags & FAST else "command", nanoseconds, now_s)
