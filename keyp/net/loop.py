"""The loop that a server runs on: a Twisted reactor, threads that write, read and run scripts, the machine's clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred

from keyp.execution.loop import Timer
from keyp.execution.thread_reads import SCRIPT_THREADS
from keyp.net.threads import AttendedThread, ThreadLine

READER_THREADS: Final = 2


class ReactorLoop:
    """See `keyp.execution.loop.Loop`. `start` it after any fork."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.name = type(reactor).__name__
        # What our own reactor does at the end of an iteration, others do in the next one.
        self.is_prompt = hasattr(reactor, "callAfterEvents")
        self.call_soon: Callable[[Callable[[], None]], Any] = getattr(reactor, "callAfterEvents", self._call_next)
        self.call_later: Callable[..., Timer] = reactor.callLater
        self.time_ns: Callable[[], int] = time.time_ns
        self.nanoseconds: Callable[[], int] = time.perf_counter_ns  # looked at for every command
        self.drop_closed: Callable[[], Any] = getattr(reactor, "dropClosed", _nothing)
        self._writer = AttendedThread(reactor, "keyp-writer")
        self._readers = ThreadLine(reactor, "keyp-reader", READER_THREADS)
        self._scripts = ThreadLine(reactor, "keyp-scripts", SCRIPT_THREADS)
        self.run_on_writer: Callable[[Callable[[Any], Any], Any, bool], Deferred[Any]] = self._writer.run_attended
        self.run_on_reader: Callable[[Callable[[Any], Any], Any], Deferred[Any]] = self._readers.run
        self.run_on_script_thread: Callable[[Callable[[Any], Any], Any], Deferred[Any]] = self._scripts.run
        self.release_reactor = self._writer.release
        self.call_from_thread: Callable[[Callable[[], None]], None] = reactor.callFromThread

    def _call_next(self, function: Callable[[], None]) -> Any:
        return self._reactor.callLater(0, function)

    def start(self) -> None:
        """Starts the threads."""
        self._writer.start()
        self._readers.start()
        self._scripts.start()

    def stop(self) -> None:
        """Ends the threads; nothing may be under way."""
        self._writer.stop()
        self._readers.stop()
        self._scripts.stop()

    def breathe(self) -> None:
        """Lets the other threads of the process run that wait for Python's lock."""
        time.sleep(0)

    def step_aside(self) -> None:
        """Lets other processes run that wait for this processor."""
        os.sched_yield()


def _nothing() -> None:
    """Other reactors than ours learn it when they read."""
