"""The thread line: real threads, no waiting but for them."""

from __future__ import annotations

from threading import Event, current_thread
from typing import Any
from weakref import ref

import pytest
from twisted.python.failure import Failure

from keyp.net.threads import AttendedThread, ThreadLine


def divide(by: int) -> float:
    return 1 / by


class ImmediateReactor:
    """Runs what threads hand to the reactor on the thread that hands it over."""

    def callFromThread(self, function: Any, *args: Any) -> None:
        function(*args)


def test_work_is_done_in_order_on_the_one_thread() -> None:
    line = ThreadLine(ImmediateReactor(), "line")
    line.start()
    done: list[tuple[int, str]] = []
    for number in range(100):
        line.run(lambda number: done.append((number, current_thread().name)), number)
    line.stop()
    assert done == [(number, "line-0") for number in range(100)]


def test_results_and_failures_come_back() -> None:
    line = ThreadLine(ImmediateReactor(), "line", 2)
    outcomes: list[Any] = []
    line.start()
    line.run(abs, -7).addBoth(outcomes.append)
    line.run(divide, 0).addBoth(outcomes.append)
    line.stop()
    results = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert results == [7]
    assert failures[0].check(ZeroDivisionError)


def test_stopping_waits_for_the_work_in_line() -> None:
    line = ThreadLine(ImmediateReactor(), "line")
    done: list[int] = []
    for number in range(10):
        line.run(done.append, number)
    assert done == []
    line.start()
    line.stop()
    assert done == list(range(10))


def test_a_thread_that_waits_does_not_hold_on_to_its_last_work() -> None:
    class Work:
        """As a queue holds it: what is told the result, the function, its arguments."""

        def __iter__(self) -> Any:
            return iter((lambda success, result: None, lambda: None, ()))

    class Line:
        """Gives out one piece of work, and sees whether it is gone when the next is asked for."""

        def __init__(self) -> None:
            self.work: Work | None = Work()
            self.last = ref(self.work)

        def get(self) -> Work | None:
            work, self.work = self.work, None
            self.gone = self.last() is None
            return work

    thread_line = ThreadLine(ImmediateReactor(), "line")
    line: Any = Line()
    thread_line._queue = line
    thread_line._work()
    assert line.gone


class QueueingReactor:
    """Keeps what threads hand to the reactor."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.called = Event()

    def callFromThread(self, function: Any, *args: Any) -> None:
        self.calls.append((function, args))
        self.called.set()

    def callLater(self, seconds: float, function: Any) -> None:
        """What is to be done by the clock is not done."""


class Attendance:
    """An attended thread and its reactor, for a test to start and stop."""

    def __init__(self, attendance_s: float) -> None:
        self.reactor = QueueingReactor()
        self.thread = AttendedThread(self.reactor, "attended", attendance_s)

    def __enter__(self) -> Attendance:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.stop()

    def arrive(self) -> None:
        """Waits for the one result that comes through the reactor, and delivers it."""
        self.reactor.called.wait()
        [(function, args)] = self.reactor.calls
        function(*args)


def test_attended_work_that_is_soon_done_has_its_result_at_once() -> None:
    outcomes: list[Any] = []
    with Attendance(30) as there:
        for _ in range(100):
            there.thread.run_attended(lambda _: current_thread().name, None).addBoth(outcomes.append)
        there.thread.run_attended(divide, 0).addErrback(
            lambda failure: outcomes.append(failure.check(ZeroDivisionError))
        )
    assert outcomes == ["attended-0"] * 100 + [ZeroDivisionError]
    assert there.reactor.calls == []


@pytest.mark.parametrize("attendance_s", [30, 0.001])
def test_work_that_lets_go_or_takes_long_brings_its_result_through_the_reactor(attendance_s: float) -> None:
    goes_on = Event()
    outcomes: list[Any] = []

    def work(_: None) -> int:
        if attendance_s > 1:
            there.thread.release()
        goes_on.wait()
        there.thread.release()  # once more, or too late: that does no harm
        return 7

    with Attendance(attendance_s) as there:
        there.thread.run_attended(work, None).addBoth(outcomes.append)
        assert outcomes == there.reactor.calls == []
        goes_on.set()
        there.arrive()
        assert outcomes == [7]
        if attendance_s > 1:
            there.thread.run_attended(abs, -8).addBoth(outcomes.append)
            assert outcomes == [7, 8]
