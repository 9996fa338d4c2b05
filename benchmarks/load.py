"""Load from redis-benchmark, on random keys of a range."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import Missing
from benchmarks.wire import KEY

RANDOM = "__rand_int__"
PATIENCE_S = 600


@dataclass(frozen=True)
class Load:
    """What redis-benchmark is asked to do. `command` has `KEY` where the name of a random key belongs.

    With TLS it trusts the authority whose certificate is the file `authority`.
    """

    command: tuple[str, ...]
    requests: int
    clients: int
    keys: int
    pipeline: int = 1
    prefix: str = KEY
    authority: Path | None = None

    def words(self, port: int) -> list[str]:
        """The command line."""
        command = [f"{self.prefix}{RANDOM}" if word == "KEY" else word for word in self.command]
        options = {"h": "127.0.0.1", "p": port, "n": self.requests, "c": self.clients, "r": self.keys}
        if self.pipeline > 1:
            options["P"] = self.pipeline
        words = [text for name, value in options.items() for text in (f"-{name}", str(value))]
        if self.authority:
            words += ["--tls", "--cacert", str(self.authority)]
        return [_program(), *words, *command]


def rate(port: int, *loads: Load) -> float:
    """Requests a second. Several loads begin together, and the time counts until the last has ended.

    Raises `RuntimeError` where a request was refused.
    """
    running = [_start(load, port) for load in loads]
    seconds = [_seconds(process, load.requests) for process, load in zip(running, loads, strict=True)]
    return sum(load.requests for load in loads) / max(seconds)


def _start(load: Load, port: int) -> subprocess.Popen[str]:
    words = load.words(port)
    command = [words[0], "--csv", *words[1:]]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _seconds(process: subprocess.Popen[str], requests: int) -> float:
    try:
        output, complaints = process.communicate(timeout=PATIENCE_S)
    except BaseException:
        process.kill()
        process.wait()
        raise
    csv.field_size_limit(sys.maxsize)  # the first field of a row is the whole command, values and all
    rows = list(csv.DictReader(output.splitlines()))
    if process.returncode != 0 or not rows or "rror" in complaints:
        raise RuntimeError(f"redis-benchmark failed: {complaints or output[:1000]}")
    return requests / float(rows[-1]["rps"])


@contextmanager
def going_on(port: int, load: Load) -> Iterator[None]:
    """Runs a load again and again beside what the `with` holds."""
    words = load.words(port)
    process = subprocess.Popen([words[0], "-l", "-q", *words[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"redis-benchmark has ended by itself: {' '.join(words[1:])[:200]}")
    finally:
        process.kill()
        process.wait()


def _program() -> str:
    found = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
    if found is None:
        raise Missing("redis-benchmark is missing: apt-get install redis-tools (or your system's package) brings it.")
    return found


def require_program() -> str:
    """What redis-benchmark says of its version. Raises `Missing`, with what to install."""
    said = subprocess.run([_program(), "--version"], capture_output=True, text=True, check=True).stdout
    return said.strip()
