"""The tests that go through all commands, and what of them concerns some: `make test-command COMMAND=SINTERCARD`.

Several commands are separated by commas: `COMMAND="GET,CLIENT LIST"`.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import pytest

from keyp.command.spec import CommandSpec
from tests.differential.differences import Difference
from tests.differential.row_files import Row

FILES: Final = (
    "tests/differential/test_command_info.py",
    "tests/command/test_syntax.py",
    "tests/commands/test_command.py",
    "tests/test_readme.py",
    "tests/test_house.py",
    "tests/execution/test_writes_for_nothing.py",
    "tests/execution/test_hostile_arguments.py",
    "tests/differential/test_rows.py",
    "tests/differential/test_command_keys.py",
    "tests/differential/test_events.py",
    "tests/differential/test_changes.py",
)


class Chosen:
    """A plugin of pytest's that leaves out the cases of other commands. `names` are lists of words, in capitals."""

    def __init__(self, names: list[list[bytes]]) -> None:
        self.names = names

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Called by pytest."""
        chosen = [item for item in items if self.concerns(getattr(item, "callspec", None))]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
        items[:] = chosen

    def concerns(self, case: Any) -> bool:
        """Whether a test with these parameters is about the commands, or about all there are at once."""
        judged = [self.is_about(value) for value in ({} if case is None else case.params).values()]
        return not judged or any(judged)

    def is_about(self, value: Any) -> bool:
        """Whether a parameter has to do with the commands: a row, a difference, a block, a call, rows of a family."""
        if isinstance(value, CommandSpec):
            return value.name.encode().split(b"|") in self.names
        if isinstance(value, Difference):
            return self.is_about(Row("", value.row.splitlines()))
        if isinstance(value, Row):
            return any(self.is_call(call) for step in value.steps for call in step.calls)
        if isinstance(value, list):
            return any(map(self.is_about, value))
        return isinstance(value, str) and self.is_call(value.encode("latin-1", "replace").split())

    def is_call(self, call: list[bytes]) -> bool:
        return any([word.upper() for word in call[: len(name)]] == name for name in self.names)


def main(commands: str) -> int:
    """Runs them for some commands; pytest's exit status."""
    names = [name.replace("|", " ").encode().split() for name in commands.upper().split(",") if name.strip()]
    if not names:
        print("Which command? make test-command COMMAND=SINTERCARD", file=sys.stderr)
        return 2
    return pytest.main(["--quiet", "--numprocesses=0", "--tb=short", *FILES], [Chosen(names)])


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
