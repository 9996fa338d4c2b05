"""All commands of a server, found by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from keyp.command.spec import Args, CommandSpec
from keyp.errors import CommandError, printable, unknown_command, wrong_arity


class Table(Protocol):
    """What the registry takes commands from (`CommandTable`)."""

    specs: list[CommandSpec]


class Registry:
    """All commands of a server, found by name without regard to case."""

    def __init__(self, tables: Sequence[Table]) -> None:
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

    def rename(self, old: bytes, new: bytes) -> None:
        """Gives a command or container another name, which clients have to call it by; without one nobody can call it.

        Rules of users and descriptions go on to use the old one, as in Redis. Raises `ValueError` for an unknown `old`
        and a `new` that is another command's.
        """
        spec = self.get(old)
        if spec is None:
            raise ValueError(f"there is no command {printable(old)}")
        if new and self.get(new) is not None:
            raise ValueError(f"there is a command {printable(new)} already")
        self._by_name = {name: known for name, known in self._by_name.items() if name.upper() != old.upper()}
        if new:
            self._by_name[new.upper()] = self._by_name[new.lower()] = spec

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

    def find(self, args: Args) -> CommandSpec | None:
        """The command or subcommand that a request names, None where there is none; its arity is not looked at.

        It is the container itself where there is no word behind it.
        """
        spec = self._by_name.get(args[0])
        if spec is not None and not spec.subcommands:
            return spec  # the usual call, without detours
        spec = self.get(args[0])
        if spec is not None and spec.subcommands and len(args) > 1:
            return spec.subcommands.get(args[1].upper())
        return spec

    def resolve(self, args: Args) -> CommandSpec:
        """The command that a request calls. Raises Redis's error for an unknown one or a wrong arity."""
        spec = self._by_name.get(args[0])
        if spec is not None and not spec.subcommands and spec.least_count <= len(args) <= spec.most_count:
            return spec  # the usual call, without detours
        spec = self.find(args)
        if spec is None:
            container = self.get(args[0])
            if container is None:
                raise unknown_command(args)
            word = printable(args[1][:128])
            raise CommandError(f"ERR unknown subcommand '{word}'. Try {container.name} HELP.")
        if not spec.accepts(len(args)):
            raise wrong_arity(spec.full_name)
        return spec
