"""Counters: percentiles within their promise, rates, reset, the slow log."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyp.server.config import Settings
from keyp.server.metrics import ERROR_PREFIXES_MAX, GROUP_BUCKETS, Latencies, Metrics, Rate
from keyp.server.slowlog import SlowLog

DURATIONS = st.integers(0, (1 << 40) - 1)


@given(st.lists(DURATIONS, min_size=1), st.sampled_from([50.0, 99.0, 99.9, 100.0]))
def test_a_percentile_is_within_seven_percent(durations: list[int], percent: float) -> None:
    latencies = Latencies()
    for nanoseconds in durations:
        latencies.add(nanoseconds)
    place = max(math.ceil(len(durations) * percent / 100), 1)
    true = sorted(durations)[place - 1]
    assert abs(latencies.percentile(percent) - true) <= true * 0.07


@given(st.lists(DURATIONS))
def test_cumulative_counts_are_exact_at_powers_of_two(durations: list[int]) -> None:
    latencies = Latencies()
    for nanoseconds in durations:
        latencies.add(nanoseconds)
    steps = latencies.cumulative()
    assert [count for _, count in steps] == [sum(1 for value in durations if value < bound) for bound, _ in steps]
    assert (steps[-1][1] if steps else 0) == len(durations)
    assert all(bound >= 1024 for bound, _ in steps)


@pytest.mark.parametrize("nanoseconds", [-5, 0, 1 << 40, 1 << 70])
def test_durations_out_of_range_are_counted_at_its_ends(nanoseconds: int) -> None:
    latencies = Latencies()
    latencies.add(nanoseconds)
    assert len(latencies.cumulative()) == 1


def test_no_percentile_of_nothing() -> None:
    assert Latencies().percentile(99.0) == 0


def test_commands() -> None:
    metrics = Metrics()
    metrics.record("get", 1500, False)
    metrics.record("get", 2500, True)
    metrics.reject("get")
    metrics.reject("set")
    get, put = metrics.commands["get"], metrics.commands["set"]
    assert (get.calls, get.nanoseconds, get.failed, get.rejected) == (2, 4000, 1, 1)
    assert (put.calls, put.rejected) == (0, 1)
    assert metrics.commands_processed == 2


def test_errors_are_counted_by_their_first_word() -> None:
    metrics = Metrics()
    for text in ("ERR one", "ERR two", "WRONGTYPE three", "lonely"):
        metrics.error(text)
    assert metrics.errors == {"ERR": 3, "WRONGTYPE": 1}
    assert metrics.total_error_replies == 4


def test_error_prefixes_are_bounded() -> None:
    metrics = Metrics()
    for number in range(ERROR_PREFIXES_MAX + 10):
        metrics.error(f"CODE{number} text")
    metrics.error("CODE0 text")
    assert len(metrics.errors) == ERROR_PREFIXES_MAX + 1
    assert metrics.errors["ERRORSTATS_OVERFLOW"] == 10
    assert metrics.errors["CODE0"] == 2


def test_groups_are_counted_by_size() -> None:
    metrics = Metrics()
    for batches in (1, 1, 2, 3, 4, 5, 1 << 40):
        metrics.group_committed(batches, 10)
    assert metrics.group_sizes[:4] == [2, 1, 2, 1]
    assert metrics.group_sizes[GROUP_BUCKETS - 1] == 1
    assert metrics.commit_groups == 7
    assert metrics.commit_nanoseconds == 70


def test_sweeps() -> None:
    metrics = Metrics()
    metrics.swept(3, 4, 100)
    metrics.swept(1, 0, 50)
    metrics.sweep_failed()
    assert (metrics.sweeps, metrics.swept_keys, metrics.swept_elements) == (2, 4, 4)
    assert (metrics.sweep_nanoseconds, metrics.sweep_errors, metrics.expired_keys) == (150, 1, 4)
    assert (metrics.last_sweep_keys, metrics.last_sweep_elements) == (1, 0)


def test_a_rate_is_the_mean_of_its_last_sixteen_samples() -> None:
    rate = Rate()
    assert rate.per_second() == 0
    rate.sample(0, 100.0)
    rate.sample(50, 100.5)
    assert rate.per_second() == 100
    for step in range(1, 17):
        rate.sample(50 + 10 * step, 100.5 + step)
    assert rate.per_second() == 10


def test_a_rate_survives_a_reset_of_its_counter_and_a_tick_without_time() -> None:
    rate = Rate()
    rate.sample(100, 1.0)
    rate.sample(0, 2.0)
    rate.sample(5, 2.0)
    assert rate.per_second() == 0


def test_tick_samples_all_rates() -> None:
    metrics = Metrics()
    metrics.tick(1.0)
    metrics.record("get", 1, False)
    metrics.input_bytes += 2048
    metrics.output_bytes += 4096
    metrics.tick(2.0)
    assert metrics.commands_rate.per_second() == 1
    assert metrics.input_rate.per_second() == 2048
    assert metrics.output_rate.per_second() == 4096


def counters(metrics: Metrics) -> dict[str, object]:
    values = {name: getattr(metrics, name) for name in dir(metrics) if not name.startswith("_")}
    return {name: value for name, value in values.items() if isinstance(value, int | dict | list)}


def test_reset_forgets_counters_and_keeps_the_slow_log() -> None:
    metrics = Metrics()
    metrics.record("get", 1, False)
    metrics.error("ERR x")
    metrics.swept(1, 1, 1)
    metrics.group_committed(1, 1)
    metrics.connections_received += 1
    metrics.slow_log.add([b"get"], 1, 0, "", b"")
    metrics.reset()
    assert counters(metrics) == counters(Metrics())
    assert len(metrics.slow_log) == 1


def test_the_largest_memory_is_remembered() -> None:
    metrics = Metrics()
    for used in (10, 30, 20):
        metrics.note_memory(used)
    metrics.reset()
    assert metrics.memory_peak == 30


def test_the_slow_log_follows_the_settings() -> None:
    metrics, settings = Metrics(), Settings()
    metrics.follow(settings)
    assert metrics.slow_log.threshold_ns == 10_000_000
    settings.set_many([(b"slowlog-log-slower-than", b"-1"), (b"slowlog-max-len", b"1")])
    assert metrics.slow_log.threshold_ns > 1 << 60
    metrics.slow_log.add([b"a"], 5000, 7, "h:1", b"n")
    metrics.slow_log.add([b"b"], 6000, 8, "h:1", b"n")
    (entry,) = metrics.slow_log.latest(10)
    assert (entry.id, entry.at_s, entry.microseconds) == (1, 8, 6)
    assert (entry.args, entry.client, entry.name) == ([b"b"], b"h:1", b"n")


def test_the_slow_log_keeps_the_newest() -> None:
    log = SlowLog()
    log.configure(0, 3)
    for number in range(5):
        log.add([b"%d" % number], 0, 0, "", b"")
    assert [entry.id for entry in log.latest(10)] == [4, 3, 2]
    log.configure(0, 2)
    assert [entry.id for entry in log.latest(10)] == [4, 3]
    log.configure(0, 0)
    log.add([b"x"], 0, 0, "", b"")
    assert len(log) == 0


def test_the_slow_log_cuts_what_is_long() -> None:
    log = SlowLog()
    log.add([b"mget"] + [b"%d" % number for number in range(35)], 0, 0, "", b"")
    log.add([b"get", b"x" * 165], 0, 0, "", b"")
    short, long = log.latest(2)
    assert short.args == [b"get", b"x" * 128 + b"... (37 more bytes)"]
    assert len(long.args) == 32
    assert long.args[-1] == b"... (5 more arguments)"
