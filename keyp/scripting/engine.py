"""What a server has for its scripts: the cache of texts, the runtimes, and which scripts run just now.

A script runs on the writer's thread or on one of those for scripts that only read, each with a runtime of its own;
they are made when they are needed, so there are never more than threads. A script that runs for longer than
`busy-reply-threshold` on the writer makes the server busy: what all others send is refused until it ends, or is ended.

**Slow scripts.** Batches that are in one commit group with a script can neither be answered nor refused before it
ends. So a script that is not done after `COMPANY_MAX_NS` is undone with its group and runs again alone (`Overstays`).
From then on it is alone from the start, until it has once been done within that time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keyp.scripting.cache import ScriptCache
from keyp.scripting.errors import Overstays
from keyp.scripting.libraries import Libraries
from keyp.scripting.runtime import Runtime

EVAL: Final = 0
FUNCTION: Final = 1

COMPANY_MAX_NS: Final = 20_000_000  # that a script may run beside other batches
SLOW_MAX: Final = 1000  # words that are known to call slow scripts


class Run:
    """A script that runs. `call` is the request that called it; times are nanoseconds.

    `has_company` says that other batches are in its group. The thread that runs it and the reactor's both look at it;
    each attribute is changed by one of them.
    """

    def __init__(self, engine: int, name: bytes, call: list[bytes], is_on_writer: bool, started_ns: int) -> None:
        self.engine = engine
        self.name = name
        self.call = call
        self.is_on_writer = is_on_writer
        self.started_ns = started_ns
        self.has_company = False
        self.has_written = False
        self.is_overdue = False
        self.is_killed = False


class Borrowed:
    """A runtime for a `with` block; `idle` is the list to which it goes back."""

    def __init__(self, runtime: Runtime, idle: list[Runtime]) -> None:
        self._runtime = runtime
        self._idle = idle

    def __enter__(self) -> Runtime:
        return self._runtime

    def __exit__(self, *_: object) -> None:
        self._idle.append(self._runtime)


class ScriptEngine:
    """The scripts of one server."""

    def __init__(self, version: str) -> None:
        self._version = version
        self.cache = ScriptCache()
        self.runs: list[Run] = []
        self.busy: Run | None = None  # the overdue script of the writer's thread
        self.slow: dict[int, None] = {}  # hashes of the words (a text, a digest, a name) that have called slow scripts
        self.is_stopping = False  # SHUTDOWN NOSAVE: no script goes on
        self.ends_overdue = False  # the server stops and waits for its scripts, but for those that are overdue
        # Of the libraries that were looked at last:
        self.libraries_digest = b""
        self.read_only_functions: frozenset[bytes] = frozenset()
        self.library_count = 0
        self.function_count = 0
        self.library_bytes = 0
        self.on_overdue: Callable[[], None] = _nobody_listens
        self._idle: list[Runtime] = []
        self._made: list[Runtime] = []

    def reads_only(self, word: bytes) -> bool:
        """Whether what a call names, or brings, says of itself that it writes nothing: a digest, a function, a text.

        A guess, for the way that the call takes: where it is wrong, the script that meets a write is run again.
        """
        if word.startswith(b"#!"):
            return b"no-writes" in word.partition(b"\n")[0]
        word = word.lower()
        return word in self.read_only_functions or self.cache.reads_only(word)

    def note_libraries(self, libraries: Libraries) -> None:
        """These are the libraries now."""
        functions = libraries.functions
        self.libraries_digest = libraries.digest
        self.read_only_functions = frozenset([name for name, function in functions.items() if function.is_read_only])
        self.library_count, self.function_count = len(libraries.by_name), len(functions)
        self.library_bytes = sum([len(library.text) for library in libraries.by_name.values()])

    def runtime(self) -> Borrowed:
        """A runtime for one thread, as long as its `with` block goes on."""
        try:
            runtime = self._idle.pop()
        except IndexError:
            runtime = Runtime(self._version)
            self._made.append(runtime)
        return Borrowed(runtime, self._idle)

    def begin(self, run: Run) -> None:
        """A script begins to run."""
        self.runs.append(run)

    def end(self, run: Run, now_ns: int) -> None:
        """It has ended."""
        self.runs.remove(run)
        if self.busy is run:
            self.busy = None
        if self.slow and run.is_on_writer and not run.has_company and now_ns - run.started_ns < COMPANY_MAX_NS:
            self.slow.pop(hash(run.call[1]), None)

    def is_due(self, run: Run, now_ns: int, threshold_ns: int) -> bool:
        """Whether a script is to end. Called by its thread now and then. Without a threshold none is overdue.

        Raises `Overstays`.
        """
        taken_ns = now_ns - run.started_ns
        if run.has_company and taken_ns >= min(COMPANY_MAX_NS, threshold_ns or COMPANY_MAX_NS):
            self.slow[hash(run.call[1])] = None
            if len(self.slow) > SLOW_MAX:
                del self.slow[next(iter(self.slow))]
            raise Overstays
        if not run.is_overdue and 0 < threshold_ns <= taken_ns:
            run.is_overdue = True
            if run.is_on_writer:
                self.busy = run
            self.on_overdue()
        return run.is_killed or self.is_stopping or (self.ends_overdue and run.is_overdue)

    def overdue_reads(self) -> list[Run]:
        """The scripts that are overdue and only read."""
        return [run for run in self.runs.copy() if run.is_overdue and not run.is_on_writer]

    @property
    def memory(self) -> int:
        """Bytes that the runtimes take."""
        return sum([runtime.memory for runtime in self._made])


def _nobody_listens() -> None:
    """Where no server asks to be told."""
