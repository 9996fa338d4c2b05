"""The machine's time is set while the server waits: what waits goes by a clock that is never set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.pollreactor import PollReactor
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock

from keyp.net.clock import keep_steady
from keyp.net.reactor import KeypEPollReactor
from tests import wire
from tests.fakes import START_US, Connection, Lab

HOUR_US = 3_600_000_000
STEPS = [-HOUR_US, -30 * 24 * HOUR_US, 30 * 24 * HOUR_US]


def asyncio_reactor() -> Any:
    return AsyncioSelectorReactor(asyncio.new_event_loop())


def after_step(lab: Lab, step_us: int, ms: int) -> None:
    """The machine's time is set, then so many milliseconds pass."""
    lab.clock.us += step_us
    lab.advance_ms(ms)


# Reactors.


def test_the_lean_reactor_is_steady_by_itself() -> None:
    reactor = KeypEPollReactor()
    keep_steady(reactor)
    assert reactor.seconds is time.monotonic
    assert "seconds" not in vars(reactor)


@pytest.mark.parametrize("make", [EPollReactor, PollReactor, SelectReactor, asyncio_reactor])
def test_timed_calls_of_a_stock_reactor_are_made_steady(make: Callable[[], Any]) -> None:
    reactor = make()
    done: list[str] = []
    made_before = reactor.callLater(1000, done.append, "late")
    due = reactor.callLater(0, done.append, "due")
    keep_steady(reactor)
    assert reactor.seconds is time.monotonic
    assert 900 < made_before.getTime() - reactor.seconds() <= 1000
    reactor.callLater(0, done.append, "made since")
    reactor.running = True
    reactor.runUntilCurrent()
    assert sorted(done) == ["due", "made since"]
    assert reactor.timeout() <= 1000
    made_before.reset(0)
    reactor.runUntilCurrent()
    assert done[-1] == "late"
    assert not due.active()


def test_a_reactor_with_a_clock_of_its_own_keeps_it() -> None:
    reactor = Clock()
    own = reactor.seconds
    keep_steady(reactor)
    assert reactor.seconds == own


# The server.


@pytest.mark.parametrize("step_us", STEPS)
def test_a_pause_ends_in_its_time(lab: Lab, step_us: int) -> None:
    client = lab.connect()
    client.call("CLIENT PAUSE 1000")
    assert client.call("PING") == b""
    after_step(lab, step_us, 999)
    assert client.transport.sent == b"+OK\r\n"
    lab.advance_ms(2)
    assert client.transport.sent == b"+OK\r\n+PONG\r\n"


@pytest.mark.parametrize("step_us", STEPS)
def test_silent_clients_are_closed_in_their_time(lab: Lab, step_us: int) -> None:
    client = lab.connect()
    client.call("CONFIG SET timeout 10")
    after_step(lab, step_us, 9_000)
    lab.server.close_idle_clients()
    assert not client.transport.disconnecting
    lab.advance_ms(2_000)
    lab.server.close_idle_clients()
    assert client.transport.disconnecting
    client.lose()


@pytest.mark.parametrize("step_us", STEPS)
def test_who_does_not_read_is_closed_in_its_time(lab: Lab, step_us: int) -> None:
    listener, speaker = lab.connect(), lab.connect()
    listener.call("SUBSCRIBE a")
    speaker.call('CONFIG SET client-output-buffer-limit "pubsub 0 1000 10"')
    listener.transport.socket.room = 0
    speaker.send(wire.request(b"PUBLISH", b"a", bytes(2000)))
    lab.server.close_slow_clients()
    after_step(lab, step_us, 10_000)
    lab.server.close_slow_clients()
    assert not listener.transport.aborted
    lab.advance_ms(1_000)
    lab.server.close_slow_clients()
    assert listener.transport.aborted
    listener.lose()


@pytest.mark.parametrize("step_us", STEPS)
def test_recovery_tries_again_in_its_time(lab: Lab, step_us: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[None] = []

    def refuse() -> None:
        tries.append(None)
        raise OSError(5, "no disk")

    monkeypatch.setattr(lab.server.recovery, "_reopen", refuse)
    lab.server.dispatcher.disk_failed()
    for _ in range(2):
        lab.server.recovery.try_again()
    assert len(tries) == 1
    after_step(lab, step_us, 900)
    lab.server.recovery.try_again()
    assert len(tries) == 1
    lab.advance_ms(200)
    lab.server.recovery.try_again()
    assert len(tries) == 2


@pytest.mark.parametrize("step_us", STEPS)
def test_what_is_shown_of_durations_takes_no_notice(lab: Lab, step_us: int) -> None:
    client, other = lab.connect(), lab.connect()
    after_step(lab, step_us, 3_000)
    [found] = [
        line for line in client.call("CLIENT LIST").split(b"\n") if b"id=%d " % other.connection.client.id in line
    ]
    assert b" age=3 idle=3 " in found
    assert b"uptime_in_seconds:3\r\n" in client.call("INFO server")


def test_rates_take_no_notice(lab: Lab) -> None:
    client = lab.connect()
    for step_us in (0, *STEPS):
        after_step(lab, step_us, 1_000)
        client.call(*["PING"] * 10)
        lab.server.each_second()
    assert 9 < lab.server.state.metrics.commands_rate.per_second() <= 10


def test_the_time_that_is_told_is_the_machine_s(lab: Lab) -> None:
    client = lab.connect()
    after_step(lab, -HOUR_US, 0)
    assert wire.parse_all(client.call("TIME"))[0][0] == b"%d" % ((START_US - HOUR_US) // 1_000_000)


@pytest.mark.parametrize("step_us", STEPS)
def test_deadlines_of_keys_follow_the_machine_s_time(lab: Lab, step_us: int) -> None:
    client: Connection = lab.connect()
    client.call("SET k v EX 86400")
    after_step(lab, step_us, 0)
    left = 86_400 - step_us // 1_000_000
    assert client.call("TTL k") == (b":%d\r\n" % left if left > 0 else b":-2\r\n")
