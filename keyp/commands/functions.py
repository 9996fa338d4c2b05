"""FCALL, FCALL_RO, and FUNCTION: libraries of functions, which are stored with the data.

A library is a text in the store (`keyp/storage/function_libraries.py`). Each runtime compiles those that the
transaction shows (`keyp/command/libraries.py`), and does so again when their digest is another one; so a library is
there in the transaction that loads it, after a restart and in a backup, and is not where the transaction was undone.
"""

from __future__ import annotations

from typing import Final

from keyp.algorithms.glob import Glob
from keyp.command.context import SessionContext, WriteContext
from keyp.command.function_dump import dump, read_dump
from keyp.command.libraries import LibraryLoad, libraries_of
from keyp.command.script_calls import (
    BUSY_WITH_SCRIPT,
    HOW_KEYS_ARE_USED,
    RUNS,
    RUNS_READ_ONLY,
    keys_and_arguments,
    kill_script,
    run_script,
)
from keyp.command.spec import (
    ALLOW_BUSY,
    DENYOOM,
    NOSCRIPT,
    RUNS_SCRIPT,
    WALKS,
    WRITES_DATA,
    Args,
    counted_keys,
)
from keyp.command.table import CommandTable
from keyp.errors import INTERNAL, CommandError, printable, wrong_subcommand
from keyp.resp.values import Reply, Set
from keyp.scripting.engine import EVAL, FUNCTION, Run
from keyp.scripting.libraries import Libraries, Library, compile_library
from keyp.scripting.registration import Function
from keyp.scripting.runtime import Runtime
from keyp.scripting.script import read_library
from keyp.storage import function_libraries
from keyp.storage.lmdb.transaction import WriteTransaction

FUNCTIONS = CommandTable(group="scripting", categories="scripting")

NOT_FOUND: Final = "ERR Function not found"
BAD_NUMBER_OF_KEYS: Final = "ERR Bad number of keys provided"
MAY_WRITE: Final = "ERR Can not execute a script with write flag using *_ro command."
COMPLEXITY: Final = "What the function does."
PER_LIBRARY: Final = "O(N) with N the number of functions."
ON_ALL_SHARDS: Final = ("request_policy:all_shards", "response_policy:all_succeeded")


@FUNCTIONS.session(
    "FCALL",
    arity=-3,
    keys=counted_keys(2, "RW access update", HOW_KEYS_ARE_USED),
    flags=RUNS,
    since="7.0.0",
    complexity=COMPLEXITY,
    syntax="function numkeys [key [key ...]] [arg [arg ...]]",
    summary="Calls a function.",
)
def fcall(context: SessionContext, args: Args) -> Reply:
    """Replies with what the function returns."""
    return _fcall(context, args, False)


@FUNCTIONS.session(
    "FCALL_RO",
    arity=-3,
    keys=counted_keys(2, "RO access"),
    flags=RUNS_READ_ONLY,
    since="7.0.0",
    complexity=COMPLEXITY,
    syntax="function numkeys [key [key ...]] [arg [arg ...]]",
    summary="Calls a function that only reads.",
)
def fcall_ro(context: SessionContext, args: Args) -> Reply:
    """Replies with what the function returns."""
    return _fcall(context, args, True)


def _fcall(context: SessionContext, args: Args, is_read_only: bool) -> Reply:
    scripts = context.server.scripts
    with scripts.runtime() as runtime:
        function = libraries_of(context, runtime).functions.get(args[1].lower())
        if function is None:
            raise CommandError(NOT_FOUND)
        words, key_count = keys_and_arguments(args, BAD_NUMBER_OF_KEYS)
        if is_read_only and not function.is_read_only:
            raise CommandError(MAY_WRITE)
        run = Run(FUNCTION, function.name, args, context.is_on_writer, context.nanoseconds())
        return run_script(context, run, function.is_read_only, runtime.call, function.callback, words, key_count)


FUNCTIONS.container(
    "FUNCTION",
    arity=-2,
    categories="",
    since="7.0.0",
    complexity="Depends on the subcommand.",
    summary="Introduces the commands about libraries of functions.",
)


def _writing(context: SessionContext) -> WriteTransaction:
    """The transaction, which must be one that writes. Raises `CommandError` while writes are refused."""
    if not isinstance(context.data, WriteContext):
        raise CommandError(context.server.write_refusal or INTERNAL)
    return context.data.writing


def _growing(context: SessionContext) -> WriteTransaction:
    """The same, for what adds data."""
    writing = _writing(context)
    if writing.growth_refusal:
        raise CommandError(writing.growth_refusal)
    return writing


@FUNCTIONS.session(
    "FUNCTION|LOAD",
    arity=-3,
    flags=WRITES_DATA | DENYOOM | NOSCRIPT | RUNS_SCRIPT,
    since="7.0.0",
    complexity="O(N) with N the length of the text.",
    syntax="[REPLACE] function-code",
    tips=ON_ALL_SHARDS,
    summary="Loads a library.",
)
def function_load(context: SessionContext, args: Args) -> Reply:
    """Replies with the library's name."""
    for option in args[2:-1]:
        if option.upper() != b"REPLACE":
            raise CommandError(f"ERR Unknown option given: {printable(option)}")
    writing = _growing(context)
    with context.server.scripts.runtime() as runtime:
        libraries = libraries_of(context, runtime).copy()
        library = _load(context, runtime, libraries, args[-1], len(args) > 3)
    function_libraries.put(writing, library.name, library.text)
    return library.name


def _load(context: SessionContext, runtime: Runtime, libraries: Libraries, text: bytes, replaces: bool) -> Library:
    """Compiles a library and adds it to the others. Raises `CommandError`."""
    name, _ = read_library(text)
    if name in libraries.by_name and not replaces:
        raise CommandError(f"ERR Library '{name.decode()}' already exists")
    library = compile_library(runtime, text, LibraryLoad(context))
    libraries.remove(name)
    libraries.add(library)
    return library


@FUNCTIONS.session(
    "FUNCTION|DELETE",
    arity=3,
    flags=WRITES_DATA | NOSCRIPT | RUNS_SCRIPT,
    since="7.0.0",
    syntax="library-name",
    tips=ON_ALL_SHARDS,
    summary="Removes a library.",
)
def function_delete(context: SessionContext, args: Args) -> Reply:
    """Replies OK."""
    if not function_libraries.delete(_writing(context), args[2]):
        raise CommandError("ERR Library not found")
    return "OK"


@FUNCTIONS.session(
    "FUNCTION|FLUSH",
    arity=-2,
    flags=WRITES_DATA | NOSCRIPT | RUNS_SCRIPT,
    since="7.0.0",
    complexity=PER_LIBRARY,
    syntax="[ASYNC | SYNC]",
    tips=ON_ALL_SHARDS,
    summary="Removes all libraries.",
)
def function_flush(context: SessionContext, args: Args) -> Reply:
    """Replies OK."""
    if len(args) > 3:
        raise wrong_subcommand("FUNCTION", args[1])
    if len(args) == 3 and args[2].upper() not in (b"ASYNC", b"SYNC"):
        raise CommandError("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
    function_libraries.flush(_writing(context))
    return "OK"


@FUNCTIONS.session(
    "FUNCTION|LIST",
    arity=-2,
    flags=NOSCRIPT | WALKS,
    since="7.0.0",
    complexity=PER_LIBRARY,
    syntax="[LIBRARYNAME library-name-pattern] [WITHCODE]",
    tips=("nondeterministic_output_order",),
    summary="Lists the libraries and their functions.",
)
def function_list(context: SessionContext, args: Args) -> Reply:
    """Replies with a map for each library."""
    pattern: bytes | None = None
    with_code = False
    at = 2
    while at < len(args):
        word = args[at].upper()
        if word == b"WITHCODE" and not with_code:
            with_code = True
        elif word == b"LIBRARYNAME" and pattern is None:
            at += 1
            if at >= len(args):
                raise CommandError("ERR library name argument was not given")
            pattern = args[at]
        else:
            raise CommandError(f"ERR Unknown argument {printable(args[at])}")
        at += 1
    with context.server.scripts.runtime() as runtime:
        libraries = list(libraries_of(context, runtime).by_name.values())
    glob = None if pattern is None else Glob(pattern.lower())
    chosen = [library for library in libraries if glob is None or glob.matches(library.name.lower())]
    return [_described(library, with_code) for library in chosen]


def _described(library: Library, with_code: bool) -> Reply:
    described: dict[bytes, Reply] = {
        b"library_name": library.name,
        b"engine": b"LUA",
        b"functions": [_described_function(function) for function in library.functions.values()],
    }
    if with_code:
        described[b"library_code"] = library.text
    return described


def _described_function(function: Function) -> Reply:
    return {
        b"name": function.name,
        b"description": function.description,
        b"flags": Set([flag.decode() for flag in function.flags]),
    }


@FUNCTIONS.session(
    "FUNCTION|STATS",
    arity=2,
    flags=NOSCRIPT | ALLOW_BUSY | WALKS,
    since="7.0.0",
    tips=("nondeterministic_output", "request_policy:all_shards", "response_policy:special"),
    summary="Tells which function runs, and how many there are.",
)
def function_stats(context: SessionContext, args: Args) -> Reply:
    """Replies with the function that runs for too long, or null, and the numbers of libraries and functions."""
    scripts = context.server.scripts
    busy = scripts.busy
    if busy is not None and busy.engine == EVAL:
        raise CommandError(BUSY_WITH_SCRIPT)
    running: Reply = None
    if busy is not None:
        running = {
            b"name": busy.name,
            b"command": list(busy.call),
            b"duration_ms": (context.nanoseconds() - busy.started_ns) // 1_000_000,
        }
    with scripts.runtime() as runtime:
        libraries = libraries_of(context, runtime)
    counts = {b"libraries_count": len(libraries.by_name), b"functions_count": len(libraries.functions)}
    return {b"running_script": running, b"engines": {b"LUA": counts}}


@FUNCTIONS.session(
    "FUNCTION|KILL",
    arity=2,
    flags=NOSCRIPT | ALLOW_BUSY,
    since="7.0.0",
    tips=("request_policy:all_shards", "response_policy:one_succeeded"),
    summary="Ends the function that runs, unless it has written.",
)
def function_kill(context: SessionContext, args: Args) -> Reply:
    """Replies OK; the function ends soon."""
    return kill_script(context.server.scripts, FUNCTION)


@FUNCTIONS.session(
    "FUNCTION|DUMP",
    arity=2,
    flags=NOSCRIPT | WALKS,
    since="7.0.0",
    complexity=PER_LIBRARY,
    summary="Gives all libraries as FUNCTION RESTORE takes them.",
)
def function_dump(context: SessionContext, args: Args) -> Reply:
    """Replies with the payload."""
    return dump(function_libraries.texts(context.data.transaction))


@FUNCTIONS.session(
    "FUNCTION|RESTORE",
    arity=-3,
    flags=WRITES_DATA | DENYOOM | NOSCRIPT | RUNS_SCRIPT,
    since="7.0.0",
    complexity=PER_LIBRARY,
    syntax="serialized-value [FLUSH | APPEND | REPLACE]",
    tips=ON_ALL_SHARDS,
    summary="Loads the libraries that FUNCTION DUMP has given.",
)
def function_restore(context: SessionContext, args: Args) -> Reply:
    """Replies OK. What cannot be loaded as a whole changes nothing."""
    if len(args) > 4:
        raise wrong_subcommand("FUNCTION", args[1])
    policy = args[3].upper() if len(args) == 4 else b"APPEND"
    if policy not in (b"FLUSH", b"APPEND", b"REPLACE"):
        raise CommandError("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
    texts = read_dump(args[2])
    writing = _growing(context)
    with context.server.scripts.runtime() as runtime:
        libraries = Libraries(b"") if policy == b"FLUSH" else libraries_of(context, runtime).copy()
        loaded = [_load(context, runtime, libraries, text, policy == b"REPLACE") for text in texts]
    if policy == b"FLUSH":
        function_libraries.flush(writing)
    for library in loaded:
        function_libraries.put(writing, library.name, library.text)
    return "OK"
