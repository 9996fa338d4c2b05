"""Latency samples by event: what LATENCY LATEST, HISTORY, GRAPH, DOCTOR and RESET work on.

Events have names, `command` and `fast-command` among them. Of each the last samples are kept, one for a second.
"""

from __future__ import annotations

from collections import deque
from typing import Final, TypeAlias

NEVER: Final = 1 << 63
SAMPLES_MAX: Final = 160

Sample: TypeAlias = tuple[int, int]  # seconds since 1970, milliseconds that it took


class LatencyMonitor:
    """Samples of what took at least `threshold_ns`."""

    def __init__(self) -> None:
        self.threshold_ns = NEVER
        self._samples: dict[str, deque[Sample]] = {}
        self._longest: dict[str, int] = {}

    def configure(self, threshold_ms: int) -> None:
        """Sets the threshold in milliseconds, 0 for none."""
        self.threshold_ns = threshold_ms * 1_000_000 if threshold_ms else NEVER

    def add(self, event: str, nanoseconds: int, at_s: int) -> None:
        """Adds a sample. Of those within one second the longest is kept."""
        milliseconds = nanoseconds // 1_000_000
        samples = self._samples.get(event)
        if samples is None:
            samples = self._samples[event] = deque(maxlen=SAMPLES_MAX)
        if samples and samples[-1][0] == at_s:
            milliseconds = max(milliseconds, samples.pop()[1])
        samples.append((at_s, milliseconds))
        self._longest[event] = max(milliseconds, self._longest.get(event, 0))

    def latest(self) -> list[tuple[str, int, int, int]]:
        """The last sample of each event: its name, when, how long, and the longest there was, in milliseconds."""
        found: list[tuple[str, int, int, int]] = []
        for name, samples in self._samples.items():
            at_s, milliseconds = samples[-1]
            found.append((name, at_s, milliseconds, self._longest[name]))
        return found

    def history(self, event: str) -> list[Sample]:
        """An event's samples, the oldest first."""
        return list(self._samples.get(event, ()))

    def longest(self, event: str) -> int:
        """The most milliseconds that an event ever took, 0 where there was none."""
        return self._longest.get(event, 0)

    def reset(self, events: list[str] | None = None) -> int:
        """Removes events, all of them where none is named; how many there were."""
        names = list(self._samples) if events is None else [name for name in events if name in self._samples]
        for name in dict.fromkeys(names):
            del self._samples[name], self._longest[name]
        return len(dict.fromkeys(names))
