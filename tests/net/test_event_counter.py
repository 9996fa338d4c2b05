"""Event counters: each signal ends one wait; in a queue the items come in order."""

from __future__ import annotations

from threading import Thread

from keyp.net.event_counter import EventCounter, EventQueue


def test_each_signal_ends_one_wait() -> None:
    counter = EventCounter()
    assert not counter.wait_for(0)
    counter.signal()
    counter.signal()
    assert [counter.wait_for(0) for _ in range(3)] == [True, True, False]
    counter.close()


def test_another_thread_hears_it() -> None:
    counter, answer = EventCounter(), EventCounter()

    def echo() -> None:
        for _ in range(100):
            counter.wait()
            answer.signal()

    thread = Thread(target=echo)
    thread.start()
    for _ in range(100):
        counter.signal()
        assert answer.wait_for(60)
    thread.join()
    assert not counter.wait_for(0)
    counter.close()
    answer.close()


def test_work_in_queue_is_taken_in_order() -> None:
    queue = EventQueue()
    taken: list[int] = []
    works = [lambda number=number: taken.append(number) for number in range(10)]
    for work in works:
        queue.put(work)
    queue.put(None)
    while (work := queue.get()) is not None:
        work()
    assert taken == list(range(10))
    queue.close()
