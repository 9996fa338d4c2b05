"""The lean reactor: plain readable events go straight to their descriptor, all others the stock way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from keyp.net.reactor import CLOSED_AT_ONCE, KeypEPollReactor


class Descriptor:
    """One end of a pipe that writes down what is done to it."""

    def __init__(self, fd: int, outcome: Any = None) -> None:
        self.fd = fd
        self.outcome = outcome
        self.done: list[str] = []
        self.reason: Any = None

    def fileno(self) -> int:
        return self.fd

    def logPrefix(self) -> str:
        return "-"

    def doRead(self) -> Any:
        self.done.append("read " + os.read(self.fd, 100).decode())
        if isinstance(self.outcome, Exception) and not isinstance(self.outcome, ConnectionDone):
            raise self.outcome
        return self.outcome

    def doWrite(self) -> None:
        self.done.append("write")

    def connectionLost(self, reason: Any) -> None:
        self.reason = reason

    readConnectionLost = connectionLost


@pytest.fixture
def reactor() -> KeypEPollReactor:
    return KeypEPollReactor()


@pytest.fixture
def pipe() -> Any:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def test_a_readable_descriptor_reads_without_detours(
    reactor: KeypEPollReactor, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    detours: list[Any] = []
    monkeypatch.setattr(reactor, "_doReadOrWrite", lambda *event: detours.append(event))
    descriptor = Descriptor(pipe[0])
    reactor.addReader(descriptor)
    os.write(pipe[1], b"hello")
    reactor.doIteration(0)
    reactor.doIteration(0)
    assert descriptor.done == ["read hello"]
    assert detours == []


def test_a_writable_descriptor_goes_the_stock_way(reactor: KeypEPollReactor, pipe: tuple[int, int]) -> None:
    descriptor = Descriptor(pipe[1])
    reactor.addWriter(descriptor)
    reactor.doIteration(0)
    assert descriptor.done == ["write"]


@pytest.mark.parametrize("outcome", [ConnectionDone(), ZeroDivisionError("a defect")])
def test_a_descriptor_that_ends_or_fails_is_disconnected(
    reactor: KeypEPollReactor, pipe: tuple[int, int], outcome: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[None] = []
    monkeypatch.setattr("twisted.python.log.err", lambda: logged.append(None))
    descriptor = Descriptor(pipe[0], outcome)
    reactor.addReader(descriptor)
    os.write(pipe[1], b"x")
    reactor.doIteration(0)
    assert descriptor.reason.check(type(outcome))
    assert descriptor not in reactor.getReaders()
    assert len(logged) == isinstance(outcome, ZeroDivisionError)


def test_an_interrupted_wait_is_no_error_and_others_are(reactor: KeypEPollReactor) -> None:
    class Poller:
        def __init__(self, code: int) -> None:
            self.code = code

        def poll(self, *args: Any) -> Any:
            raise OSError(self.code, "")

    reactor._poller = Poller(4)
    reactor.doIteration(0)
    reactor._poller = Poller(9)
    with pytest.raises(OSError, match="9"):
        reactor.doIteration(0)


def test_it_goes_round_by_itself_until_something_else_is_due(
    reactor: KeypEPollReactor, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event writes the next; the third one brings a call from a thread, which is the main loop's business."""
    reactor.running = True
    rounds: list[str] = []

    class Relay(Descriptor):
        def doRead(self) -> Any:
            rounds.append(os.read(self.fd, 1).decode())
            if len(rounds) == 3:
                reactor.callFromThread(rounds.append, "call")
            else:
                os.write(pipe[1], b"x")

    reactor.addReader(Relay(pipe[0]))
    os.write(pipe[1], b"x")
    reactor.doIteration(30)
    assert rounds == ["x"] * 3
    reactor.runUntilCurrent()
    assert rounds == ["x", "x", "x", "call"]


def test_a_timed_call_that_is_new_or_due_ends_the_round(reactor: KeypEPollReactor, pipe: tuple[int, int]) -> None:
    reactor.running = True
    done: list[str] = []

    class Caller(Descriptor):
        def doRead(self) -> Any:
            super().doRead()
            reactor.callLater(0, done.append, "due")

    reactor.addReader(Caller(pipe[0]))
    os.write(pipe[1], b"x")
    reactor.doIteration(30)
    reactor.runUntilCurrent()
    assert done == ["due"]


def test_what_is_to_come_after_the_events_comes_after_all_of_them(reactor: KeypEPollReactor) -> None:
    order: list[str] = []
    pipes = [os.pipe() for _ in range(3)]

    class Asker(Descriptor):
        def doRead(self) -> Any:
            order.append("event")
            reactor.callAfterEvents(lambda: order.append("after"))
            return super().doRead()

    for read_end, write_end in pipes:
        reactor.addReader(Asker(read_end))
        os.write(write_end, b"x")
    reactor.doIteration(30)
    assert order == ["event"] * 3 + ["after"] * 3
    for fd in (end for ends in pipes for end in ends):
        os.close(fd)


def test_a_call_after_events_that_fails_is_logged_and_stops_no_other(
    reactor: KeypEPollReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[None] = []
    monkeypatch.setattr("twisted.python.log.err", lambda: logged.append(None))
    done: list[str] = []

    def fail() -> None:
        reactor.callAfterEvents(lambda: done.append("later"))
        raise ZeroDivisionError

    reactor.callAfterEvents(fail)
    reactor.callAfterEvents(lambda: done.append("at once"))
    reactor.doIteration(30)  # does not wait while something is to be called
    assert done == ["at once"]
    assert logged == [None]
    reactor.doIteration(30)
    assert done == ["at once", "later"]


# Those who leave.


class Leaver(Descriptor):
    """One whose peer has gone."""

    disconnected = False

    def __init__(self, fd: int, ended: list[int]) -> None:
        super().__init__(fd)
        self.ended = ended

    def doRead(self) -> Any:
        return ConnectionDone()

    def connectionLost(self, reason: Any) -> None:
        assert reason.check(ConnectionDone)
        self.ended.append(self.fd)
        self.disconnected = True

    readConnectionLost = connectionLost


@pytest.fixture
def pipes() -> Iterator[list[tuple[int, int]]]:
    """Three times as many as leave in one iteration, each with a byte in it."""
    pipes = [os.pipe() for _ in range(3 * CLOSED_AT_ONCE)]
    for _, write_end in pipes:
        os.write(write_end, b"x")
    yield pipes
    for fd in (end for ends in pipes for end in ends):
        os.close(fd)


def test_many_who_leave_together_keep_nobody_waiting(
    reactor: KeypEPollReactor, pipe: tuple[int, int], pipes: list[tuple[int, int]]
) -> None:
    ended: list[int] = []
    for read_end, _ in pipes:
        reactor.addReader(Leaver(read_end, ended))
    other = Descriptor(pipe[0])
    reactor.addReader(other)
    for rounds in (1, 2, 3):
        os.write(pipe[1], b"%d" % rounds)
        reactor.doIteration(30)  # does not wait while there are some
        assert len(ended) == rounds * CLOSED_AT_ONCE
        assert other.done == [f"read {number}" for number in range(1, rounds + 1)]
    assert sorted(ended) == sorted(read_end for read_end, _ in pipes)
    assert other in reactor.getReaders()


def test_none_is_looked_at_again_before_its_end_or_ended_twice(
    reactor: KeypEPollReactor, pipes: list[tuple[int, int]]
) -> None:
    ended: list[int] = []
    leavers = [Leaver(read_end, ended) for read_end, _ in pipes]
    for leaver in leavers:
        reactor.addReader(leaver)
    reactor.doIteration(0)
    assert not [leaver for leaver in leavers if leaver in reactor.getReaders()]
    [*_, last] = [leaver for leaver in leavers if not leaver.disconnected]
    last.connectionLost(Failure(ConnectionDone()))  # as where the server itself closes it meanwhile
    reactor.doIteration(0)
    reactor.doIteration(0)
    assert sorted(ended) == sorted(leaver.fd for leaver in leavers)


@pytest.mark.parametrize("how", ["dropClosed", "disconnectAll"])
def test_all_who_wait_for_their_end_can_have_it_now(
    reactor: KeypEPollReactor, pipes: list[tuple[int, int]], how: str
) -> None:
    ended: list[int] = []
    for read_end, _ in pipes:
        reactor.addReader(Leaver(read_end, ended))
    reactor.doIteration(0)
    getattr(reactor, how)()
    assert len(ended) == len(pipes)


def test_one_whose_end_fails_stops_no_other(
    reactor: KeypEPollReactor, pipes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[None] = []
    monkeypatch.setattr("twisted.python.log.err", lambda: logged.append(None))
    ended: list[int] = []

    class Failing(Leaver):
        def connectionLost(self, reason: Any) -> None:
            super().connectionLost(reason)
            raise ZeroDivisionError

        readConnectionLost = connectionLost

    for read_end, _ in pipes:
        reactor.addReader(Failing(read_end, ended))
    for _ in range(3):
        reactor.doIteration(0)
    assert len(ended) == len(logged) == len(pipes)
