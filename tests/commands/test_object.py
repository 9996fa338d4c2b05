"""OBJECT of keys past their deadlines."""

from __future__ import annotations

import pytest

from tests.commands.conftest import Keyp


@pytest.mark.parametrize("subcommand", ["ENCODING", "REFCOUNT", "IDLETIME", "FREQ"])
def test_a_key_that_has_expired_is_null(keyp: Keyp, subcommand: str) -> None:
    keyp.run("SET", "a", "1", "PX", "1000")
    keyp.now_us += 2_000_000
    assert keyp.run("OBJECT", subcommand, "a") is None
