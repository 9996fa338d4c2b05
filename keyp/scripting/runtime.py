"""One Lua: runs scripts, one at a time, between two bounds: of memory, and of what its host lets it do.

The host (`Commands`) carries out what a script asks for, and is asked at intervals whether the script is to end. Lua
lets go of Python's lock while it runs, and takes it for each call of the host.

**Memory.** lupa's allocator refuses what goes beyond a bound, and Lua makes that an error. But where it refuses while
lupa itself pushes a value, the error jumps over C frames of Python, which ends the process or leaves it without its
lock. So whenever Python is called, it first sees to it that there is room for what it pushes (`_make_room`); a script
that leaves none is ended.

**Errors.** A call of the host that fails is an exception of Python, which passes through Lua as an object;
`sandbox.lua` sees to it that no script ever holds it. What is no `CallError` ends the script, cannot be caught, and is
raised again by `run`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from lupa import lua51

from keyp.errors import CommandError
from keyp.resp.values import Reply, ReplyError
from keyp.scripting import binary
from keyp.scripting.conversions import FlatList, argument, one_line, size_in_lua, to_lua, whole
from keyp.scripting.errors import CallError, Killed, ScriptFailed
from keyp.scripting.registration import Function, as_text, function_of
from keyp.scripting.script import Script, digest

LUA_FILES: Final = Path(__file__).parent / "lua"

MEMORY_MAX: Final = 512 << 20  # bytes that one runtime may take
HEADROOM: Final = 32 << 20  # of which so many are left for what Python pushes
TIDY_BYTES: Final = 32 << 20  # what is left behind by a script beyond this is collected at once
COMPILED_MAX: Final = 500  # scripts
SMALL_BYTES: Final = 4096  # of a string for which there is room anyway
ARGUMENTS_MAX: Final = 8000  # of a call from Lua to C
UNPACKED_MAX: Final = 64  # arguments that are passed one by one

NO_MEMORY: Final = "ERR not enough memory"
NO_ROOM: Final = (lua51.LuaError, MemoryError)
LOG_LEVELS: Final = {b"LOG_DEBUG": 0, b"LOG_VERBOSE": 1, b"LOG_NOTICE": 2, b"LOG_WARNING": 3}
REPL_FLAGS: Final = {b"REPL_NONE": 0, b"REPL_AOF": 1, b"REPL_SLAVE": 2, b"REPL_REPLICA": 2, b"REPL_ALL": 3}


class Commands(Protocol):
    """What carries out what a script asks for."""

    def call(self, words: list[bytes]) -> Reply:
        """Runs a command. Raises `CallError` for one that scripts may not call; other exceptions end the script."""

    def log(self, level: int, message: bytes) -> None:
        """A line for the server's log."""

    def is_known(self, words: list[bytes]) -> bool:
        """Whether such a command may be called, for `redis.acl_check_cmd`. Raises `CallError` where there is none."""

    def is_due(self) -> bool:
        """Whether the script is to end. Called every 100,000 instructions."""

    def seed(self) -> int:
        """Where the random numbers of a script begin that names no seed, below 2**32."""


class _Ends(Exception):
    """Passes through Lua; what it stands for is in `_failure`."""


class Runtime:
    """A Lua with the globals of scripts. To be used by one thread at a time."""

    def __init__(self, version: str, memory_max: int = MEMORY_MAX) -> None:
        self._memory_max = self._limit = memory_max
        self._tidy_bytes = min(TIDY_BYTES, memory_max // 4)
        self._headroom = min(HEADROOM, memory_max // 8)
        self._lua: Any = lua51.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_no_attribute,
            unpack_returned_tuples=True,
            max_memory=memory_max,
        )
        self._used: Any = self._lua.get_memory_used
        self._idle_memory = 0  # that it took when it was last used
        # Each table that is passed to Python has an entry in a table of lupa's, which is not to grow when there may be
        # no room for it: as many as a call may have arguments.
        entries = [self._lua.table() for _ in range(ARGUMENTS_MAX)]
        entries.clear()
        self._commands: Commands | None = None
        self._failure: BaseException | None = None
        self._resp3 = False
        self._functions: dict[bytes, Function] | None = None  # of the library that is loaded just now
        self._scripts: dict[bytes, Any] = {}
        self.libraries: Any = None  # `keyp.scripting.libraries.Libraries`, for who compiles them
        major, minor, patch = [int(part) for part in version.split(".")]
        api: dict[bytes, Any] = {
            b"call": self._call,
            b"pcall": self._pcall,
            b"error_reply": self._with_room(self._error_reply),
            b"status_reply": self._with_room(self._status_reply),
            b"sha1hex": self._with_room(_sha1hex),
            b"log": self._with_room(self._log),
            b"setresp": self._with_room(self._setresp),
            b"set_repl": self._with_room(_set_repl),
            b"acl_check_cmd": self._with_room(self._acl_check_cmd),
            b"replicate_commands": _replicate_commands,
            b"breakpoint": _breakpoint,
            b"debug": _nothing,
            b"register_function": self._with_room(self._register_function),
            b"REDIS_VERSION": version.encode(),
            b"REDIS_VERSION_NUM": major << 16 | minor << 8 | patch,
            **LOG_LEVELS,
            **REPL_FLAGS,
        }
        host: dict[bytes, Any] = {
            b"is_due": self._is_due,
            b"describe": self._describe,
            b"seed": self._seed,
            b"ended_at": self._ended_at,
            b"is_resp3": self._is_resp3,
            b"make_room": self._make_room_for_reply,
        }
        libraries: dict[bytes, Any] = {
            name: {function: self._with_room(python) for function, python in functions.items()}
            for name, functions in ((b"bit", binary.BIT), (b"struct", binary.STRUCT), (b"doubles", binary.DOUBLES))
        }
        chunks = [self._chunk(name) for name in ("cjson", "cmsgpack", "random", "replies", "sandbox")]
        binaries = self._lua.table_from(libraries, recursive=True)
        opened = chunks[-1](*chunks[:-1], *[self._lua.table_from(table) for table in (host, api)], binaries)
        self._run, self._run_function, self._compile, self._load_library, self._forget = opened

    def _chunk(self, name: str) -> Any:
        """A file of ours, as the function that it is. Its name in Lua says that it is no script."""
        load = self._lua.eval("function(text) return loadstring(text, '=keyp') end")
        chunk = load((LUA_FILES / f"{name}.lua").read_bytes())
        assert not isinstance(chunk, tuple), chunk
        return chunk

    @property
    def memory(self) -> int:
        """Bytes that it takes."""
        used: int = self._used()
        return used

    # Running.

    def compile(self, script: Script) -> Any:
        """The function that a script is. Raises `CommandError` where it is none."""
        found = self._scripts.get(script.sha)
        if found is not None:
            return found
        code = script.code()
        self._prepare(len(code) * 2)
        try:
            compiled = self._compile(code, b"@user_script")
        except lua51.LuaMemoryError:
            compiled = (None, b"not enough memory")
        self._tidy()
        if isinstance(compiled, tuple):
            raise CommandError(f"ERR Error compiling script (new function): {one_line(compiled[1])}")
        if len(self._scripts) >= COMPILED_MAX:
            del self._scripts[next(iter(self._scripts))]
        self._scripts[script.sha] = compiled
        return compiled

    def run(self, script: Any, keys: list[bytes], rest: list[bytes], commands: Commands) -> Reply:
        """Runs what `compile` has given. Raises `ScriptFailed`, `Killed`, or what a call has raised."""
        return self._guarded(self._run, script, keys, rest, commands)

    def call(self, callback: Any, keys: list[bytes], rest: list[bytes], commands: Commands) -> Reply:
        """Calls a function of a library. Raises as `run`."""
        return self._guarded(self._run_function, callback, keys, rest, commands)

    def _guarded(self, entry: Any, function: Any, keys: list[bytes], rest: list[bytes], commands: Commands) -> Reply:
        self._begin(commands)
        size = 0
        for word in keys:
            size += len(word)
        for word in rest:
            size += len(word)
        if self._idle_memory + size + self._headroom > self._limit:
            self._prepare(size)
        try:
            if not rest and len(keys) == 1:
                outcome = entry(function, 1, keys[0])
            elif len(keys) + len(rest) <= UNPACKED_MAX:
                outcome = entry(function, len(keys), *keys, *rest)
            else:
                outcome = entry(function, -1, self._lua.table_from(keys), self._lua.table_from(rest))
            if self._failure is not None:
                raise self._failure
            return self._result(outcome)
        except lua51.LuaMemoryError:
            raise self._failure or ScriptFailed(NO_MEMORY) from None
        except lua51.LuaError as error:
            raise self._failure or ScriptFailed(f"ERR {error}".partition("\n")[0]) from None
        finally:
            self._commands = self._failure = None
            self._tidy()

    def _begin(self, commands: Commands) -> None:
        """Forgets the last run. In a method, so that no type checker takes the failure for None while Lua runs."""
        self._commands, self._failure, self._resp3 = commands, None, False

    def _result(self, outcome: Any) -> Reply:
        if isinstance(outcome, (bytes, int)):
            return outcome
        if isinstance(outcome, float):
            return whole(outcome)
        if not isinstance(outcome, tuple):
            return FlatList(list(outcome.values())).reply()
        if outcome[0]:
            return FlatList(outcome[1:]).reply()
        raise ScriptFailed(one_line(outcome[1]), one_line(outcome[2]), outcome[3])

    def load_library(self, code: bytes, commands: Commands) -> dict[bytes, Function]:
        """Runs a library, which registers its functions. Raises `CommandError`."""
        self._begin(commands)
        self._functions = {}
        self._prepare(len(code) * 2)
        try:
            outcome = self._load_library(code)
            if self._failure is not None:
                raise self._failure
            if isinstance(outcome, tuple):
                what, text = one_line(outcome[1] or b""), one_line(outcome[-1])
                if not what and len(outcome) == 3:
                    raise CommandError(f"ERR Error compiling function: {text}")
                raise CommandError(f"ERR Error registering functions: {text}")
            return self._functions
        except Killed:
            raise CommandError("ERR Error registering functions: ERR FUNCTION LOAD timeout") from None
        except lua51.LuaError:
            raise self._failure or CommandError("ERR Error registering functions: not enough memory") from None
        finally:
            self._commands = self._failure = self._functions = None
            self._tidy()

    # Memory.

    def _prepare(self, size: int) -> None:
        """There is to be room for `size` bytes before the script begins."""
        if not self._has_room(size):
            self._extend(size)

    def _has_room(self, size: int) -> bool:
        """Whether there is room for `size` bytes and some more, perhaps after the garbage has gone."""
        if self._used() + size + self._headroom <= self._limit:
            return True
        self._lua.gccollect()
        used: int = self._used()
        return used + size + self._headroom <= self._limit

    def _extend(self, size: int) -> None:
        """Gives more memory than a script has, until `_tidy`."""
        self._limit = self._used() + size + 2 * self._headroom
        self._lua.set_max_memory(self._limit)

    def _tidy(self) -> None:
        used: int = self._used()
        if used > self._tidy_bytes:
            self._forget()
            self._lua.gccollect()
            used = self._used()
        self._idle_memory = used
        if self._limit != self._memory_max:
            self._limit = self._memory_max
            self._lua.set_max_memory(self._limit)

    def _make_room(self, size: int) -> None:
        """There is to be room for `size` bytes that Python pushes; where there is none the script ends."""
        if not self._has_room(size):
            self._extend(size)
            raise self._end(ScriptFailed(NO_MEMORY))

    def _with_room(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, called only where there is room for what it returns, or for the error that it raises."""

        def call(*args: Any) -> Any:
            if self._failure is not None:
                raise _Ends()
            if self._used() + self._headroom > self._limit:
                self._make_room(0)
            result = function(*args)
            if isinstance(result, (bytes, tuple)):
                self._make_room(_size(result))
            return result

        return call

    def _describe(self, exception: Any) -> tuple[bytes, bool]:
        """The text of an error that a script may see, and whether the script is to end without seeing it."""
        if isinstance(exception, CallError) and self._has_room(len(exception.text)):
            return exception.text.encode("latin-1", "replace"), False
        if self._failure is None:
            is_defect = isinstance(exception, Exception) and not isinstance(exception, (CallError, *NO_ROOM))
            self._failure = exception if is_defect else ScriptFailed(NO_MEMORY)
        self._extend(0)
        return b"", True

    def _make_room_for_reply(self) -> None:
        self._make_room(0)

    def _end(self, failure: BaseException) -> Exception:
        if self._failure is None:
            self._failure = failure
        return _Ends()

    # What scripts call.

    def _call(self, *args: Any) -> Any:
        reply = self._reply_to(args)
        if isinstance(reply, bytes):
            if len(reply) < SMALL_BYTES:
                return reply
        elif isinstance(reply, int):
            return int(reply) if isinstance(reply, bool) and not self._resp3 else reply
        elif isinstance(reply, str):
            return self._lua.table_from({b"ok": reply.encode("latin-1", "replace")})
        if isinstance(reply, ReplyError):
            raise CallError(reply.text)
        return self._pushed(reply)

    def _pcall(self, *args: Any) -> Any:
        try:
            reply = self._reply_to(args)
        except CallError as error:
            reply = ReplyError(error.text)
        if isinstance(reply, ReplyError):
            return self._lua.table_from(
                {b"err": reply.text.encode("latin-1", "replace"), b"ignore_error_stats_update": True}
            )
        return self._pushed(reply)

    def _reply_to(self, args: tuple[Any, ...]) -> Reply:
        if self._failure is not None:
            raise _Ends()
        if self._used() + self._headroom > self._limit:
            self._make_room(0)
        if not args:
            raise CallError("ERR Please specify at least one argument for this redis lib call")
        words = [arg if isinstance(arg, bytes) else argument(arg) for arg in args]
        commands = self._commands
        assert commands is not None
        try:
            return commands.call(words)
        except CallError:
            raise
        except BaseException as failure:
            raise self._end(failure) from None

    def _pushed(self, reply: Reply) -> Any:
        value = to_lua(reply, self._resp3)
        if isinstance(value, (bytes, list, dict)):
            self._make_room(size_in_lua(value))
            if not isinstance(value, bytes):
                try:
                    return self._lua.table_from(value, recursive=_is_nested(value))
                except lua51.LuaError as error:
                    raise self._end(error) from None
        return value

    def _error_reply(self, *args: Any) -> Any:
        if len(args) != 1 or not isinstance(args[0], bytes):
            return self._lua.table_from({b"err": b"ERR wrong number or type of arguments"})
        text = args[0].removeprefix(b"-")
        return self._lua.table_from({b"err": text if b" " in text else b"ERR " + text})

    def _status_reply(self, *args: Any) -> Any:
        if len(args) != 1 or not isinstance(args[0], bytes):
            return self._lua.table_from({b"err": b"ERR wrong number or type of arguments"})
        return self._lua.table_from({b"ok": args[0]})

    def _log(self, *args: Any) -> None:
        if len(args) < 2:
            raise CallError("ERR redis.log() requires two arguments or more.")
        level = args[0]
        if isinstance(level, bool) or not isinstance(level, (int, float)):
            raise CallError("ERR First argument must be a number (log level).")
        if not 0 <= level <= 3:
            raise CallError("ERR Invalid debug level.")
        words = [as_text(arg) for arg in args[1:]]
        if self._commands is not None:
            self._commands.log(int(level), b" ".join([word for word in words if word is not None]))

    def _setresp(self, *args: Any) -> None:
        if len(args) != 1:
            raise CallError("ERR redis.setresp() requires one argument.")
        version = as_text(args[0])
        if version not in (b"2", b"3"):
            raise CallError("ERR RESP version must be 2 or 3.")
        self._resp3 = version == b"3"

    def _is_resp3(self) -> bool:
        return self._resp3

    def _acl_check_cmd(self, *args: Any) -> bool:
        if not args:
            raise CallError("ERR Please specify at least one argument for this redis lib call")
        assert self._commands is not None
        return self._commands.is_known([argument(arg) for arg in args])

    def _is_due(self) -> bool:
        if self._commands is not None and self._failure is None:
            try:
                if self._commands.is_due():
                    self._failure = Killed()
            except BaseException as failure:
                self._failure = failure
        return self._failure is not None

    def _seed(self) -> int:
        return 0 if self._commands is None else self._commands.seed()

    def _ended_at(self, source: bytes, line: int) -> None:
        if isinstance(self._failure, Killed):
            self._failure.source, self._failure.line = one_line(source), line

    def _register_function(self, *args: Any) -> None:
        functions = self._functions
        if functions is None:
            raise CallError("ERR redis.register_function can only be called on FUNCTION LOAD command")
        self._make_room(0)
        function = function_of(args)
        if function.name in functions:
            raise CallError("ERR Function already exists in the library")
        functions[function.name] = function


def _is_nested(value: Any) -> bool:
    """Whether there are lists or dicts in a list or a dict."""
    items = value.values() if isinstance(value, dict) else value
    return any(isinstance(item, (list, dict)) for item in items)


def _size(result: bytes | tuple[Any, ...]) -> int:
    """About how many bytes a result takes that is pushed item by item."""
    if isinstance(result, bytes):
        return len(result)
    return sum([len(item) for item in result if isinstance(item, bytes)])


def _sha1hex(*args: Any) -> bytes:
    if len(args) != 1:
        raise CallError("ERR wrong number of arguments")
    return digest(as_text(args[0]) or b"")


def _set_repl(*args: Any) -> None:
    """There is nobody to replicate to; the arguments are looked at all the same."""
    if len(args) != 1:
        raise CallError("ERR redis.set_repl() requires two arguments.")
    flags = args[0]
    if isinstance(flags, bool) or not isinstance(flags, (int, float)) or flags not in REPL_FLAGS.values():
        raise CallError("ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")


def _replicate_commands(*args: Any) -> bool:
    return True


def _breakpoint(*args: Any) -> bool:
    return False


def _nothing(*args: Any) -> None:
    """There is no debugger to tell."""


def _no_attribute(value: Any, name: Any, is_setting: bool) -> Any:
    raise AttributeError("scripts have no way into Python")
