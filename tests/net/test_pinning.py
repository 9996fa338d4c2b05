"""Threads that take turns on one processor: where they may run, during and after. Asked of the kernel, without load."""

from __future__ import annotations

import os
from collections.abc import Iterator
from threading import Event, Thread

import pytest

from keyp.net.pinning import PinnedThread, find_sched_getcpu

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


def test_both_stay_on_one_processor_until_unpinned(other: int) -> None:
    pinned = PinnedThread(other, find_sched_getcpu())
    for _ in range(3):
        pinned.pin()
        here = os.sched_getaffinity(0)
        assert len(here) == 1
        assert os.sched_getaffinity(other) == here
        pinned.unpin(is_busy=False)
        assert os.sched_getaffinity(0) == ANYWHERE
        assert os.sched_getaffinity(other) == here


def test_who_goes_on_working_alone_may_go_anywhere(other: int) -> None:
    pinned = PinnedThread(other, find_sched_getcpu())
    pinned.pin()
    pinned.unpin(is_busy=True)
    assert os.sched_getaffinity(0) == os.sched_getaffinity(other) == ANYWHERE
    pinned.pin()
    assert os.sched_getaffinity(other) == os.sched_getaffinity(0)
    pinned.unpin(is_busy=False)


def test_what_was_set_from_outside_stays(other: int) -> None:
    pinned = PinnedThread(other, find_sched_getcpu())
    pinned.pin()
    pinned.unpin(is_busy=False)
    for processor in ANYWHERE:
        os.sched_setaffinity(0, (processor,))
        pinned.pin()
        assert os.sched_getaffinity(0) == os.sched_getaffinity(other) == {processor}
        pinned.unpin(is_busy=False)
        assert os.sched_getaffinity(0) == {processor}


def test_where_it_is_forbidden_nothing_happens(other: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def forbid(thread: int, processors: object) -> None:
        asked.append(thread)
        raise PermissionError

    pinned = PinnedThread(other, find_sched_getcpu())
    monkeypatch.setattr(os, "sched_setaffinity", forbid)
    for _ in range(3):
        pinned.pin()
        pinned.unpin(is_busy=False)
    assert asked == [other]
    monkeypatch.undo()
    assert os.sched_getaffinity(0) == os.sched_getaffinity(other) == ANYWHERE


def test_where_the_system_does_not_offer_it_nothing_happens(other: int) -> None:
    pinned = PinnedThread(other, None)
    pinned.pin()
    assert os.sched_getaffinity(0) == os.sched_getaffinity(other) == ANYWHERE
    pinned.unpin(is_busy=True)
