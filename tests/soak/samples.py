"""What the server takes while the soak runs: looked up from outside, in /proc and in the data directory."""

from __future__ import annotations

import os
import re
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.integration.daemon import Daemon

ERROR_LINE = re.compile(r"#(error|critical)\]|Traceback|Unhandled")


class Sample(NamedTuple):
    """One look. Memory is what is the process's own; the map of the store, which the kernel may drop, is not in it."""

    second: float
    memory_kb: int
    file_kb: int
    threads: int
    descriptors: int
    cpu_s: float


def look(daemon: Daemon, second: float) -> Sample:
    process = Path("/proc", str(daemon.pid))
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    times = (process / "stat").read_text().rpartition(")")[2].split()
    return Sample(
        second=second,
        memory_kb=int(status["RssAnon"].split()[0]),
        file_kb=(daemon.data_dir / "data.mdb").stat().st_size >> 10,
        threads=int(status["Threads"]),
        descriptors=len(os.listdir(process / "fd")),
        cpu_s=(int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"),
    )


def errors_in_log(daemon: Daemon) -> list[str]:
    return [line for line in daemon.log().splitlines() if ERROR_LINE.search(line)]


def typical(samples: list[Sample]) -> Sample:
    """The middle value of each column."""
    return Sample(*(median(column) for column in zip(*samples, strict=True)))


def growth(samples: list[Sample]) -> tuple[Sample, Sample]:
    """The first and the last quarter of what comes after the warm-up, which is a quarter of the time itself."""
    warm = samples[len(samples) // 4 :]
    quarter = max(1, len(warm) // 4)
    return typical(warm[:quarter]), typical(warm[-quarter:])


def table(samples: list[Sample], rows: int = 12) -> str:
    """Markdown: the time in `rows` parts, the middle values of each, and the most there was."""
    lines = ["| until s | memory MB | file MB | threads | descriptors | CPU s |", "|---|---|---|---|---|---|"]
    step = max(1, -(-len(samples) // rows))
    parts = [samples[start : start + step] for start in range(0, len(samples), step)]
    for part in parts:
        lines.append(_row(f"{part[-1].second:.0f}", typical(part), part[-1].cpu_s))
    most = Sample(*(max(column) for column in zip(*samples, strict=True)))
    lines.append(_row("most", most, samples[-1].cpu_s))
    return "\n".join(lines)


def _row(name: str, sample: Sample, cpu_s: float) -> str:
    figures = [f"{sample.memory_kb / 1024:.1f}", f"{sample.file_kb / 1024:.1f}"]
    figures += [f"{sample.threads:.0f}", f"{sample.descriptors:.0f}", f"{cpu_s:.0f}"]
    return f"| {name} | {' | '.join(figures)} |"
