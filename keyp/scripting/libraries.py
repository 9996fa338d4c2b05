"""The libraries of functions as one runtime has compiled them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from keyp.errors import CommandError
from keyp.scripting.registration import Function
from keyp.scripting.runtime import Commands, Runtime
from keyp.scripting.script import read_library

NO_FUNCTIONS: Final = "ERR No functions registered"


class Library:
    """A library: its name, its text, and its functions by name."""

    def __init__(self, name: bytes, text: bytes, functions: dict[bytes, Function]) -> None:
        self.name = name
        self.text = text
        self.functions = functions


class Libraries:
    """All libraries, as of one digest (`keyp.storage.function_libraries`), and the functions by lower-case name."""

    def __init__(self, digest: bytes) -> None:
        self.digest = digest
        self.by_name: dict[bytes, Library] = {}
        self.functions: dict[bytes, Function] = {}

    def add(self, library: Library) -> None:
        """Adds a library. Raises `CommandError` where one of its functions is another's."""
        for name in library.functions:
            if name.lower() in self.functions:
                raise CommandError(f"ERR Function {name.decode()} already exists")
        self.by_name[library.name] = library
        for name, function in library.functions.items():
            self.functions[name.lower()] = function

    def remove(self, name: bytes) -> None:
        """Removes a library, if it is there."""
        library = self.by_name.pop(name, None)
        if library is not None:
            for function in library.functions:
                self.functions.pop(function.lower(), None)

    def copy(self) -> Libraries:
        """Others, which can be changed without these."""
        copy = Libraries(self.digest)
        copy.by_name, copy.functions = dict(self.by_name), dict(self.functions)
        return copy


def compile_library(runtime: Runtime, text: bytes, commands: Commands) -> Library:
    """The library of a text, which may ask `commands` for little while it is loaded. Raises `CommandError`."""
    name, code = read_library(text)
    functions = runtime.load_library(code, commands)
    if not functions:
        raise CommandError(NO_FUNCTIONS)
    return Library(name, text, functions)


def compile_all(
    runtime: Runtime, digest: bytes, texts: Iterable[bytes], before: Libraries, commands: Commands
) -> Libraries:
    """The libraries of these texts, those of them that have not changed as they are in `before`."""
    libraries = Libraries(digest)
    known = {library.text: library for library in before.by_name.values()}
    for text in texts:
        libraries.add(known.get(text) or compile_library(runtime, text, commands))
    return libraries
