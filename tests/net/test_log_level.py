"""The setting `loglevel` and the log: each of Redis's levels, at run time, for Twisted's own lines and for failures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, Logger, formatEvent, globalLogPublisher
from twisted.python import log as twisted_log

from keyp.net import log_level
from keyp.server.config import Settings
from tests.log import observed


@pytest.fixture
def seen() -> Iterator[list[str]]:
    """The texts that an observer of the log has seen. The observers are afterwards those from before."""
    before = log_level._observers()
    texts: list[str] = []

    def observe(event: LogEvent) -> None:
        texts.append(formatEvent(event))

    for observer in before:
        globalLogPublisher.removeObserver(observer)
    with observed(observe):
        yield texts
    for observer in log_level._observers():
        globalLogPublisher.removeObserver(observer)
    for observer in before:
        globalLogPublisher.addObserver(observer)


def log_one_of_each() -> None:
    log = Logger("tests")
    log.debug("debug")
    log.info("info")
    twisted_log.msg("Twisted's")
    log.warn("warn")
    log.error("error")
    try:
        raise ValueError
    except ValueError:
        log.failure("failure")


ALL = ["debug", "info", "Twisted's", "warn", "error", "failure"]


@pytest.mark.parametrize(
    ("level", "shown"),
    [("debug", ALL), ("verbose", ALL[1:]), ("notice", ALL[1:]), ("warning", ALL[3:]), ("nothing", [])],
)
def test_what_is_logged(seen: list[str], level: str, shown: list[str]) -> None:
    settings = Settings()
    log_level.follow(settings)
    log_one_of_each()
    assert seen == ALL[1:]
    seen.clear()
    settings.set_many([(b"loglevel", level.upper().encode())])
    log_one_of_each()
    assert seen == shown
    seen.clear()
    settings.set_many([(b"loglevel", b"notice")])
    log_one_of_each()
    assert seen == ALL[1:]


def test_the_settings_of_the_last_server_count(seen: list[str]) -> None:
    (observer,) = log_level.bare_observers()
    quiet, other = Settings(), Settings()
    quiet.set_many([(b"loglevel", b"nothing")])
    log_level.follow(quiet)
    log_level.follow(other)
    log_one_of_each()
    assert seen == ALL[1:]
    assert log_level.bare_observers() == [observer]
