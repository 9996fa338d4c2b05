"""The charts: SVG on a transparent ground, in colours that can be read on a light page and on a dark one.

Drawing the same results with the same matplotlib gives the same bytes. Text stays text, so that files are small and
can be searched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.latency import CONDITIONS
from benchmarks.results import Results, Row
from benchmarks.servers import Missing
from benchmarks.summary import compare, spread
from benchmarks.targets import SIZE, TARGETS

OWN, OTHER, TEXT, FAINT = "#12a594", "#a58a6f", "#768390", "#76839040"
WIDTH = 8.6
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "keyp",
    "figure.constrained_layout.w_pad": 0.12,
    "figure.constrained_layout.h_pad": 0.1,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],  # alike in width, for the page has what it has
    "font.size": 10,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": TEXT,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": TEXT,
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True)
class Chart:
    """What a chart says, for those who do not see it; the section it needs; and how it is drawn on a new figure."""

    says: str
    section: str | None
    draw: Callable[[Any, Results], None]


def draw(results: Results, folder: Path) -> list[Path]:
    """Writes the charts for which there are results. Raises `Missing` without matplotlib."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise Missing(
            "There are no charts without matplotlib: `make bench` installs it, or pip install matplotlib."
        ) from None
    written = []
    with matplotlib.rc_context(STYLE):
        for name in drawable(results):
            figure = Figure(layout="constrained")
            CHARTS[name].draw(figure, results)
            path = folder / f"{name}.svg"
            figure.savefig(path, metadata={"Date": None, "Creator": None})
            written.append(path)
    return written


def drawable(results: Results) -> list[str]:
    """The names of the charts for which there are results."""
    found = []
    for name, chart in CHARTS.items():
        if chart.section is None:
            wanted = any(target.group != SIZE and target.find(results) for target in TARGETS)
        else:
            section = results.sections.get(chart.section)
            wanted = section is not None and any(len(row.rounds) > 0 for row in section.rows)
        if wanted:
            found.append(name)
    return found


def ratios(figure: Any, results: Results) -> None:
    """A dot for each target that is a rate, its spread as a line, and 1.0 where both do the same."""
    own, other = results.servers[:2]
    lines = []  # (group, title, comparison), groups in the order of the targets
    for target in TARGETS:
        row = target.find(results)
        found = compare(row, own, other) if row and target.group != SIZE else None
        if row is not None and found is not None:
            lines.append((target.group, target.title_of(row), found))
    axes = figure.subplots()
    place, ticks = 0.0, []
    for group, members in groupby(lines, key=lambda line: line[0]):
        axes.text(
            -0.012, place, group, transform=axes.get_yaxis_transform(), ha="right", va="center", fontweight="bold"
        )
        for _, title, found in members:
            place += 1
            ticks.append((place, title))
            axes.plot([found.low, found.high], [place, place], color=OWN, alpha=0.45, linewidth=4)
            axes.plot(found.ratio, place, "o", color=OWN, markersize=7)
            axes.text(1.01, place, f"{found.ratio:.2f}", transform=axes.get_yaxis_transform(), va="center", color=OWN)
        place += 1.4
    axes.axvline(1, color=TEXT, linewidth=1.2)
    axes.set_yticks([at for at, _ in ticks], [title for _, title in ticks])
    axes.set_ylim(place - 0.9, -0.7)
    axes.set_xlim(0, max([1.25, *(found.high * 1.05 for _, _, found in lines)]))
    axes.grid(axis="x")
    axes.set_xlabel(
        f"requests a second, {own} ÷ {other}   (dot: median of the rounds; line: least to greatest)", loc="right"
    )
    axes.set_title(f"as fast as {other}", fontsize=9, fontweight="normal", x=1 / axes.get_xlim()[1], ha="center", pad=4)
    figure.set_size_inches(WIDTH, 1.2 + 0.26 * place)


def durable(figure: Any, results: Results) -> None:
    """Rates of durable SETs by the number of clients."""
    rows = [row for row in results.sections["durable"].rows if row.facts["pipeline"] == 1]
    axes = figure.subplots()
    axes.set_title("SET, on the disk before the reply: requests a second")
    _curves(axes, results, rows, "clients")
    axes.set_xticks(range(len(rows)), [_clients(row.facts["clients"]) for row in rows])
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    figure.set_size_inches(WIDTH, 3.4)


def growth(figure: Any, results: Results) -> None:
    """Time of a restart, and memory, by the number of keys."""
    section = results.sections["growth"]
    panels = figure.subplots(1, 2)
    titles = {"restart": "Start to first reply, seconds", "memory": "Memory of the process, MB"}
    for axes, (name, title) in zip(panels, titles.items(), strict=True):
        rows = [row for row in section.rows if row.name == name]
        axes.set_title(title)
        axes.set_yscale("log")
        _curves(axes, results, rows, "keys")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: "")
        axes.set_xticks(range(len(rows)), [_short(row.facts["keys"]) for row in rows])
        axes.set_xlabel("keys")
    figure.set_size_inches(WIDTH, 3.4)


def latency(figure: Any, results: Results) -> None:
    """For each condition and server a line from the median by way of p99 to p99.9."""
    section = results.sections["latency"]
    own, other = results.servers[:2]
    axes = figure.subplots()
    markers = {"p50": "o", "p99": "D", "p99.9": "|"}
    conditions = [name for name in CONDITIONS if section.find(name)]
    for place, condition in enumerate(conditions):
        for server, shift, colour in ((own, -0.17, OWN), (other, 0.17, OTHER)):
            found = {share: _middle(section.find(condition, percentile=share), server) for share in markers}
            known = {share: value for share, value in found.items() if value is not None}
            axes.plot(list(known.values()), [place + shift] * len(known), color=colour, alpha=0.45, linewidth=3)
            for share, value in known.items():
                size = {"o": 7, "D": 6, "|": 11}[markers[share]]
                axes.plot(value, place + shift, markers[share], color=colour, markersize=size, markeredgewidth=2)
    axes.set_title("GET while something else goes on: milliseconds")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.grid(axis="x")
    axes.set_yticks(range(len(conditions)), conditions)
    axes.set_ylim(len(conditions) - 0.4, -0.6)
    for label, colour, marker in ((own, OWN, "s"), (other, OTHER, "s"), *((m, TEXT, markers[m]) for m in markers)):
        axes.plot([], [], marker, color=colour, label=label, markersize=8, markeredgewidth=2)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5, handletextpad=0.2)
    figure.set_size_inches(WIDTH, 1.5 + 0.5 * len(conditions))


def _curves(axes: Any, results: Results, rows: list[Row], by: str) -> None:
    """A line for each server over rows that differ in the fact `by`, its spread behind it, its name at its end."""
    ends = []
    for server, colour, marker in zip(results.servers[:2], (OWN, OTHER), "os", strict=True):
        found = [(place, spread(row, server)) for place, row in enumerate(sorted(rows, key=lambda row: row.facts[by]))]
        known = [(place, values) for place, values in found if values is not None]
        if not known:
            continue
        places = [place for place, _ in known]
        axes.fill_between(
            places,
            [values.low for _, values in known],
            [values.high for _, values in known],
            color=colour,
            alpha=0.15,
            lw=0,
        )
        axes.plot(places, [values.middle for _, values in known], f"{marker}-", color=colour, markersize=6, linewidth=2)
        ends.append((server, colour, places[-1], known[-1][1].middle))
    for server, colour, place, height in ends:
        # Where the two ends are close the names step aside, the upper one up and the lower one down.
        above = height >= max(end[3] for end in ends)
        shift = (0, 9) if above else (0, -9)
        axes.annotate(
            server, (place, height), shift, textcoords="offset points", color=colour, fontweight="bold",
            ha="right", va="bottom" if above else "top",
        )  # fmt: skip
    axes.grid(axis="y")
    axes.margins(x=0.06, y=0.2)


def _middle(row: Row | None, server: str) -> float | None:
    found = spread(row, server) if row is not None else None
    return found.middle if found is not None else None


def _clients(count: int) -> str:
    return f"{count} client{'' if count == 1 else 's'}"


def _short(count: int) -> str:
    if count >= 1_000_000:
        return f"{count / 1e6:g} million"
    return f"{count / 1000:g} thousand" if count >= 1000 else str(count)


CHARTS = {
    "ratios": Chart(
        "Requests a second of Keyp, divided by those of the reference server, command by command", None, ratios
    ),
    "durable": Chart("Durable SETs a second by number of clients, Keyp and the reference server", "durable", durable),
    "growth": Chart("Time of a restart and memory by number of keys, Keyp and the reference server", "growth", growth),
    "latency": Chart(
        "Percentiles of GET while others write, KEYS *, BGSAVE and expiry go on, Keyp and the reference server",
        "latency",
        latency,
    ),
}
