"""The tests say which of the two ways they run in: what they believe to test is what they test."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

from tests.fakes import Lab

ROOT = Path(__file__).parent.parent
COMPILED = os.environ.get("KEYP_COMPILED") == "1"
HOT = ("errors", "glob", "session", "resp.parser", "storage.keyspace", "commands.strings", "commands.registry")


@pytest.mark.parametrize("name", HOT)
def test_hot_modules_run_compiled_or_not_as_the_run_says(name: str) -> None:
    module = importlib.import_module(f"keyp.{name}")
    assert module.__file__ is not None
    assert Path(module.__file__).is_relative_to(ROOT)
    assert module.__file__.endswith(".so" if COMPILED else ".py")


def test_info_tells(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    assert (b"\r\ncompiled:yes\r\n" if COMPILED else b"\r\ncompiled:no\r\n") in lab.connect().call("INFO keyp")
    lab.close()
