"""Threads that take turns on one processor: where they may run, during and after. Asked of the kernel, without load."""

from __future__ import annotations

import os
from collections.abc import Iterator
from threading import Event, Thread

import pytest
from twisted.internet.task import Clock

from keyp.net.pinning import HOLD_S, LOOSE_S, PinnedThread, find_sched_getcpu

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux has it")

ANYWHERE = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


@pytest.fixture
def other() -> Iterator[int]:
    """The number of a thread that is there."""
    end = Event()
    thread = Thread(target=end.wait)
    thread.start()
    assert thread.native_id is not None
    yield thread.native_id
    end.set()
    thread.join()
    os.sched_setaffinity(0, ANYWHERE)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_both_stay_on_one_processor_until_unpinned(other: int, clock: Clock) -> None:
    pinned = PinnedThread(other, find_sched_getcpu(), clock.callLater)
    for _ in range(3):
        pinned.pin()
        here = os.sched_getaffinity(0)
        assert len(here) == 1
        assert os.sched_getaffinity(other) == here
        pinned.unpin()
        assert os.sched_getaffinity(0) == os.sched_getaffinity(other) == ANYWHERE


def test_now_and_then_the_kernel_may_choose_another(other: int, clock: Clock) -> None:
    pinned = PinnedThread(other, find_sched_getcpu(), clock.callLater)
    pinned.pin()
    clock.advance(HOLD_S)
    assert os.sched_getaffinity(0) == os.sched_getaffinity(other) == ANYWHERE
    pinned.pin()
    assert os.sched_getaffinity(0) == ANYWHERE
    clock.advance(LOOSE_S)
    assert os.sched_getaffinity(0) == ANYWHERE
    pinned.pin()
    assert len(os.sched_getaffinity(0)) == 1
    pinned.unpin()


def test_to_stay_pinned_costs_no_system_call(other: int, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    set_affinity = os.sched_setaffinity

    def count(thread: int, processors: set[int]) -> None:
        calls.append(thread)
        set_affinity(thread, processors)

    monkeypatch.setattr(os, "sched_setaffinity", count)
    pinned = PinnedThread(other, find_sched_getcpu(), clock.callLater)
    for _ in range(100):
        pinned.pin()
    assert calls == [other, 0]
    assert len(clock.getDelayedCalls()) == 1
    pinned.unpin()


def test_what_was_set_from_outside_stays(other: int, clock: Clock) -> None:
    for processor in ANYWHERE:
        os.sched_setaffinity(0, (processor,))
        pinned = PinnedThread(other, find_sched_getcpu(), clock.callLater)
        pinned.pin()
        assert os.sched_getaffinity(0) == os.sched_getaffinity(other) == {processor}
        pinned.unpin()
        assert os.sched_getaffinity(0) == {processor}


def test_where_it_is_forbidden_nothing_happens(other: int, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def forbid(thread: int, processors: object) -> None:
        asked.append(thread)
        raise PermissionError

    pinned = PinnedThread(other, find_sched_getcpu(), clock.callLater)
    monkeypatch.setattr(os, "sched_setaffinity", forbid)
    for _ in range(3):
        pinned.pin()
        pinned.unpin()
    assert asked == [other]
    monkeypatch.undo()
    assert os.sched_getaffinity(0) == os.sched_getaffinity(other) == ANYWHERE


def test_where_the_system_does_not_offer_it_nothing_happens(other: int, clock: Clock) -> None:
    pinned = PinnedThread(other, None, clock.callLater)
    pinned.pin()
    assert os.sched_getaffinity(0) == os.sched_getaffinity(other) == ANYWHERE
    pinned.unpin()
