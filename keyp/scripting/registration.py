"""What a library says of its functions: the arguments of `redis.register_function`."""

from __future__ import annotations

from typing import Any

from lupa import lua51

from keyp.scripting.binary import number_text
from keyp.scripting.errors import CallError
from keyp.scripting.script import BAD_NAME, FLAG_NAMES, NAME


class Function:
    """A function of a library: its name, what it calls, and what was said of it."""

    def __init__(self, name: bytes, callback: Any, flags: list[bytes], description: bytes | None) -> None:
        self.name = name
        self.callback = callback
        self.flags = flags
        self.description = description
        self.is_read_only = b"no-writes" in flags


def function_of(args: tuple[Any, ...]) -> Function:
    """The function that the arguments of `redis.register_function` describe. Raises `CallError`."""
    if len(args) == 1:
        return _named(args[0])
    if len(args) != 2:
        raise CallError("ERR wrong number of arguments to redis.register_function")
    name = as_text(args[0])
    if name is None:
        raise CallError("ERR first argument to redis.register_function must be a string")
    if lua51.lua_type(args[1]) != "function":
        raise CallError("ERR second argument to redis.register_function must be a function")
    return _checked(Function(name, args[1], [], None))


def _named(table: Any) -> Function:
    if lua51.lua_type(table) != "table":
        raise CallError(
            "ERR calling redis.register_function with a single argument is only applicable to Lua table "
            "(representing named arguments)."
        )
    name: bytes | None = None
    callback: Any = None
    flags: list[bytes] = []
    description: bytes | None = None
    for key, value in table.items():
        if key == b"function_name":
            name = as_text(value)
            if name is None:
                raise CallError("ERR function_name argument given to redis.register_function must be a string")
        elif key == b"description":
            description = as_text(value)
            if description is None:
                raise CallError("ERR description argument given to redis.register_function must be a string")
        elif key == b"callback":
            if lua51.lua_type(value) != "function":
                raise CallError("ERR callback argument given to redis.register_function must be a function")
            callback = value
        elif key == b"flags":
            flags = _flags(value)
        elif as_text(key) is not None:
            raise CallError("ERR unknown argument given to redis.register_function")
        else:
            raise CallError("ERR named argument key given to redis.register_function is not a string")
    if name is None:
        raise CallError("ERR redis.register_function must get a function name argument")
    if callback is None:
        raise CallError("ERR redis.register_function must get a callback argument")
    return _checked(Function(name, callback, flags, description))


def _flags(table: Any) -> list[bytes]:
    if lua51.lua_type(table) != "table":
        raise CallError("ERR flags argument to redis.register_function must be a table representing function flags")
    flags = list(table.values())
    if any(flag not in FLAG_NAMES for flag in flags):
        raise CallError("ERR unknown flag given")
    return [flag for flag in FLAG_NAMES if flag in flags]


def _checked(function: Function) -> Function:
    if not NAME.fullmatch(function.name):
        raise CallError(BAD_NAME)
    return function


def as_text(value: Any) -> bytes | None:
    """A string, or a number as Lua writes it; None for all else."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number_text(value)
    return None
