"""The libraries of functions as the transaction of a call shows them, compiled by the runtime that the call has."""

from __future__ import annotations

from typing import Final

from keyp.command.context import SessionContext
from keyp.command.effects import LogLine
from keyp.command.script_calls import MILLISECOND_NS, NOT_ALLOWED
from keyp.resp.values import Reply
from keyp.scripting.errors import CallError
from keyp.scripting.libraries import Libraries, compile_all
from keyp.scripting.runtime import Runtime
from keyp.storage import function_libraries

LOAD_MAX_MS: Final = 500  # that a library may take to be loaded


class LibraryLoad:
    """What a library may do while it is loaded: log, and that not for long."""

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._end_ns = context.nanoseconds() + LOAD_MAX_MS * MILLISECOND_NS

    def call(self, words: list[bytes]) -> Reply:
        """See `Commands`: libraries have no `redis.call` yet."""
        raise CallError(NOT_ALLOWED)

    def log(self, level: int, message: bytes) -> None:
        """See `Commands`."""
        self._context.after(LogLine(level, message.decode("utf-8", "replace")))

    def is_known(self, words: list[bytes]) -> bool:
        """See `Commands`: nor `redis.acl_check_cmd`."""
        raise CallError(NOT_ALLOWED)

    def is_due(self) -> bool:
        """See `Commands`."""
        return self._context.nanoseconds() > self._end_ns

    def seed(self) -> int:
        """See `Commands`: nor `math`."""
        return 0


def libraries_of(context: SessionContext, runtime: Runtime) -> Libraries:
    """All libraries. Raises `CommandError` where one of them does not compile any more."""
    transaction, scripts = context.data.transaction, context.server.scripts
    digest = function_libraries.digest(transaction)
    libraries: Libraries | None = runtime.libraries
    if libraries is None or libraries.digest != digest:
        texts = function_libraries.texts(transaction)
        libraries = compile_all(runtime, digest, texts, libraries or Libraries(b""), LibraryLoad(context))
        runtime.libraries = libraries
    if scripts.libraries_digest != digest:
        scripts.note_libraries(libraries)
    return libraries
