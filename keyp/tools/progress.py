"""A progress bar on standard error for long work: none without a terminal, or without tqdm."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, Final

WITHOUT_TQDM: Final = "keyp: there is no progress bar without tqdm: pip install 'keyp[tools]' brings it"
LOOK_EVERY_S: Final = 0.1

_warned: list[str] = []


class Progress:
    """Work of `total` units, such as `B` for bytes; a context that ends with the work."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self._bar = _bar(title, total, unit)

    def advance(self, units: int) -> None:
        """So much more is done."""
        if self._bar is not None:
            self._bar.update(units)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _bar(title: str, total: int, unit: str) -> Any:
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        if WITHOUT_TQDM not in _warned:
            _warned.append(WITHOUT_TQDM)
            print(WITHOUT_TQDM, file=sys.stderr)
        return None
    return tqdm(total=total, desc=title, unit=unit, unit_scale=True, leave=False, file=sys.stderr, dynamic_ncols=True)


@contextmanager
def file_growth(title: str, path: str, total_bytes: int) -> Iterator[None]:
    """Shows how a file grows that other code is writing, until the context ends."""
    ended = Event()

    def watch(progress: Progress) -> None:
        seen = 0
        while not ended.wait(LOOK_EVERY_S):
            size = _size(path)
            progress.advance(size - seen)
            seen = size

    with Progress(title, total_bytes, "B") as progress:
        watcher = Thread(target=watch, args=(progress,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
