"""The setting `loglevel`: from which level on events reach the log, Twisted's own among them.

Redis has four levels and, from 7.2 on, one that logs nothing; Twisted's are debug, info, warn, error and critical. What
Redis calls verbose and notice is info here: Keyp logs nothing that only the former would show.
"""

from __future__ import annotations

from typing import Any, Final, cast

from twisted.logger import LogEvent, LogPublisher, globalLogPublisher

from keyp.server.config import Settings

# Twisted's levels by their names, the least urgent first; a failure that is logged is critical.
RANKS: Final = {"debug": 0, "info": 1, "warn": 2, "error": 3, "critical": 4}
LOWEST: Final = {"debug": 0, "verbose": 1, "notice": 1, "warning": 2, "nothing": 5}


class LevelFilter:
    """An observer of the log that passes on to `observer` what `loglevel` shows."""

    def __init__(self, observer: Any, settings: Settings) -> None:
        self.observer = observer
        self._settings = settings

    def __call__(self, event: LogEvent) -> None:
        """Called by Twisted, on any thread. An event without a level is info."""
        level: Any = event.get("log_level")
        rank = RANKS["info"] if level is None else RANKS[level.name]
        if rank >= LOWEST[self._settings.loglevel]:
            self.observer(event)


def follow(settings: Settings) -> None:
    """Has all that observe the log now see what `settings` shows, from the next event on, until the process ends.

    But for the buffer in which Twisted keeps what comes before there is a log: it takes that away itself.
    """
    for observer in _observers():
        if isinstance(observer, LogPublisher):
            continue
        globalLogPublisher.removeObserver(observer)
        globalLogPublisher.addObserver(cast(Any, LevelFilter(_bare(observer), settings)))


def bare_observers() -> list[Any]:
    """What observes the log, without the filters."""
    return [_bare(observer) for observer in _observers()]


def _observers() -> list[Any]:
    return list(getattr(globalLogPublisher, "_observers", ()))


def _bare(observer: Any) -> Any:
    return observer.observer if isinstance(observer, LevelFilter) else observer
