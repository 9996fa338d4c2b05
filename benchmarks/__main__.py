"""Measures Keyp beside a real server, then reports: `python -m benchmarks [section …] [--quick]`, or `make bench`."""

from __future__ import annotations

import argparse
import datetime
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.load import require_program
from benchmarks.results import Results, SectionResult, begin
from benchmarks.rounds import Bench
from benchmarks.sections import SECTIONS
from benchmarks.servers import (
    NONE,
    PROMISES,
    REFERENCES,
    Missing,
    Program,
    Server,
    find_keyp,
    find_references,
    set_apart,
)

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "benchmarks"
PUBLISHED = ROOT / "benchmarks" / "results"
ROUNDS = 5
QUICK_SCALE = 0.1


def arguments_of(words: list[str] | None = None) -> argparse.Namespace:
    """The command line, read and checked."""
    parser = argparse.ArgumentParser(
        prog="benchmarks",
        description="Compares Keyp with a real server on this machine: the same load on both, in turns.",
        epilog=f"Sections: {', '.join(SECTIONS)}. All of them take about half an hour, with --quick about six minutes.",
    )
    parser.add_argument("sections", nargs="*", metavar="section", help="what to measure; everything without")
    parser.add_argument("--quick", action="store_true", help=f"a tenth of the work (--scale {QUICK_SCALE})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of each server (default: {ROUNDS})")
    parser.add_argument("--scale", type=float, help="how much work, as a part of the full form (default: 1)")
    parser.add_argument(
        "--beside",
        action="append",
        choices=REFERENCES,
        default=[],
        help="what to compare with; twice for both (default: redis-server, or Valkey where there is none)",
    )
    parser.add_argument(
        "--promise", choices=list(PROMISES), help="what all servers promise, in place of each section's own"
    )
    parser.add_argument(
        "--apart", action="store_true", help="servers have one processor for themselves, the load has the others"
    )
    parser.add_argument("--keyp", help="Keyp's program (default: the one installed beside this Python)")
    parser.add_argument(
        "--folder", type=Path, help="where the servers keep their data (default: a temporary directory)"
    )
    parser.add_argument("--out", type=Path, help="where results go (default: build/benchmarks)")
    parser.add_argument("--publish", action="store_true", help="results go to benchmarks/results, and into README.md")
    arguments = parser.parse_args(words)
    unknown = [name for name in arguments.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"there is no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    if arguments.rounds < 1:
        parser.error("--rounds is 1 or more")
    arguments.scale = arguments.scale or (QUICK_SCALE if arguments.quick else 1.0)
    arguments.out = arguments.out or (PUBLISHED if arguments.publish else BUILD)
    return arguments


def main() -> None:
    """Runs the command line. Exit status 1 where something is missing or fails, 130 after an interrupt."""
    arguments = arguments_of()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are stopped and directories removed
    try:
        programs = [find_keyp(arguments.keyp), *find_references(arguments.beside)]
        require_program()
        if arguments.apart and not set_apart():
            raise Missing("--apart needs two processors, and a system that can tie a process to one.")
        with tempfile.TemporaryDirectory(prefix="keyp-benchmarks-", dir=arguments.folder) as folder:
            results = _begin(programs, Path(folder), arguments.out / "results.json")
            _measure(results, programs, Path(folder), arguments)
    except KeyboardInterrupt:
        print(f"\nInterrupted. What was measured is in {arguments.out}/results.json.", file=sys.stderr)
        sys.exit(130)
    except (Missing, RuntimeError, OSError) as error:
        sys.exit(f"benchmarks: {error}")
    readme = ROOT / "README.md" if arguments.publish else None
    try:
        written = report.publish(results, arguments.out, readme)
    except Missing as error:
        sys.exit(f"benchmarks: {error} What was measured is in {arguments.out}; `python -m benchmarks.report` goes on.")
    print(report.summary_markdown(results, "").split("![")[0])
    print("\n".join(str(path) for path in written))


def _begin(programs: list[Program], folder: Path, path: Path) -> Results:
    """Results to be added to, after a look at the machine; says what it sees."""
    with Server(programs[0], NONE, folder / "look") as keyp:
        facts = machine.describe(programs, keyp, folder)
    own = facts["keyp"]
    for program in programs:
        print(f"{program.name} {program.version}: {program.path}", file=sys.stderr)
    print(f"Keyp compiled: {own['compiled']}, reactor: {own['reactor']}, Python {own['python']}", file=sys.stderr)
    for warning in machine.warnings(facts):
        print(f"Warning: {warning}", file=sys.stderr)
    results = begin(path, facts, [program.name for program in programs])
    if results.sections:
        print(f"Kept unless measured again: {', '.join(results.sections)}", file=sys.stderr)
    elif path.exists():
        print(f"{path} is of another machine or build of Keyp, and is replaced.", file=sys.stderr)
    return results


def _measure(results: Results, programs: list[Program], folder: Path, arguments: argparse.Namespace) -> None:
    """Runs the sections one after the other; the file is written anew after each turn."""
    path = arguments.out / "results.json"
    for name in arguments.sections or SECTIONS:
        section = SECTIONS[name]
        promise = arguments.promise or section.promise
        measured: dict[str, Any] = {
            "date": datetime.date.today().isoformat(),
            "promise": promise,
            "rounds": arguments.rounds,
            "scale": arguments.scale,
            "complete": False,
        }
        result = SectionResult(measured)

        def save(name: str = name, result: SectionResult = result) -> None:
            results.sections[name] = result  # not sooner: until there is something, what the file has is better
            results.write(path)

        bench = Bench(programs, folder, arguments.rounds, arguments.scale, promise, result, save)
        began = time.monotonic()
        section.run(bench)
        measured["complete"] = True
        measured["seconds"] = round(time.monotonic() - began)
        save()


if __name__ == "__main__":
    main()
