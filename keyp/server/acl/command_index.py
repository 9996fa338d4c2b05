"""What rules say about commands: their names, their subcommands, their categories.

Names are full ones in lower case, such as `get` and `config|set`.
"""

from __future__ import annotations

from collections.abc import Iterable


class CommandIndex:
    """The commands of a server, as rules speak of them."""

    def __init__(self, categories: Iterable[str]) -> None:
        self.names: set[str] = set()
        self._subcommands: dict[str, list[str]] = {}
        self._by_category: dict[str, list[str]] = {category: [] for category in categories}

    def add(self, name: str, categories: Iterable[str]) -> None:
        """Adds a command, or a subcommand behind its container."""
        self.names.add(name)
        container, bar, _ = name.partition("|")
        if bar:
            self._subcommands.setdefault(container, []).append(name)
        for category in categories:
            self._by_category[category].append(name)

    def find(self, name: bytes) -> str:
        """The command of that name in any case; empty where there is none."""
        found = name.decode("latin-1").lower()
        return found if found in self.names else ""

    def subcommands(self, name: str) -> list[str]:
        """The subcommands of a container; none of other commands."""
        return self._subcommands.get(name, [])

    def in_category(self, category: str) -> list[str] | None:
        """The commands of a category; None where there is no such category."""
        return self._by_category.get(category)
