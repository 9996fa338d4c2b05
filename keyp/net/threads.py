"""A pool of threads in the form that `deferToThreadPool` wants, as lean as a queue can be.

Twisted's own `ThreadPool` passes each piece of work through a coordinating worker and two locks; for the writer, which
gets one piece at a time and thousands a second, the plain queue of the standard library is a good deal cheaper.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure


class ThreadLine:
    """`count` threads that take work from one line, in order. Start it after any fork; stop it to end the threads."""

    def __init__(self, reactor: Any, name: str, count: int = 1) -> None:
        self._reactor = reactor
        self._line: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
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
