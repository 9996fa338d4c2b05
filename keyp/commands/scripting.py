"""EVAL, EVALSHA, their read-only forms, and SCRIPT: scripts that clients send.

How a script runs is in `keyp/command/script_calls.py`. The cache is seen through the batch (`context.scripts`), so that
a batch which is run again finds the scripts that it found before.
"""

from __future__ import annotations

from typing import Final

from keyp.command.context import SessionContext
from keyp.command.script_calls import (
    HOW_KEYS_ARE_USED,
    RUNS,
    RUNS_READ_ONLY,
    keys_and_arguments,
    kill_script,
    run_script,
)
from keyp.command.spec import (
    ALLOW_BUSY,
    NOSCRIPT,
    STALE,
    WALKS,
    Args,
    counted_keys,
)
from keyp.command.table import CommandTable
from keyp.errors import NOT_AN_INTEGER, CommandError
from keyp.resp.values import Reply
from keyp.scripting.engine import EVAL, Run
from keyp.scripting.script import Script

SCRIPTING = CommandTable(group="scripting", categories="scripting")

NO_SCRIPT: Final = "NOSCRIPT No matching script. Please use EVAL."
BAD_FLUSH: Final = "ERR SCRIPT FLUSH only support SYNC|ASYNC option"
SHA_DIGITS: Final = 40

COMPLEXITY: Final = "What the script does."


@SCRIPTING.session(
    "EVAL",
    arity=-3,
    keys=counted_keys(2, "RW access update", HOW_KEYS_ARE_USED),
    flags=RUNS,
    since="2.6.0",
    complexity=COMPLEXITY,
    syntax="script numkeys [key [key ...]] [arg [arg ...]]",
    summary="Runs a script.",
)
def eval_(context: SessionContext, args: Args) -> Reply:
    """Replies with what the script returns."""
    return _eval(context, args, False)


@SCRIPTING.session(
    "EVALSHA",
    arity=-3,
    keys=counted_keys(2, "RW access update", HOW_KEYS_ARE_USED),
    flags=RUNS,
    since="2.6.0",
    complexity=COMPLEXITY,
    syntax="sha1 numkeys [key [key ...]] [arg [arg ...]]",
    summary="Runs a script that is known already.",
)
def evalsha(context: SessionContext, args: Args) -> Reply:
    """Replies with what the script returns."""
    return _evalsha(context, args, False)


@SCRIPTING.session(
    "EVAL_RO",
    arity=-3,
    keys=counted_keys(2, "RO access"),
    flags=RUNS_READ_ONLY,
    since="7.0.0",
    complexity=COMPLEXITY,
    syntax="script numkeys [key [key ...]] [arg [arg ...]]",
    summary="Runs a script that only reads.",
)
def eval_ro(context: SessionContext, args: Args) -> Reply:
    """Replies with what the script returns."""
    return _eval(context, args, True)


@SCRIPTING.session(
    "EVALSHA_RO",
    arity=-3,
    keys=counted_keys(2, "RO access"),
    flags=RUNS_READ_ONLY,
    since="7.0.0",
    complexity=COMPLEXITY,
    syntax="sha1 numkeys [key [key ...]] [arg [arg ...]]",
    summary="Runs a script that only reads and is known already.",
)
def evalsha_ro(context: SessionContext, args: Args) -> Reply:
    """Replies with what the script returns."""
    return _evalsha(context, args, True)


def _eval(context: SessionContext, args: Args, is_read_only: bool) -> Reply:
    words, key_count = keys_and_arguments(args, NOT_AN_INTEGER)
    script, is_new = context.scripts.take_up(args[1])
    return _run(context, script, args, words, key_count, is_read_only, is_new)


def _evalsha(context: SessionContext, args: Args, is_read_only: bool) -> Reply:
    if len(args[1]) != SHA_DIGITS:
        raise CommandError(NO_SCRIPT)
    words, key_count = keys_and_arguments(args, NOT_AN_INTEGER)
    script = context.scripts.get(args[1]) or context.scripts.get(args[1].lower())
    if script is None:
        raise CommandError(NO_SCRIPT)
    return _run(context, script, args, words, key_count, is_read_only, False)


def _run(
    context: SessionContext,
    script: Script,
    args: Args,
    words: list[bytes],
    key_count: int,
    is_read_only: bool,
    is_new: bool,
) -> Reply:
    scripts = context.server.scripts
    with scripts.runtime() as runtime:
        function = runtime.compile(script)
        if is_new:
            context.scripts.add(script, is_loaded=False)
            context.keep_scripts()
        run = Run(EVAL, script.sha, args, context.is_on_writer, context.nanoseconds())
        is_read_only = is_read_only or script.is_read_only
        return run_script(context, run, is_read_only, runtime.run, function, words, key_count)


SCRIPTING.container(
    "SCRIPT",
    arity=-2,
    categories="",
    since="2.6.0",
    complexity="Depends on the subcommand.",
    summary="Introduces the commands about scripts.",
    help_since="5.0.0",
)


@SCRIPTING.session(
    "SCRIPT|EXISTS",
    arity=-3,
    flags=NOSCRIPT | STALE,
    since="2.6.0",
    complexity="O(N) with N the number of digests.",
    syntax="sha1 [sha1 ...]",
    tips=("request_policy:all_shards", "response_policy:agg_logical_and"),
    summary="Tells which scripts are known.",
)
def script_exists(context: SessionContext, args: Args) -> Reply:
    """Replies with a 1 or 0 for each digest."""
    return [int(context.scripts.has(sha.lower())) for sha in args[2:]]


@SCRIPTING.session(
    "SCRIPT|LOAD",
    arity=3,
    flags=NOSCRIPT | STALE | WALKS,
    since="2.6.0",
    complexity="O(N) with N the length of the script.",
    syntax="script",
    tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
    summary="Makes a script known.",
)
def script_load(context: SessionContext, args: Args) -> Reply:
    """Replies with the script's digest."""
    script, _ = context.scripts.take_up(args[2])
    with context.server.scripts.runtime() as runtime:
        runtime.compile(script)
    context.scripts.add(script, is_loaded=True)
    context.keep_scripts()
    return script.sha


@SCRIPTING.session(
    "SCRIPT|FLUSH",
    arity=-2,
    flags=NOSCRIPT | STALE,
    since="2.6.0",
    complexity="O(N) with N the number of scripts.",
    syntax="[ASYNC | SYNC]",
    tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
    summary="Forgets all scripts.",
)
def script_flush(context: SessionContext, args: Args) -> Reply:
    """Replies OK."""
    if len(args) > 3 or (len(args) == 3 and args[2].upper() not in (b"ASYNC", b"SYNC")):
        raise CommandError(BAD_FLUSH)
    context.scripts.flush()
    context.keep_scripts()
    return "OK"


@SCRIPTING.session(
    "SCRIPT|KILL",
    arity=2,
    flags=NOSCRIPT | ALLOW_BUSY,
    since="2.6.0",
    tips=("request_policy:all_shards", "response_policy:one_succeeded"),
    summary="Ends the script that runs, unless it has written.",
)
def script_kill(context: SessionContext, args: Args) -> Reply:
    """Replies OK; the script ends soon."""
    return kill_script(context.server.scripts, EVAL)
