"""Starts on images of power cuts, recorded so that the power can be cut in them again.

As a program it reads paths of data directories and sizes of their journals in bytes, a line each, opens each store as a
server does when it starts, and says so with a line. It keeps all of them open and ends without closing any. Its
argument is a change of Keyp (`changed_server.py`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Final

from keyp.storage.lmdb.environment import Environment
from tests.crash import changed_server, trace
from tests.crash.power_cut import RING_FILE, Image, write_image
from tests.crash.trace import Recording
from tests.integration.daemon import DEADLINE_S, ROOT

SMALLEST: Final = 256 << 10
RESIZED: Final = 0.2  # so many starts give the journal another size


def record_starts(images: list[Image], directory: Path, random: Random, change: str = "") -> list[Recording]:
    """The start on each of the images, in directories made in `directory`, which is new."""
    directory.mkdir()
    places = [directory / f"image{number}" for number in range(len(images))]
    for image, place in zip(images, places, strict=True):
        write_image(image, place)
    path = directory / "trace"
    done = subprocess.run(
        [*trace.launcher(path), sys.executable, "-m", "tests.crash.restarts", change],
        cwd=ROOT,
        input="".join(f"{place} {_size(image, random)}\n" for image, place in zip(images, places, strict=True)),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S + len(images),
        check=False,
    )
    assert done.stdout.splitlines() == [str(place) for place in places], done.stderr
    calls = trace.read_calls(path)
    return [Recording(calls, place, image) for image, place in zip(images, places, strict=True)]


def _size(image: Image, random: Random) -> int:
    size = len(image.get(RING_FILE, b""))
    return size + SMALLEST if random.random() < RESIZED else size or SMALLEST


def _start() -> None:
    kept = []
    for line in sys.stdin:
        path, size = line.split()
        kept.append(Environment(path, fsync="always", journal_bytes=int(size)))
        print(path, flush=True)
    os._exit(0)


if __name__ == "__main__":
    changed_server.apply(sys.argv[1])
    _start()
