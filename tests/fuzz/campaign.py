"""All targets, one after the other: `python -m tests.fuzz.campaign --inputs 10000000`, or `make fuzz`.

Each target has the part of the inputs that its weight says, in a process of its own. What was of use stays in a corpus
for the next campaign; what failed stays beside it, and `python -m tests.fuzz TARGET FILE` shows it again. A process
that ends early, because it hung, grew or crashed, is started again for the inputs that are left.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

STARTS_MAX: Final = 5  # of one target
PROGRESS: Final = re.compile(r"#(\d+)\s+\w+\s+(?:cov: (\d+) ft: \d+ corp: (\d+))?")
MEMORY: Final = re.compile(r"peak_rss_mb:\s+(\d+)")
INPUTS: Final = re.compile(r"INPUTS (\d+)")
FOUND: Final = re.compile(r"^FOUND .*|^==\d+== ERROR: .*", re.MULTILINE)


class Outcome:
    """What became of one target: `coverage` counts places in Keyp, `kept` the inputs in the corpus."""

    def __init__(self) -> None:
        self.inputs = 0
        self.seconds = 0.0
        self.coverage = 0
        self.kept = 0
        self.memory_mb = 0
        self.found: list[str] = []

    def take(self, output: str) -> int:
        """Reads what a process has said; how many inputs it had."""
        done = [int(number) for number in INPUTS.findall(output)]
        for number, coverage, kept in PROGRESS.findall(output):
            done.append(int(number))
            if coverage:
                self.coverage, self.kept = int(coverage), int(kept)
        self.memory_mb = max([self.memory_mb, *map(int, MEMORY.findall(output))])
        self.found += FOUND.findall(output)
        return max(done, default=0)


def run(target: Target, inputs: int, seed: int, folder: Path) -> Outcome:
    """Runs one target for so many inputs."""
    outcome = Outcome()
    started = time.monotonic()
    for start in range(STARTS_MAX):
        left = inputs - outcome.inputs
        if left <= 0:
            break
        options = ["--runs", str(left), "--seed", str(seed + start), "--found", str(folder / "found")]
        command = [sys.executable, "-m", "tests.fuzz", target.name, *options, "--corpus", str(folder / target.name)]
        ended = subprocess.run(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, check=False)
        output = ended.stderr.decode("utf-8", "replace")
        outcome.inputs += outcome.take(output)
        if ended.returncode and not outcome.found:
            outcome.found.append(f"{target.name} ended with {ended.returncode}: {output[-2000:]}")
            break
    outcome.seconds = time.monotonic() - started
    return outcome


def main() -> int:
    """Returns 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.campaign", description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"), help="for the corpus and what is found")
    parser.add_argument("targets", nargs="*", help="all, unless some are named")
    options = parser.parse_args()
    targets = [TARGETS[name] for name in options.targets or TARGETS]
    weights = sum([target.weight for target in targets])
    found: list[str] = []
    total = 0
    print(f"{'target':16} {'inputs':>9} {'seconds':>8} {'a second':>8} {'coverage':>8} {'corpus':>6} {'MB':>5} found")
    for target in targets:
        outcome = run(target, -(-options.inputs * target.weight // weights), options.seed, options.folder)
        pace = outcome.inputs / outcome.seconds
        print(
            f"{target.name:16} {outcome.inputs:9} {outcome.seconds:8.0f} {pace:8.0f} {outcome.coverage:8} "
            f"{outcome.kept:6} {outcome.memory_mb:5} {len(outcome.found)}",
            flush=True,
        )
        found += outcome.found
        total += outcome.inputs
    print(f"{total} inputs")
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
