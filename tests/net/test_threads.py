"""The thread line: real threads, no waiting but for them."""

from __future__ import annotations

from threading import current_thread
from typing import Any
from weakref import ref

from twisted.python.failure import Failure

from keyp.net.threads import ThreadLine


class ImmediateReactor:
    """Runs what threads hand to the reactor on the thread that hands it over."""

    def callFromThread(self, function: Any, *args: Any) -> None:
        function(*args)


def test_work_is_done_in_order_on_the_one_thread() -> None:
    line = ThreadLine(ImmediateReactor(), "line")
    line.start()
    done: list[tuple[int, str]] = []
    for number in range(100):
        line.defer(lambda number=number: done.append((number, current_thread().name)))
    line.stop()
    assert done == [(number, "line-0") for number in range(100)]


def test_results_and_failures_come_back() -> None:
    line = ThreadLine(ImmediateReactor(), "line", 2)
    outcomes: list[Any] = []
    line.start()
    line.defer(lambda: 7).addBoth(outcomes.append)
    line.defer(lambda: 1 / 0).addBoth(outcomes.append)
    line.stop()
    results = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert results == [7]
    assert failures[0].check(ZeroDivisionError)


def test_stopping_waits_for_the_work_in_line() -> None:
    line = ThreadLine(ImmediateReactor(), "line")
    done: list[int] = []
    for number in range(10):
        line.defer(lambda number=number: done.append(number))
    assert done == []
    line.start()
    line.stop()
    assert done == list(range(10))


def test_a_thread_that_waits_does_not_hold_on_to_its_last_work() -> None:
    class Work:
        def __call__(self) -> None:
            pass

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
    thread_line._line = line
    thread_line._work()
    assert line.gone
