"""Threads in the form that `deferToThreadPool` wants, as lean as a queue can be.

Twisted's own `ThreadPool` passes each piece of work through a coordinating worker and two locks; for the writer, which
gets one piece at a time and thousands a second, the plain queue of the standard library is a good deal cheaper.
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

from keyp.net.event_counter import Bell, BelledLine
from keyp.net.pinning import Companion, find_sched_getcpu

# How long the reactor's thread waits for the work of an attended thread before it goes back to its clients.
ATTENDANCE_S: Final = 0.001


class ThreadLine:
    """`count` threads that take work from one line, in order. Start it after any fork; stop it to end the threads."""

    def __init__(self, reactor: Any, name: str, count: int = 1) -> None:
        self._reactor = reactor
        self._line: SimpleQueue[Callable[[], None] | None] | BelledLine = SimpleQueue()
        self._threads = [Thread(target=self._work, name=f"{name}-{index}", daemon=True) for index in range(count)]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the threads when the work in line is done, and waits for that."""
        for _ in self._threads:
            self._line.put(None)
        for thread in self._threads:
            thread.join()

    def defer(self, function: Callable[[], Any]) -> Deferred[Any]:
        """Runs `function` on one of the threads; the Deferred fires on the reactor's thread with its result."""
        return deferToThreadPool(self._reactor, self, function)  # type: ignore[arg-type]

    def callInThreadWithCallback(
        self, on_result: Callable[[bool, Any], None], function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        """Puts `function` in line; `on_result` is called on its thread with success and the result or `Failure`."""

        def work() -> None:
            try:
                result = function(*args, **kwargs)
            except BaseException:
                on_result(False, Failure())
            else:
                on_result(True, result)

        self._line.put(work)

    def _work(self) -> None:
        while (work := self._line.get()) is not None:
            work()
            del work  # it may hold a request of many megabytes, and the next work may be long in coming


class AttendedThread(ThreadLine):
    """One thread whose work the reactor's thread attends: it waits, for a moment, until the work is done or lets it go.

    Two threads of Python take turns at best. Where both are busy, each call into LMDB or the kernel hands Python's lock
    over, and every time the other thread has to be woken; that costs more than a small group's commands. So while the
    commands of a group run, the reactor's thread does nothing, and both stay on one processor (`affinity.py`). It goes
    on when the work calls `let_go`, before it waits for the disk, or is done, or after `attendance_s` seconds. A result
    that is there by then needs no byte through the reactor's pipe either.
    """

    def __init__(self, reactor: Any, name: str, attendance_s: float = ATTENDANCE_S) -> None:
        super().__init__(reactor, name)
        self._attendance_s = attendance_s
        self._companion: Companion | None = None
        self._attended = False
        self._guard = Lock()  # of `_attended` and `_results`
        self._results: deque[Callable[[], object]] = deque()

    def start(self) -> None:
        """Starts the thread."""
        self._line = self._belled_line = BelledLine()
        self._over = Bell()
        super().start()
        self._companion = Companion(self._threads[0].native_id or 0, find_sched_getcpu())

    def stop(self) -> None:
        """Ends the thread when the work in line is done, and waits for that."""
        super().stop()
        self._belled_line.close()
        self._over.close()

    def defer(self, function: Callable[[], Any], is_brief: bool = False) -> Deferred[Any]:
        """Runs `function` on the thread; the Deferred fires on the reactor's thread, perhaps it has fired already.

        Work that `is_brief` neither waits for the disk nor takes long, and comes often: for its time both threads stay
        on one processor.
        """
        self._attended = True
        companion = self._companion if is_brief else None
        if companion is not None:
            companion.come()
        running: Deferred[Any] = deferToThreadPool(self, self, function)  # type: ignore[arg-type]
        in_time = self._over.wait(self._attendance_s)
        if not in_time:
            with self._guard:
                if self._attended:
                    self._attended = False
                else:  # it was over at the last moment
                    self._over.listen()
        if companion is not None:
            companion.part(is_busy=not in_time)
        while self._results:
            self._results.popleft()()
        return running

    def callFromThread(self, function: Callable[..., object], *args: Any) -> None:  # Twisted's name
        """Called by Twisted on the thread when the work is done: brings the result to the reactor's thread."""
        with self._guard:
            if self._attended:
                self._attended = False
                self._results.append(lambda: function(*args))
                self._over.ring()
                return
        self._reactor.callFromThread(function, *args)

    def let_go(self) -> None:
        """Called by the work: what follows takes long and needs no Python, the reactor's thread may go on."""
        with self._guard:
            if self._attended:
                self._attended = False
                self._over.ring()
