"""What feeds a target with inputs: atheris, which follows the coverage, or Hypothesis, which does not."""

from __future__ import annotations

import faulthandler
import hashlib
import importlib.util
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

from tests.fuzz.target import Run, Target

MEMORY_MAX_MB: Final = 1500  # of the process: more is growth
INPUT_MAX_S: Final = 30  # for one input: more is a hang
TEXT_COMPARED: Final = 40  # of the text of a failure
FOUND_MAX: Final = 25  # failures in different places, after which a run is of no further use


def has_atheris() -> bool:
    """Whether it is installed: there are wheels for Linux and some versions of Python."""
    return importlib.util.find_spec("atheris") is not None


@contextmanager
def instrumented(by_atheris: bool) -> Iterator[None]:
    """What is imported inside of Keyp tells atheris where it is."""
    if not by_atheris:
        yield
        return
    import atheris

    with atheris.instrument_imports(include=["keyp"]):
        yield


class Recorder:
    """Runs a target, and keeps the first input that fails in each place below `folder`."""

    def __init__(self, run: Run, folder: Path) -> None:
        self._run = run
        self.folder = folder
        self._places: set[str] = set()
        self.count = 0

    def __call__(self, data: bytes) -> None:
        self.count += 1
        try:
            self._run(data)
        except Exception as error:
            self._note(data, error)

    def _note(self, data: bytes, error: Exception) -> None:
        place = place_of(error)
        if place in self._places:
            return
        self._places.add(place)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / hashlib.sha1(place.encode()).hexdigest()[:12]
        path.write_bytes(data)
        path.with_suffix(".txt").write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        print(f"FOUND {path}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr, flush=True)
        if len(self._places) >= FOUND_MAX:
            os._exit(self.end())

    def end(self) -> int:
        """The status to exit with; says how much was done."""
        print(f"INPUTS {self.count} FAILURES {len(self._places)}", file=sys.stderr, flush=True)
        return 1 if self._places else 0


def place_of(error: Exception) -> str:
    """What tells a failure from others: its type, how its text begins, and the lines that it came through last."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    lines = " ".join([f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames])
    return f"{type(error).__name__} {str(error)[:TEXT_COMPARED]} {lines}"


def guided(target: Target, recorder: Recorder, runs: int, seconds: int, seed: int, corpus: Path | None) -> NoReturn:
    """By atheris; ends the process. A hang and growth end it at once, and leave the input in the folder of failures."""
    import atheris

    folder = recorder.folder
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [
        f"-runs={runs}",
        f"-seed={seed}",
        f"-max_len={target.max_bytes}",
        f"-rss_limit_mb={MEMORY_MAX_MB}",
        f"-timeout={INPUT_MAX_S}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        "-len_control=0",
        "-report_slow_units=10",
    ]
    if seconds:
        arguments.append(f"-max_total_time={seconds}")
    if target.words:
        words = folder / "words"
        words.write_text("".join([dictionary_line(word) for word in target.words]), encoding="latin-1")
        arguments.append(f"-dict={words}")
    if corpus is not None:
        corpus.mkdir(parents=True, exist_ok=True)
        arguments.append(str(corpus))
    threading.Thread(target=watch, args=(recorder,), daemon=True).start()
    atheris.Setup([target.name, *arguments], recorder)
    atheris.Fuzz()
    sys.exit(recorder.end())


def watch(recorder: Recorder) -> None:
    """Shows where an input is that is about to be called a hang."""
    seen, since = -1, 0
    while True:
        time.sleep(1)
        since = since + 1 if recorder.count == seen else 0
        seen = recorder.count
        if since == INPUT_MAX_S - 5:
            faulthandler.dump_traceback(sys.stderr)


def dictionary_line(word: bytes) -> str:
    """A word as libFuzzer's dictionaries have it."""
    return '"' + "".join([f"\\x{byte:02x}" for byte in word]) + '"\n'


def undirected(target: Target, recorder: Recorder, runs: int, seed: int) -> None:
    """By Hypothesis: inputs at random."""
    from hypothesis import HealthCheck, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    @seeded(seed)
    @settings(max_examples=runs, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=target.max_bytes))
    def draw(data: bytes) -> None:
        recorder(data)

    draw()


def replayed(run: Run, inputs: list[Path]) -> int:
    """Runs files; what fails is raised."""
    for path in inputs:
        run(path.read_bytes())
        print(f"{path}: nothing is wrong")
    return 0
