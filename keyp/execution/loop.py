"""What the way of a request asks of the process around it: the event loop, threads, and time.

`keyp.net.loop` has the one that a server runs on: a Twisted reactor, the writer's thread and the readers'. Tests have
one that runs everything at once and on a clock of their own. So nothing in this folder knows a reactor or a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


class Timer(Protocol):
    """A call that is due later (Twisted's `IDelayedCall`)."""

    def active(self) -> bool:
        """Whether it is still to come."""

    def cancel(self) -> None:
        """It is not to come."""


class Loop(Protocol):
    """The event loop, its threads and its clocks.

    `name` is that of the reactor; `is_prompt` says that `call_soon` calls within this iteration, not in the next one.
    """

    name: str
    is_prompt: bool

    def time_ns(self) -> int:
        """Wall-clock time in nanoseconds since 1970: for deadlines, and for what is shown."""

    def nanoseconds(self) -> int:
        """A monotonic counter of nanoseconds: for durations, and for everything that waits."""

    def call_soon(self, function: Callable[[], None]) -> Any:
        """Calls `function` when the events that are ready now have been handled."""

    def call_later(self, seconds: float, function: Callable[..., None], *arguments: Any) -> Timer:
        """Calls `function` in so many seconds."""

    def run_on_writer(self, function: Callable[[Any], T], argument: Any, is_brief: bool) -> Deferred[T]:
        """Runs `function(argument)` on the one thread that writes; the Deferred fires with its result or failure.

        Work that `is_brief` neither waits for the disk nor takes long, and comes often.
        """

    def run_on_reader(self, function: Callable[[Any], T], argument: Any) -> Deferred[T]:
        """The same on one of the threads that read."""

    def run_on_script_thread(self, function: Callable[[Any], T], argument: Any) -> Deferred[T]:
        """The same on one of the threads for scripts that only read."""

    def call_from_thread(self, function: Callable[[], None]) -> None:
        """Called on one of the threads: has `function` called on the reactor's, soon, while the work goes on."""

    def drop_closed(self) -> Any:
        """Has the connections dropped, here and now, that are known to have been closed at their other end."""

    def release_reactor(self) -> None:
        """Called on the writer's thread: what follows waits for the disk, the reactor need not attend it any more."""

    def breathe(self) -> None:
        """Lets the other threads of the process run that wait for Python's lock."""

    def step_aside(self) -> None:
        """Lets other processes run that wait for this processor."""
