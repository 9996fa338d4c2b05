"""When memory is given back: after the process has grown by much, once it has stopped growing."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from keyp.net.memory import KEPT_MAX, WAIT_MAX, SpareMemory, find_trim

MB = 1 << 20


class Process:
    """A process whose memory the test sets; what `trim` gives back is done when `finish` is called."""

    def __init__(self) -> None:
        self.private = 30 * MB
        self.needed = 30 * MB
        self.trims = 0
        self.running: list[Any] = []
        self.memory = SpareMemory(self.run, lambda: self.private, self.trim)

    def run(self, function: Any, argument: Any) -> Deferred[Any]:
        running: Deferred[Any] = Deferred()
        self.running.append((lambda: function(argument), running))
        return running

    def trim(self, kept_bytes: int) -> None:
        self.trims += 1
        self.private = self.needed

    def finish(self) -> None:
        for function, running in self.running:
            running.callback(function())
        self.running.clear()

    def looks(self, *private: int) -> int:
        """The process has so much memory, second after second; how often it was trimmed."""
        before = self.trims
        for self.private in private:
            self.memory.look()
            self.finish()
        return self.trims - before


def test_what_little_is_kept_is_left_alone() -> None:
    process = Process()
    assert process.looks(*[30 * MB + KEPT_MAX] * 5) == 0


def test_much_is_given_back_once_it_grows_no_more() -> None:
    process = Process()
    assert process.looks(100 * MB, 300 * MB, 500 * MB) == 0
    assert process.looks(500 * MB) == 1
    assert process.private == 30 * MB
    assert process.looks(*[30 * MB] * 5) == 0


def test_what_is_needed_is_asked_for_less_and_less_often() -> None:
    process = Process()
    process.needed = 500 * MB
    assert process.looks(500 * MB, 500 * MB) == 1
    assert process.looks(*[500 * MB] * 60) == 4
    assert process.looks(*[500 * MB] * 10 * (WAIT_MAX + 1)) == 10


def test_what_was_in_use_and_is_free_later_is_given_back() -> None:
    process = Process()
    process.needed = 130 * MB
    assert process.looks(130 * MB, 130 * MB) == 1
    process.needed = 30 * MB
    assert process.looks(130 * MB, 130 * MB) == 1
    assert process.private == 30 * MB
    assert process.looks(400 * MB, 400 * MB) == 1


def test_one_at_a_time() -> None:
    process = Process()
    process.private = 500 * MB
    for _ in range(5):
        process.memory.look()
    assert len(process.running) == 1


def test_the_library_has_it_or_nothing_happens() -> None:
    find_trim()(0)
