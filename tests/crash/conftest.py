"""The daemons are those of the integration tests; here are the dice and how often they are thrown.

KEYP_SEED repeats a run's choices (the moments at which processes meet are never the same), KEYP_ROUNDS and
KEYP_IMAGES say how many crashes and power cuts there are; `make test-crash` asks for many.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.crash.damage import make_store
from tests.crash.recorder import Recorder
from tests.integration.conftest import server

__all__ = ["images", "recorder", "rounds", "seed", "server", "template"]


@pytest.fixture(scope="session")
def seed() -> str:
    chosen = os.environ.get("KEYP_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"KEYP_SEED={chosen}")
    return chosen


@pytest.fixture(scope="session")
def rounds() -> int:
    """How many crashes in all."""
    return int(os.environ.get("KEYP_ROUNDS", "12"))


@pytest.fixture(scope="session")
def images() -> int:
    """How many power cuts in each mode."""
    return int(os.environ.get("KEYP_IMAGES", "300"))


@pytest.fixture
def recorder(tmp_path: Path, seed: str) -> Recorder:
    return Recorder(tmp_path, seed)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose values show whether they are right; not to be changed."""
    path = tmp_path_factory.mktemp("damage") / "store"
    make_store(path)
    return path
