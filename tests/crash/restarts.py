"""Starts on images of power cuts, recorded so that the power can be cut in them again.

As a program it reads the paths of data directories, a line each, opens each store as a server does when it starts, and
says so with a line. It keeps all of them open and ends without closing any. Its argument is the journal's size.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from keyp.storage.lmdb.environment import Environment
from tests.crash import trace
from tests.crash.power_cut import Image, write_image
from tests.crash.trace import Recording
from tests.integration.daemon import DEADLINE_S, ROOT

RING_BYTES: Final = 256 << 10


def record_starts(images: list[Image], directory: Path) -> list[Recording]:
    """The start on each of the images, in directories made in `directory`, which is new."""
    directory.mkdir()
    places = [directory / f"image{number}" for number in range(len(images))]
    for image, place in zip(images, places, strict=True):
        write_image(image, place)
    path = directory / "trace"
    done = subprocess.run(
        [*trace.launcher(path), sys.executable, "-m", "tests.crash.restarts", str(RING_BYTES)],
        cwd=ROOT,
        input="".join(f"{place}\n" for place in places),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S + len(images),
        check=False,
    )
    assert done.stdout.splitlines() == [str(place) for place in places], done.stderr
    calls = trace.read_calls(path)
    return [Recording(calls, place, image) for image, place in zip(images, places, strict=True)]


def _start() -> None:
    for line in sys.stdin:
        path = line.rstrip("\n")
        KEPT.append(Environment(path, fsync="always", journal_bytes=int(sys.argv[1])))
        print(path, flush=True)
    os._exit(0)


KEPT: Final[list[Environment]] = []

if __name__ == "__main__":
    _start()
