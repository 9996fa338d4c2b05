"""The tests say which of the two ways they run in: what they believe to test is what they test."""

from __future__ import annotations

import importlib
import runpy
from pathlib import Path

import pytest

from tests.fakes import Lab
from tests.integration.daemon import COMPILED

ROOT = Path(__file__).parent.parent
SETUP = runpy.run_path(str(ROOT / "setup.py"))
LISTED = [path.removesuffix(".py").replace("/", ".") for path in SETUP["modules"](ROOT)]


@pytest.mark.parametrize("name", LISTED)
def test_what_is_listed_runs_compiled_or_not_as_the_run_says(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert Path(module.__file__).is_relative_to(ROOT)
    assert module.__file__.endswith(".so" if COMPILED else ".py")


def test_what_every_request_passes_through_is_listed() -> None:
    assert {
        "keyp.execution.executor",
        "keyp.resp.parser",
        "keyp.storage.keys.keyspace",
        "keyp.commands.strings",
    } <= set(LISTED)


@pytest.mark.parametrize("entries", ["NOT_COMPILED", "PATH_OF_A_REQUEST"])
def test_every_entry_of_the_lists_names_something(entries: str) -> None:
    names = [path.relative_to(ROOT / "keyp").as_posix() for path in (ROOT / "keyp").rglob("*.py")]
    assert [entry for entry in SETUP[entries] if not any(name.startswith(entry) for name in names)] == []


def test_info_says_so(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    assert (b"\r\ncompiled:yes\r\n" if COMPILED else b"\r\ncompiled:no\r\n") in lab.connect().call("INFO keyp")
    lab.close()
