"""The commands that a script calls: which it may, and how they run.

A script is one call of a session command (EVAL, FCALL …), on the writer's thread in the transaction of its group, or on
a reader's on a snapshot. The commands inside it run as those inside an EXEC do (`SessionContext.invoke_in_script`):
one after the other, each write by `apply`. An error in one of them undoes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from keyp.command.access_control import refusal_in_script
from keyp.command.arguments import integer
from keyp.command.context import SessionContext
from keyp.command.effects import LogLine
from keyp.command.permission import denial
from keyp.command.spec import (
    MAY_REPLICATE,
    MOVABLEKEYS,
    NO_MANDATORY_KEYS,
    NOSCRIPT,
    READS_DATA,
    RUNS_SCRIPT,
    SKIP_MONITOR,
    STALE,
    WALKS,
)
from keyp.errors import NUMKEYS_TOO_HIGH, CommandError
from keyp.resp.values import Reply
from keyp.scripting.engine import FUNCTION, Run, ScriptEngine
from keyp.scripting.errors import CallError, Killed, ScriptFailed
from keyp.scripting.runtime import Commands

UNKNOWN: Final = "ERR Unknown Redis command called from script"
WRONG_ARITY: Final = "ERR Wrong number of args calling Redis command from script"
NOT_ALLOWED: Final = "ERR This Redis command is not allowed from script"
READ_ONLY: Final = "ERR Write commands are not allowed from read-only scripts."
KILLED: Final = "ERR Script killed by user with SCRIPT KILL..."
STOPPED: Final = "ERR the server stops"
NEGATIVE_KEYS: Final = "ERR Number of keys can't be negative"
NOT_BUSY: Final = "NOTBUSY No scripts in execution right now."
UNKILLABLE: Final = (
    "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script "
    "termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."
)
BUSY_WITH_SCRIPT: Final = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
BUSY_WITH_FUNCTION: Final = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
# Flags of the commands that run a script or a function, and of those that run one that only reads.
RUNS: Final = NOSCRIPT | SKIP_MONITOR | MAY_REPLICATE | NO_MANDATORY_KEYS | STALE | MOVABLEKEYS | RUNS_SCRIPT
RUNS_READ_ONLY: Final = (
    READS_DATA | NOSCRIPT | SKIP_MONITOR | NO_MANDATORY_KEYS | STALE | MOVABLEKEYS | RUNS_SCRIPT | WALKS
)
HOW_KEYS_ARE_USED: Final = "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE"
MILLISECOND_NS: Final = 1_000_000


class ScriptCalls:
    """Carries out what one script asks for (`keyp.scripting.runtime.Commands`)."""

    def __init__(self, context: SessionContext, run: Run, is_read_only: bool) -> None:
        self._context = context
        self._registry = context.server.registry
        self._run = run
        self._is_read_only = is_read_only
        self._threshold_ns = context.server.settings.busy_reply_threshold * MILLISECOND_NS
        self._is_restricted = context.users.restricted(context.state) is not None

    def call(self, words: list[bytes]) -> Reply:
        """See `Commands`."""
        spec = self._registry.find(words)
        if spec is None:
            raise CallError(UNKNOWN)
        if not spec.least_count <= len(words) <= spec.most_count:
            raise CallError(WRONG_ARITY)
        if spec.flags & NOSCRIPT:
            raise CallError(NOT_ALLOWED)
        if self._is_restricted:
            refused = refusal_in_script(self._context, spec, words)
            if refused:
                raise CallError(refused)
        if spec.is_write or spec.flags & MAY_REPLICATE:
            if self._is_read_only:
                raise CallError(READ_ONLY)
            self._run.has_written = True
        return self._context.invoke_in_script(spec, words)

    def log(self, level: int, message: bytes) -> None:
        """See `Commands`."""
        self._context.after(LogLine(level, message.decode("utf-8", "replace")))

    def is_known(self, words: list[bytes]) -> bool:
        """See `Commands`."""
        spec = self._registry.find(words)
        if spec is None:
            raise CallError("ERR Invalid command passed to redis.acl_check_cmd()")
        user = self._context.users.restricted(self._context.state)
        return user is None or denial(user, spec, words) is None

    def is_due(self) -> bool:
        """See `Commands`."""
        context = self._context
        return context.server.scripts.is_due(self._run, context.nanoseconds(), self._threshold_ns)

    def seed(self) -> int:
        """See `Commands`."""
        return self._context.data.random.getrandbits(32)


def run_script(
    context: SessionContext,
    run: Run,
    is_read_only: bool,
    method: Callable[[Any, list[bytes], list[bytes], Commands], Reply],
    function: Any,
    words: list[bytes],
    key_count: int,
) -> Reply:
    """Runs a script or a function by a runtime's `method`; the first of `words` are its keys.

    Raises `CommandError` for what the script's error is as a reply, and what ends the whole group.
    """
    scripts, state = context.server.scripts, context.state
    if scripts.is_stopping:
        raise CommandError(STOPPED)
    database = state.database
    run.has_company = context.data.has_company
    scripts.begin(run)
    try:
        calls = ScriptCalls(context, run, is_read_only)
        return method(function, words[:key_count], words[key_count:], calls)
    except ScriptFailed as failure:
        raise CommandError(_located(failure.text, run, failure.source, failure.line)) from None
    except Killed as killed:
        if not run.is_killed:
            scripts.is_stopping = True
            if run.is_on_writer:
                raise  # nothing of what it has written is to stay: its group is undone
            raise CommandError(STOPPED) from None
        raise CommandError(_located(KILLED, run, killed.source, killed.line)) from None
    finally:
        scripts.end(run, context.nanoseconds() if scripts.slow else 0)
        if state.database != database:
            context.select(database)


def _located(text: str, run: Run, source: str, line: int) -> str:
    """An error with the name of its script, and where in it."""
    where = f", on {source}:{line}." if source else "."
    return f"{text} script: {run.name.decode()}{where}"


def keys_and_arguments(args: list[bytes], bad_number: str) -> tuple[list[bytes], int]:
    """Keys and arguments of a script, and how many of them are keys, as the third argument says.

    Raises `CommandError`, with `bad_number` for what is no number.
    """
    count = integer(args[2], bad_number)
    if count > len(args) - 3:
        raise CommandError(NUMKEYS_TOO_HIGH)
    if count < 0:
        raise CommandError(NEGATIVE_KEYS)
    return args[3:], count


def kill_script(scripts: ScriptEngine, engine: int) -> Reply:
    """Ends the scripts of one engine that are overdue. Raises `CommandError` where none is, or one has written."""
    overdue = [run for run in scripts.runs.copy() if run.is_overdue]
    if not overdue:
        raise CommandError(NOT_BUSY)
    for run in overdue:
        if run.engine != engine:
            raise CommandError(BUSY_WITH_FUNCTION if run.engine == FUNCTION else BUSY_WITH_SCRIPT)
        if run.has_written:
            raise CommandError(UNKILLABLE)
        run.is_killed = True
    return "OK"


def busy_error(run: Run) -> str:
    """What others are answered while a script runs for too long."""
    return BUSY_WITH_FUNCTION if run.engine == FUNCTION else BUSY_WITH_SCRIPT
