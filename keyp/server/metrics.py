"""What the server counts: commands, errors, traffic, sweeps, commit groups.

Nothing here reads a clock; durations and times are arguments. Counters are changed on the reactor's thread only.
Commands on other threads may read (a figure may then be one command old) and may reset.

Durations are counted in buckets that are an eighth of a power of two wide, so a percentile is within 7 % of the
truth and a count costs one list access.
"""

from __future__ import annotations

from typing import Final

from keyp.server.config import Settings
from keyp.server.latency_monitor import NEVER, LatencyMonitor
from keyp.server.slowlog import SlowLog

ERROR_PREFIXES_MAX: Final = 128
RATE_SAMPLES: Final = 16
GROUP_BUCKETS: Final = 16  # the last one also counts all larger groups

_LONGEST_NS: Final = (1 << 40) - 1  # a quarter of an hour; what takes longer counts as this
_BUCKETS: Final = (37 << 3) + 8


class Latencies:
    """Durations in nanoseconds, counted by size."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS

    def add(self, nanoseconds: int) -> None:
        """Counts one duration."""
        if nanoseconds < 8:
            bucket = nanoseconds if nanoseconds > 0 else 0
        else:
            shift = min(nanoseconds, _LONGEST_NS).bit_length() - 4
            bucket = (shift << 3) + (min(nanoseconds, _LONGEST_NS) >> shift)
        self._counts[bucket] += 1

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self._counts)

    def percentile(self, percent: float) -> int:
        """The duration that `percent` of those counted do not exceed, in nanoseconds; 0 where none was counted."""
        counts = self._counts
        wanted = sum(counts) * percent / 100.0
        seen = 0
        for bucket, count in enumerate(counts):
            seen += count
            if count and seen >= wanted:
                return _middle(bucket)
        return 0

    def cumulative(self) -> list[tuple[int, int]]:
        """(bound in nanoseconds, how many were shorter), for the powers of two from 1024 where that number grows."""
        steps: list[tuple[int, int]] = []
        counts = self._counts
        seen = 0
        start = 0
        for exponent in range(10, 41):
            stop = ((exponent - 3) << 3) + 8
            shorter = sum(counts[start:stop])
            start = stop
            if shorter:
                seen += shorter
                steps.append((1 << exponent, seen))
        return steps


def _middle(bucket: int) -> int:
    """A duration in the middle of a bucket."""
    if bucket < 16:
        return bucket
    shift = (bucket >> 3) - 1
    return ((8 | bucket & 7) << shift) + (1 << shift >> 1)


class CommandStats:
    """What is counted of one command or subcommand."""

    def __init__(self) -> None:
        self.calls = 0
        self.nanoseconds = 0
        self.failed = 0
        self.rejected = 0
        self.latencies = Latencies()


class Rate:
    """How fast a counter grows now: the mean of its last sixteen samples."""

    def __init__(self) -> None:
        self._samples: list[float] = []
        self._last_count = 0
        self._last_s = 0.0

    def sample(self, count: int, now_s: float) -> None:
        """Takes a sample of the counter. `now_s` comes from a clock that never goes back."""
        if self._last_s and now_s > self._last_s:
            self._samples.append(max(0, count - self._last_count) / (now_s - self._last_s))
            del self._samples[:-RATE_SAMPLES]
        self._last_count = count
        self._last_s = now_s

    def per_second(self) -> float:
        """The rate; 0 before there are two samples."""
        samples = self._samples.copy()
        return sum(samples) / len(samples) if samples else 0.0


class Metrics:
    """All counters of one server, from its start or from the last CONFIG RESETSTAT.

    The attributes are counters to be added to where their event happens; the methods count what concerns several.
    """

    def __init__(self) -> None:
        self.slow_log = SlowLog()
        self.latency_monitor = LatencyMonitor()
        self.long_ns = NEVER  # what takes so long concerns one of the two
        self.memory_peak = 0  # bytes, the largest seen by `note_memory`
        self.blocked_clients = 0  # how many wait in a blocking command just now
        self.latency_tracking = True
        self.reset()

    def reset(self) -> None:
        """Sets all counters to zero, as CONFIG RESETSTAT does. The slow log and the current state stay."""
        self.commands: dict[str, CommandStats] = {}
        self.errors: dict[str, int] = {}
        self.total_error_replies = 0
        self.commands_processed = 0
        self.connections_received = 0
        self.connections_rejected = 0
        self.evicted_clients = 0
        self.reads = 0  # from clients' sockets …
        self.writes = 0  # … and to them
        self.input_bytes = 0
        self.output_bytes = 0
        self.keyspace_hits = 0
        self.keyspace_misses = 0
        self.expired_keys = 0
        self.saves = 0
        self.delayed_syncs = 0  # that of a second was left out, because the one before was not done yet
        self.sweeps = 0
        self.sweep_errors = 0
        self.sweep_nanoseconds = 0
        self.swept_keys = 0
        self.swept_elements = 0
        self.last_sweep_keys = 0
        self.last_sweep_elements = 0
        self.last_sweep_nanoseconds = 0
        self.commit_groups = 0
        self.committed_batches = 0
        self.commit_nanoseconds = 0
        self.group_sizes = [0] * GROUP_BUCKETS
        self.commands_rate = Rate()
        self.input_rate = Rate()
        self.output_rate = Rate()

    def follow(self, settings: Settings) -> None:
        """Sets what is measured and kept as the settings say, now and after every change."""

        def apply() -> None:
            self.latency_tracking = settings.latency_tracking
            self.slow_log.configure(settings.slowlog_log_slower_than, settings.slowlog_max_len)
            self.latency_monitor.configure(settings.latency_monitor_threshold)
            self.long_ns = min(self.slow_log.threshold_ns, self.latency_monitor.threshold_ns)

        apply()
        settings.on_change(apply)

    def _stats(self, name: str) -> CommandStats:
        stats = self.commands.get(name)
        if stats is None:
            stats = self.commands[name] = CommandStats()
        return stats

    def record(self, name: str, nanoseconds: int, failed: bool) -> None:
        """A command has run, for so long; `failed`: its reply is an error. `name` is its full name in lower case."""
        stats = self.commands.get(name)
        if stats is None:
            stats = self._stats(name)
        stats.calls += 1
        stats.nanoseconds += nanoseconds
        if failed:
            stats.failed += 1
        if self.latency_tracking:
            stats.latencies.add(nanoseconds)
        self.commands_processed += 1

    def record_in_scripts(self, name: str, calls: int, nanoseconds: int, failed: int) -> None:
        """Scripts have called a command so many times, which took so long together; so many of the calls failed."""
        stats = self._stats(name)
        stats.calls += calls
        stats.nanoseconds += nanoseconds
        stats.failed += failed
        self.commands_processed += calls

    def reject(self, name: str) -> None:
        """A command was refused before it ran."""
        self._stats(name).rejected += 1

    def error(self, text: str) -> None:
        """An error was replied; `text` is its line. Counted by its first word, ERR where it has only one."""
        self.total_error_replies += 1
        word, space, _ = text.partition(" ")
        if not space:
            word = "ERR"
        errors = self.errors
        if word not in errors and len(errors) >= ERROR_PREFIXES_MAX:
            word = "ERRORSTATS_OVERFLOW"
        errors[word] = errors.get(word, 0) + 1

    def group_committed(self, batches: int, nanoseconds: int) -> None:
        """A commit group with so many batches was made durable; the commit took so long."""
        self.commit_groups += 1
        self.committed_batches += batches
        self.commit_nanoseconds += nanoseconds
        self.group_sizes[min((batches - 1).bit_length(), GROUP_BUCKETS - 1)] += 1

    def swept(self, keys: int, elements: int, nanoseconds: int) -> None:
        """A sweep is done: so many expired keys removed, so many elements of removed values cleared."""
        self.sweeps += 1
        self.swept_keys += keys
        self.swept_elements += elements
        self.expired_keys += keys
        self.sweep_nanoseconds += nanoseconds
        self.last_sweep_keys = keys
        self.last_sweep_elements = elements
        self.last_sweep_nanoseconds = nanoseconds

    def sweep_failed(self) -> None:
        """A sweep could not be done; the next one tries again."""
        self.sweep_errors += 1

    def tick(self, now_s: float) -> None:
        """Takes a sample for the rates: once or several times a second, `now_s` from a clock that never goes back."""
        self.commands_rate.sample(self.commands_processed, now_s)
        self.input_rate.sample(self.input_bytes, now_s)
        self.output_rate.sample(self.output_bytes, now_s)

    def note_memory(self, used: int) -> None:
        """The process uses so many bytes just now."""
        if used > self.memory_peak:
            self.memory_peak = used
