"""What there is to know of a command, said once, in the block that defines it.

    STRINGS = CommandTable(group="string")

    @STRINGS.write("APPEND", arity=3, keys=key_at(1, "RW insert"), flags=FAST | DENYOOM, since="2.0.0",
                   syntax="key value", summary="Adds bytes to the end of a string.")
    def append(context: WriteContext, args: Args) -> Reply: ...

The decorators record and return the function unchanged. `.read` takes only functions of a `ReadContext`, `.write`
only of a `WriteContext`, `.session` only of a `SessionContext`, so the type checker proves that a read writes nothing
and that neither of them knows who is asking. Everything else - the arity check, COMMAND and its documentation, key
extraction, the route a batch takes, the README's table, the tests that every command must pass - derives from these
blocks.

A subcommand is a block of its own, named `CLIENT|ID`; the word before the bar is its container, made with
`CommandTable.container`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias, TypeVar

from keyp.commands.context import ReadContext, SessionContext, WriteContext
from keyp.errors import CommandError, printable, unknown_command, wrong_arity
from keyp.resp.values import Reply

Args: TypeAlias = list[bytes]  # the whole request: args[0] is the command's name

# What a command may touch.
READ: Final = 0
WRITE: Final = 1
SESSION: Final = 2

# Flags, as COMMAND INFO names them …
DENYOOM: Final = 1 << 0
ADMIN: Final = 1 << 1
PUBSUB: Final = 1 << 2
NOSCRIPT: Final = 1 << 3
BLOCKING: Final = 1 << 4
LOADING: Final = 1 << 5
STALE: Final = 1 << 6
SKIP_MONITOR: Final = 1 << 7
SKIP_SLOWLOG: Final = 1 << 8
FAST: Final = 1 << 9
NO_AUTH: Final = 1 << 10
MAY_REPLICATE: Final = 1 << 11
NO_MULTI: Final = 1 << 12
MOVABLEKEYS: Final = 1 << 13
ALLOW_BUSY: Final = 1 << 14
NO_ASYNC_LOADING: Final = 1 << 15
PROTECTED: Final = 1 << 16
# … and our own: the work grows with the database, so it does not run on the reactor's thread.
WALKS: Final = 1 << 20

FLAG_NAMES: Final = (
    (DENYOOM, "denyoom"),
    (ADMIN, "admin"),
    (PUBSUB, "pubsub"),
    (NOSCRIPT, "noscript"),
    (BLOCKING, "blocking"),
    (LOADING, "loading"),
    (STALE, "stale"),
    (SKIP_MONITOR, "skip_monitor"),
    (SKIP_SLOWLOG, "skip_slowlog"),
    (FAST, "fast"),
    (NO_AUTH, "no_auth"),
    (MAY_REPLICATE, "may_replicate"),
    (NO_MULTI, "no_multi"),
    (MOVABLEKEYS, "movablekeys"),
    (ALLOW_BUSY, "allow_busy"),
    (NO_ASYNC_LOADING, "no_async_loading"),
)


class KeySpec:
    """Where keys stand among the arguments, and what is done with them.

    From argument `begin` to `last` (counted from `begin`; negative: from the end, -1 is the last one), each `step`.
    `flags` are the reference's words: RO, RW, OW or RM, then access, update, insert or delete.
    """

    def __init__(self, begin: int, last: int, step: int, flags: str) -> None:
        self.begin = begin
        self.last = last
        self.step = step
        self.flags = flags

    def positions(self, count: int) -> range:
        """The indexes of the keys in a call of `count` arguments."""
        last = self.begin + self.last if self.last >= 0 else count + self.last
        return range(self.begin, min(last, count - 1) + 1, self.step)


def key_at(position: int, flags: str) -> tuple[KeySpec, ...]:
    """One key, the argument at `position` (the command's name is 0)."""
    return (KeySpec(position, 0, 1, flags),)


def keys_from(position: int, flags: str, step: int = 1) -> tuple[KeySpec, ...]:
    """Every `step`-th argument from `position` on."""
    return (KeySpec(position, -1, step, flags),)


class CommandSpec:
    """Everything about one command or subcommand. `function` is None for a container."""

    def __init__(
        self,
        name: str,
        group: str,
        kind: int,
        function: Callable[[Any, Args], Reply] | None,
        arity: int,
        keys: tuple[KeySpec, ...],
        flags: int,
        since: str,
        summary: str,
        syntax: str,
        complexity: str,
        categories: str,
        tips: tuple[str, ...],
        aliases: tuple[str, ...],
    ) -> None:
        self.name = name
        self.group = group
        self.kind = kind
        self.function = function
        self.arity = arity
        self.keys = keys
        self.flags = flags
        self.since = since
        self.summary = summary
        self.syntax = syntax
        self.complexity = complexity
        self.categories = categories
        self.tips = tips
        self.aliases = aliases
        self.full_name = name.lower()
        self.subcommands: dict[bytes, CommandSpec] = {}
        self.is_write = kind == WRITE
        self.walks = bool(flags & WALKS)

    def __repr__(self) -> str:
        return f"<command {self.full_name}>"

    def accepts(self, count: int) -> bool:
        """Whether a call of `count` arguments, the name counted, fits the arity."""
        return count == self.arity if self.arity >= 0 else count >= -self.arity


ReadFunction = Callable[[ReadContext, Args], Reply]
WriteFunction = Callable[[WriteContext, Args], Reply]
SessionFunction = Callable[[SessionContext, Args], Reply]
F = TypeVar("F", bound=Callable[..., Any])


class CommandTable:
    """The commands of one family. `group` is the word COMMAND DOCS uses; `categories` go to each of its commands."""

    def __init__(self, group: str, categories: str = "") -> None:
        self.group = group
        self.categories = categories
        self.specs: list[CommandSpec] = []

    def read(self, name: str, **about: Any) -> Callable[[ReadFunction], ReadFunction]:
        """Records a command that only looks. Keywords as in `_record`."""

        def record(function: ReadFunction) -> ReadFunction:
            self._record(name, READ, function, **about)
            return function

        return record

    def write(self, name: str, **about: Any) -> Callable[[WriteFunction], WriteFunction]:
        """Records a command that changes data. Keywords as in `_record`."""

        def record(function: WriteFunction) -> WriteFunction:
            self._record(name, WRITE, function, **about)
            return function

        return record

    def session(self, name: str, **about: Any) -> Callable[[SessionFunction], SessionFunction]:
        """Records a command about the connection or the server. Keywords as in `_record`."""

        def record(function: SessionFunction) -> SessionFunction:
            self._record(name, SESSION, function, **about)
            return function

        return record

    def container(self, name: str, **about: Any) -> None:
        """Records a word that only introduces subcommands; give it before them."""
        self._record(name, SESSION, None, **about)

    def _record(
        self,
        name: str,
        kind: int,
        function: Callable[[Any, Args], Reply] | None,
        *,
        arity: int,
        since: str,
        summary: str,
        syntax: str = "",
        complexity: str = "O(1)",
        keys: tuple[KeySpec, ...] = (),
        flags: int = 0,
        categories: str | None = None,
        tips: tuple[str, ...] = (),
        aliases: tuple[str, ...] = (),
    ) -> None:
        given = self.categories if categories is None else categories
        self.specs.append(
            CommandSpec(
                name, self.group, kind, function, arity, keys, flags, since, summary, syntax, complexity, given, tips,
                aliases,
            )
        )  # fmt: skip


class Registry:
    """All commands of a server, found by name without regard to case."""

    def __init__(self, tables: list[CommandTable]) -> None:
        self.specs: list[CommandSpec] = []
        self._by_name: dict[bytes, CommandSpec] = {}
        for table in tables:
            for spec in table.specs:
                self._add(spec)

    def _add(self, spec: CommandSpec) -> None:
        container, bar, word = spec.name.partition("|")
        if bar:
            self._by_name[container.encode()].subcommands[word.encode()] = spec
            return
        self.specs.append(spec)
        for name in (spec.name, *spec.aliases):
            self._by_name[name.encode()] = spec
            self._by_name[name.lower().encode()] = spec

    def __len__(self) -> int:
        return len(self.specs)

    def __iter__(self) -> Iterator[CommandSpec]:
        return iter(self.specs)

    def get(self, name: bytes) -> CommandSpec | None:
        """The command or container of that name, None where there is none."""
        return self._by_name.get(name) or self._by_name.get(name.upper())

    def get_full(self, name: bytes) -> CommandSpec | None:
        """The command, container or `container|subcommand` of that name."""
        word, bar, rest = name.partition(b"|")
        spec = self.get(word)
        return spec.subcommands.get(rest.upper()) if spec is not None and bar else spec

    def resolve(self, args: Args) -> CommandSpec:
        """The command that a request calls. Raises the reference's error for an unknown one or a wrong arity."""
        spec = self.get(args[0])
        if spec is None:
            raise unknown_command(args)
        if spec.subcommands and len(args) > 1:
            found = spec.subcommands.get(args[1].upper())
            if found is None:
                name = spec.name.upper()
                raise CommandError(f"ERR unknown subcommand '{printable(args[1][:128])}'. Try {name} HELP.")
            spec = found
        if not spec.accepts(len(args)):
            raise wrong_arity(spec.full_name)
        return spec
