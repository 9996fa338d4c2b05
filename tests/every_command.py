"""The tests that go through all commands, and what of them concerns one: `make test-command COMMAND=SINTERCARD`."""

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
    """A plugin of pytest's that leaves out the cases of other commands. `words` are the command's, in capitals."""

    def __init__(self, words: list[bytes]) -> None:
        self.words = words

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Called by pytest."""
        chosen = [item for item in items if self.concerns(getattr(item, "callspec", None))]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
        items[:] = chosen

    def concerns(self, case: Any) -> bool:
        """Whether a test with these parameters is about the command, or about all of them at once."""
        judged = [self.is_about(value) for value in ({} if case is None else case.params).values()]
        return not judged or any(judged)

    def is_about(self, value: Any) -> bool:
        """Whether a parameter has to do with the command: a row, a difference, a block, a call, rows of a family."""
        if isinstance(value, CommandSpec):
            return value.name.encode() == b"|".join(self.words)
        if isinstance(value, Difference):
            return self.is_about(Row("", value.row.splitlines()))
        if isinstance(value, Row):
            return any(self.is_call(call) for step in value.steps for call in step.calls)
        if isinstance(value, list):
            return any(map(self.is_about, value))
        return isinstance(value, str) and self.is_call(value.encode("latin-1", "replace").split())

    def is_call(self, call: list[bytes]) -> bool:
        return [word.upper() for word in call[: len(self.words)]] == self.words


def main(command: str) -> int:
    """Runs them for one command; pytest's exit status."""
    words = command.upper().replace("|", " ").encode().split()
    if not words:
        print("Which command? make test-command COMMAND=SINTERCARD", file=sys.stderr)
        return 2
    return pytest.main(["--quiet", "--numprocesses=0", "--tb=short", *FILES], [Chosen(words)])


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
