"""What a target of the fuzzer is: a function that is given bytes, and raises where a promise is broken."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Run = Callable[[bytes], None]


class Target:
    """A target by the name `name`: what the function `maker` in the module `module` makes.

    `weight` is how large its part of a campaign's inputs is, `max_bytes` how long an input may be, `words` what is
    often of use in it.
    """

    def __init__(
        self, name: str, module: str, maker: str, weight: int, max_bytes: int, words: tuple[bytes, ...] = ()
    ) -> None:
        self.name = name
        self.module = module
        self.maker = maker
        self.weight = weight
        self.max_bytes = max_bytes
        self.words = words

    def load(self) -> Callable[[Path], Run]:
        """The maker: it gets an empty directory and gives the function.

        This imports of Keyp what the target needs, so who wants that instrumented does it around this call.
        """
        module: Any = import_module(f"tests.fuzz.{self.module}")
        maker: Callable[[Path], Run] = getattr(module, self.maker)
        return maker
