"""Bells: what was rung is heard, once, and in the line of a belled thread work comes in order."""

from __future__ import annotations

from threading import Thread

from keyp.net.event_counter import Bell, BelledLine


def test_each_ring_ends_one_wait() -> None:
    bell = Bell()
    assert not bell.wait(0)
    bell.ring()
    bell.ring()
    assert [bell.wait(0) for _ in range(3)] == [True, True, False]
    bell.close()


def test_another_thread_hears_it() -> None:
    bell, answer = Bell(), Bell()

    def echo() -> None:
        for _ in range(100):
            bell.listen()
            answer.ring()

    thread = Thread(target=echo)
    thread.start()
    for _ in range(100):
        bell.ring()
        assert answer.wait(60)
    thread.join()
    assert not bell.wait(0)
    bell.close()
    answer.close()


def test_work_in_line_is_taken_in_order() -> None:
    line = BelledLine()
    taken: list[int] = []
    works = [lambda number=number: taken.append(number) for number in range(10)]
    for work in works:
        line.put(work)
    line.put(None)
    while (work := line.get()) is not None:
        work()
    assert taken == list(range(10))
    line.close()
