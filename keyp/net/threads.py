"""Threads in the form that `deferToThreadPool` wants, as lean as a queue can be.

Twisted's own `ThreadPool` passes each piece of work through a coordinating worker and two locks; for the writer, which
gets one piece at a time and thousands a second, a plain queue is a good deal cheaper.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from keyp.net.event_counter import EventCounter, EventQueue
from keyp.net.pinning import PinnedThread, find_sched_getcpu

# How long the reactor's thread waits for the work of an attended thread before it goes back to its clients.
ATTENDANCE_S: Final = 0.001


class ThreadLine:
    """`count` threads that take work from one queue, in order. Start it after any fork; stop it to end the threads."""

    def __init__(self, reactor: Any, name: str, count: int = 1) -> None:
        self._reactor = reactor
        self._queue: SimpleQueue[Any] | EventQueue = SimpleQueue()
        self._threads = [Thread(target=self._work, name=f"{name}-{index}", daemon=True) for index in range(count)]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the threads when the queued work is done, and waits for that."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def run(self, function: Callable[[Any], Any], argument: Any) -> Deferred[Any]:
        """Runs `function(argument)` on one of the threads; the Deferred fires on the reactor's thread."""
        return deferToThreadPool(self._reactor, self, function, argument)  # type: ignore[arg-type]

    def callInThreadWithCallback(
        self, on_result: Callable[[bool, Any], None], function: Callable[..., Any], *args: Any
    ) -> None:
        """Queues a call; `on_result` is called on its thread with success and the result or `Failure`."""
        self._queue.put((on_result, function, args))

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            on_result, function, args = work
            try:
                result = function(*args)
            except BaseException:
                on_result(False, Failure())
            else:
                on_result(True, result)
            # They may hold a request of many megabytes, and the next work may be long in coming.
            work = on_result = function = args = result = None


class AttendedThread(ThreadLine):
    """One thread whose work the reactor's thread attends: it waits, for a moment, until the work is done or lets it go.

    Two threads of Python take turns at best. Where both are busy, each call into LMDB or the kernel hands Python's lock
    over, and every time the other thread has to be woken; that costs more than a small group's commands. So while the
    commands of a group run, the reactor's thread does nothing, and both stay on one processor (`pinning.py`). It goes
    on when the work calls `release`, before it waits for the disk, or is done, or after `attendance_s` seconds. A
    result that is there by then needs no byte through the reactor's pipe either.
    """

    def __init__(self, reactor: Any, name: str, attendance_s: float = ATTENDANCE_S) -> None:
        super().__init__(reactor, name)
        self._attendance_s = attendance_s
        self._pinned: PinnedThread | None = None
        self._attended = False
        self._guard = Lock()  # of `_attended` and `_results`
        self._results: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def start(self) -> None:
        """Starts the thread."""
        self._queue = self._event_queue = EventQueue()
        self._over = EventCounter()
        super().start()
        self._pinned = PinnedThread(self._threads[0].native_id or 0, find_sched_getcpu(), self._reactor.callLater)

    def stop(self) -> None:
        """Ends the thread when the queued work is done, and waits for that."""
        super().stop()
        self._event_queue.close()
        self._over.close()

    def run_attended(self, function: Callable[[Any], Any], argument: Any, is_brief: bool = False) -> Deferred[Any]:
        """Runs `function(argument)` on the thread; the Deferred may have fired when this returns.

        Work that `is_brief` neither waits for the disk nor takes long, and comes often: both threads are to be on one
        processor.
        """
        self._attended = True
        pinned = self._pinned
        if pinned is not None and is_brief:
            pinned.pin()
        running: Deferred[Any] = deferToThreadPool(self, self, function, argument)  # type: ignore[arg-type]
        in_time = self._over.wait_for(self._attendance_s)
        if not in_time:
            with self._guard:
                if self._attended:
                    self._attended = False
                else:  # it was over at the last moment
                    self._over.wait()
            if pinned is not None:
                pinned.unpin()
        while self._results:
            deliver, results = self._results.popleft()
            deliver(*results)
        return running

    def callFromThread(self, function: Callable[..., object], *args: Any) -> None:  # Twisted's name
        """Called by Twisted on the thread when the work is done: brings the result to the reactor's thread."""
        with self._guard:
            if self._attended:
                self._attended = False
                self._results.append((function, args))
                self._over.signal()
                return
        self._reactor.callFromThread(function, *args)

    def release(self) -> None:
        """Called by the work: what follows takes long and needs no Python, the reactor's thread may go on."""
        with self._guard:
            if self._attended:
                self._attended = False
                self._over.signal()
