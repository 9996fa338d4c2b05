"""The latency monitor: one sample a second, the last of them, the longest ever."""

from __future__ import annotations

from keyp.server.latency_monitor import NEVER, SAMPLES_MAX, LatencyMonitor


def test_samples_and_the_longest() -> None:
    monitor = LatencyMonitor()
    monitor.add("command", 5_999_999, 100)
    monitor.add("command", 3_000_000, 100)
    monitor.add("command", 9_000_000, 101)
    monitor.add("command", 4_000_000, 102)
    monitor.add("fast-command", 1_000_000, 102)
    assert monitor.history("command") == [(100, 5), (101, 9), (102, 4)]
    assert monitor.latest() == [("command", 102, 4, 9), ("fast-command", 102, 1, 1)]


def test_few_samples_are_kept() -> None:
    monitor = LatencyMonitor()
    for second in range(SAMPLES_MAX + 5):
        monitor.add("command", 2_000_000, second)
    history = monitor.history("command")
    assert (len(history), history[0][0]) == (SAMPLES_MAX, 5)


def test_reset() -> None:
    monitor = LatencyMonitor()
    for event in ("a", "b", "c"):
        monitor.add(event, 2_000_000, 1)
    assert monitor.reset(["a", "a", "nosuch"]) == 1
    assert [event for event, *_ in monitor.latest()] == ["b", "c"]
    assert monitor.reset() == 2
    assert monitor.latest() == []
    assert monitor.history("b") == []


def test_the_threshold() -> None:
    monitor = LatencyMonitor()
    assert monitor.threshold_ns == NEVER
    monitor.configure(7)
    assert monitor.threshold_ns == 7_000_000
    monitor.configure(0)
    assert monitor.threshold_ns == NEVER
