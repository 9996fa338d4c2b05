"""Counts what LMDB is asked to do, and the bytes that are written, so that tests can speak of work and not of time.

A `CountingLmdb` takes the place of an environment's `lmdb`: all transactions begun on it are counted.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

LOOKS = ("get", "stat", "id")
CHANGES = ("put", "delete", "drop", "replace", "pop")
MOVES = ("first", "last", "next", "prev", "set_key", "set_range", "get", "item", "key", "value")


class Counted:
    """Passes everything on to `inner` and counts the calls of the methods named."""

    def __init__(self, inner: Any, counts: Counter[str], methods: tuple[str, ...]) -> None:
        self.inner = inner
        self.counts = counts
        self.methods = methods

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if name not in self.methods:
            return found

        def counted(*args: Any, **options: Any) -> Any:
            self.counts[name] += 1
            return found(*args, **options)

        return counted

    def __enter__(self) -> Any:
        self.inner.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self.inner.__exit__(*error)


class CountedCursor(Counted):
    def iternext(self, *args: Any, **options: Any) -> Any:
        for item in self.inner.iternext(*args, **options):
            self.counts["next"] += 1
            yield item

    def __iter__(self) -> Any:
        return self.iternext()


class CountedTransaction(Counted):
    def cursor(self, *args: Any) -> CountedCursor:
        self.counts["cursor"] += 1
        return CountedCursor(self.inner.cursor(*args), self.counts, (*MOVES, "delete", "put"))


class CountingLmdb(Counted):
    """An LMDB environment whose work is counted in `counts`."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner, Counter(), ("sync", "info", "stat"))

    def begin(self, *args: Any, **options: Any) -> CountedTransaction:
        self.counts["begin"] += 1
        return CountedTransaction(self.inner.begin(*args, **options), self.counts, (*LOOKS, *CHANGES, "commit"))

    def open_db(self, name: bytes, txn: Any = None, **options: Any) -> Any:
        self.counts["open_db"] += 1
        return self.inner.open_db(name, txn=getattr(txn, "inner", txn), **options)


def bytes_written() -> int:
    """How many bytes this process has handed to the kernel to write, LMDB's pages among them."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))
