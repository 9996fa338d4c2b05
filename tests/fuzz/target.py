"""What a target of the fuzzer is: a function that is given bytes, and raises where a promise is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

Run = Callable[[bytes], None]


class Target:
    """A target by the name `name`.

    `make` gets an empty directory and gives the function. `weight` is how large its part of a campaign's inputs is,
    `max_bytes` how long an input may be, `words` what is often of use in it.
    """

    def __init__(
        self, name: str, make: Callable[[Path], Run], weight: int, max_bytes: int, words: tuple[bytes, ...] = ()
    ) -> None:
        self.name = name
        self.make = make
        self.weight = weight
        self.max_bytes = max_bytes
        self.words: Final = words
