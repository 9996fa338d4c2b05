"""One target, for so many inputs: `python -m tests.fuzz requests --runs 100000 --seed 1 --corpus build/fuzz/requests`.

With atheris, inputs that reach new places in Keyp are kept and changed further; without it they are drawn at random by
Hypothesis. What fails is written below `--found`, once for each place where it fails, and the run goes on.
`python -m tests.fuzz requests FILE …` runs these inputs alone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.fuzz.engines import Recorder, guided, has_atheris, instrumented, replayed, undirected
from tests.fuzz.targets import TARGETS
from tests.scratch import scratch_directory


def main() -> int:
    """Returns 1 where something was found; guided runs end the process by themselves."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("target")
    parser.add_argument("inputs", nargs="*", type=Path, help="files to run, and nothing else")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=0, help="end after so long; 0 is never")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="folder of the inputs that were of use")
    parser.add_argument("--found", type=Path, default=Path("build/fuzz/found"), help="folder for inputs that fail")
    parser.add_argument("--engine", choices=("atheris", "hypothesis"), default="")
    options = parser.parse_args()
    uses_atheris = has_atheris() and options.engine != "hypothesis" and not options.inputs
    target = TARGETS[options.target]
    with instrumented(uses_atheris):
        make = target.load()
    with scratch_directory() as directory:
        run = make(Path(directory))
        if options.inputs:
            return replayed(run, options.inputs)
        recorder = Recorder(run, options.found / target.name)
        if uses_atheris:
            guided(target, recorder, options.runs, options.seconds, options.seed, options.corpus)
        undirected(target, recorder, options.runs, options.seed)
        return recorder.end()


if __name__ == "__main__":
    sys.exit(main())
