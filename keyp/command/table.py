"""How a command is defined: once, in one block, in the file of its family.

    STRINGS = CommandTable(group="string")

    @STRINGS.write("APPEND", arity=3, keys=key_at(1, "RW insert"), flags=FAST | DENYOOM, since="2.0.0",
                   syntax="key value", summary="Adds bytes to the end of a string.")
    def append(context: WriteContext, args: Args) -> Reply: ...

The decorators record and return the function unchanged. `.read` takes only functions of a `ReadContext`, `.write` only
of a `WriteContext`, `.session` only of a `SessionContext`, so the type checker proves that a read writes nothing and
that neither of them knows the client. Everything else - the arity check, COMMAND and its documentation, key extraction,
the route a batch takes, the README's table, the tests that every command must pass - derives from these blocks.

A subcommand is a block of its own, named `CLIENT|ID`; the word before the bar is its container.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from keyp.command.context import ReadContext, SessionContext, WriteContext
from keyp.command.spec import LOADING, READ, SESSION, STALE, WRITE, Args, ChannelSpec, CommandSpec, KeySpec
from keyp.resp.values import Reply

ReadFunction: TypeAlias = Callable[[ReadContext, Args], Reply]
WriteFunction: TypeAlias = Callable[[WriteContext, Args], Reply]
SessionFunction: TypeAlias = Callable[[SessionContext, Args], Reply]


HELP_OF_HELP: Final = ("HELP", "    Print this help.")


class CommandTable:
    """The commands of one family. `group` is the word COMMAND DOCS uses; `categories` go to each of its commands."""

    def __init__(self, group: str, categories: str = "") -> None:
        self.group = group
        self.categories = categories
        self.specs: list[CommandSpec] = []

    def read(self, name: str, **about: Any) -> Callable[[ReadFunction], ReadFunction]:
        """Records a command that only reads. Keywords as in `_record`."""

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

    def container(
        self, name: str, has_help: bool = True, help_text: tuple[str, ...] = (), help_since: str = "", **about: Any
    ) -> None:
        """Records a word that only introduces subcommands, and its HELP if it has one; give it before them."""
        self._record(name, SESSION, None, **about)
        if has_help:
            self.help_for(name, help_text, help_since)

    def help_for(self, name: str, text: tuple[str, ...] = (), since: str = "") -> None:
        """Records `NAME HELP`, which lists the subcommands of the word recorded last.

        `text` has the lines between the first and the last two, where they are not made of the subcommands' blocks.
        `since` says since when, if HELP is newer than the word.
        """
        container = self.specs[-1]

        def help_(context: SessionContext, args: Args) -> Reply:
            return help_lines(container, text)

        self._record(
            f"{name}|HELP",
            SESSION,
            help_,
            arity=2,
            since=since or container.since,
            flags=LOADING | STALE,
            summary="Lists the subcommands.",
        )

    def _record(
        self,
        name: str,
        access: int,
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
        secrets: Callable[[Args], list[int]] | None = None,
        channels: ChannelSpec | None = None,
    ) -> None:
        """`secrets` gives the indexes of passwords in a call, which are never shown."""
        given = self.categories if categories is None else categories
        self.specs.append(
            CommandSpec(
                name, self.group, access, function, arity, keys, flags, since, summary, syntax, complexity, given, tips,
                aliases, secrets, channels,
            )
        )  # fmt: skip


def help_lines(container: CommandSpec, text: tuple[str, ...] = ()) -> list[str]:
    """What `CONTAINER HELP` replies: `text`, or a line of syntax and one of explanation for each subcommand."""
    lines = [f"{container.name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    if text:
        return [*lines, *text, *HELP_OF_HELP]
    if container.function is not None:
        lines += ["(no subcommand)", f"    {container.summary}"]
    for name, spec in container.subcommands.items():
        if name != b"HELP":
            lines += [f"{name.decode()} {spec.syntax}".rstrip(), f"    {spec.summary}"]
    return [*lines, *HELP_OF_HELP]
