"""Tables and charts from a file of results, without measuring anything.

    python -m benchmarks.report benchmarks/results/results.json [--readme README.md]

writes README.md (all rows) and the charts beside the file, and with --readme the few rows that matter most between the
two markers of that document.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from math import floor, log10
from pathlib import Path
from typing import Any

from benchmarks import charts
from benchmarks.results import KEYS, MEGABYTES, MILLISECONDS, REQUESTS, SECONDS, Results, Row, SectionResult, read
from benchmarks.rounds import Section
from benchmarks.sections import SECTIONS
from benchmarks.servers import PROMISES, Missing
from benchmarks.summary import compare
from benchmarks.targets import TARGETS
from keyp.tools.readme import put_between_markers

MARKERS = ("<!-- benchmarks -->", "<!-- /benchmarks -->")
IN_README = ("ratios", "growth", "latency")
HOW_TO_READ = (
    "The ratio says how many times better Keyp did, above 1 Keyp is ahead: of rates it is Keyp's by the other's, "
    "of times and sizes the other's by Keyp's. It is the median of the rounds' ratios, with the least and the "
    "greatest beside it. The rates by themselves say as much about this machine, which also runs the load, as "
    "about the servers."
)


def amount(value: float, unit: str) -> str:
    """A figure with three digits that count, and its unit."""
    if value >= 100:
        step = 10 ** max(0, floor(log10(value)) - 2)
        figure = f"{round(value / step) * step:,.0f}"
    elif value > 0:
        figure = f"{value:.{max(0, 2 - floor(log10(value)))}f}"
    else:
        figure = "0"
    return f"{figure}{ {REQUESTS: '/s', KEYS: ' keys/s', SECONDS: ' s', MILLISECONDS: ' ms', MEGABYTES: ' MB'}[unit] }"


def times(ratio: float) -> str:
    """A ratio with two decimals, or fewer where it is large."""
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}" if ratio < 100 else f"{ratio:,.0f}"


def fact(name: str, value: Any) -> str:
    """A fact in a cell."""
    if name == "value":
        return "" if not value else f"{value // 1024} KiB" if value >= 1024 else f"{value} B"
    return f"{value:,}" if isinstance(value, int) else str(value)


def conditions(results: Results) -> str:
    """One sentence on the machine and the programs."""
    facts = results.environment
    keyp = facts["keyp"]
    how = "compiled" if keyp["compiled"] == "yes" else "uncompiled"
    versions = [f"{name} {facts['versions'][name]}" for name in results.servers]
    versions[0] += f" ({how}, Python {keyp['python']}, {keyp['reactor']})"
    machine = f"{facts['processor']}, {facts['processors']} processors, {facts['memory_gigabytes']:.0f} GB"
    dates = sorted({str(section.measured["date"]) for section in results.sections.values()})
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    if facts.get("apart"):
        machine += ", the servers on one of them and the load on the rest"
    system = f"{facts['system']}, {facts['file_system']}"
    return f"{' beside '.join(versions)}; {machine}; {system}; {facts['load_generator']}; {when}."


def _comparisons(row: Row, results: Results) -> list[str]:
    """The cells of a row that compare: Keyp, then for each other its median, the ratio and the spread."""
    own, *others = results.servers
    cells: list[str] = []
    for other in others:
        found = compare(row, own, other)
        if found is None:
            cells += ["", "", ""]
            continue
        if not cells:
            cells.append(amount(found.own, row.unit))
        spread = f"{times(found.low)} to {times(found.high)}"
        cells += [amount(found.other, row.unit), f"**{times(found.ratio)}**", spread]
    return cells


def _table(titles: list[str], rows: list[list[str]], results: Results) -> Iterator[str]:
    own, *others = results.servers
    titles = [*titles, own]
    for other in others:
        titles += [other, "ratio", "least to greatest"]
    yield _line(titles)
    yield _line(["---"] * (len(titles) - 1 - 3 * len(others)) + ["--:"] * (1 + 3 * len(others)))
    for row in rows:
        if len(row) == len(titles):
            yield _line(row)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def section_markdown(section: Section, result: SectionResult, results: Results) -> str:
    """A heading, how it was measured, and the table of all rows."""
    measured = result.measured
    work = "" if measured["scale"] == 1 else f" On a scale of {measured['scale']:g}: less work than in the full form."
    rounds = "1 round" if measured["rounds"] == 1 else f"{measured['rounds']} rounds"
    unfinished = "" if measured["complete"] else " It was interrupted: the last round is not whole."
    lines = [
        f"## {section.title}\n\n",
        f"{PROMISES[measured['promise']]}. {rounds}.{work}{unfinished} {section.note}\n\n",
    ]
    if section.name in charts.CHARTS:
        lines.append(f"{picture(section.name, '')}\n")
    rows = [
        [
            row.name,
            *(fact(column, row.facts.get(column, "")) for column in section.columns),
            *_comparisons(row, results),
        ]
        for row in result.rows
    ]
    lines += _table(["", *section.columns], rows, results)
    return "".join(lines)


def picture(name: str, folder: str) -> str:
    """The Markdown of a chart whose file is in `folder`, which ends in a slash or is empty. Ends in a line break."""
    return f"![{charts.CHARTS[name].says}]({folder}{name}.svg)\n"


def full_markdown(results: Results) -> str:
    """The page with all rows."""
    sections = [
        section_markdown(section, results.sections[name], results)
        for name, section in SECTIONS.items()
        if name in results.sections
    ]
    head = "# Keyp and the reference server, side by side\n\n"
    about = f"{conditions(results)}\n\n{HOW_TO_READ} [The rules](../README.md), [every round](results.json).\n\n"
    return f"{head}{about}{picture('ratios', '')}\n" + "\n".join(sections)


def summary_markdown(results: Results, folder: str) -> str:
    """What goes into the README: the targets' table, some charts, where the rest is. `folder` is where that is."""
    rows = []
    for target in TARGETS:
        row = target.find(results)
        if row is not None:
            rows.append([target.title_of(row), *_comparisons(row, results)])
    lines = [f"{conditions(results)} {HOW_TO_READ}\n\n", *_table([""], rows, results), "\n"]
    lines += [f"{picture(name, folder)}\n" for name in IN_README if name in charts.drawable(results)]
    lines.append(
        f"All rows, and how each was measured: [{folder}README.md]({folder}README.md). Once more: `make bench`.\n"
    )
    return "".join(lines)


def publish(results: Results, folder: Path, readme: Path | None) -> list[Path]:
    """Writes table and charts into `folder`, and into the README if there is one. Returns the files.

    Raises `Missing` without matplotlib, when the tables are already written.
    """
    table = folder / "README.md"
    table.write_text(full_markdown(results), encoding="utf-8")
    written = [table]
    if readme is not None:
        beside = f"{Path(os.path.relpath(folder, readme.parent)).as_posix()}/"
        text = put_between_markers(readme.read_text(encoding="utf-8"), summary_markdown(results, beside), MARKERS)
        readme.write_text(text, encoding="utf-8")
        written.append(readme)
    return written + charts.draw(results, folder)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.report", description="Makes tables and charts of a file of results."
    )
    parser.add_argument("file", type=Path, help="what a benchmark has written, such as build/benchmarks/results.json")
    parser.add_argument("--readme", type=Path, help="a document with the two markers, to be filled as well")
    arguments = parser.parse_args()
    try:
        for path in publish(read(arguments.file), arguments.file.parent, arguments.readme):
            print(path)
    except (Missing, ValueError, OSError) as error:
        sys.exit(f"benchmarks: {error}")


if __name__ == "__main__":
    main()
