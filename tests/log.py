"""What is logged, for tests to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.logger import LogEvent, globalLogPublisher


@contextmanager
def observed(observer: Callable[[LogEvent], None]) -> Iterator[None]:
    """Calls a function with each event of Twisted's log."""
    publisher: Any = globalLogPublisher  # by its type, it takes only what zope.interface has marked as an observer
    publisher.addObserver(observer)
    try:
        yield
    finally:
        publisher.removeObserver(observer)
