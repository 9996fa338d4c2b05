"""How hard the tests search: `HYPOTHESIS_PROFILE=long` looks at far more examples than the everyday form does.

And the seed of random tests: it is chosen once, printed at the top, and the same in all processes of a run.

And where temporary directories are: in memory, but for the tests that run whole servers (`tests/scratch.py`).
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes import Lab
from tests.scratch import ON_DISK, scratch_directory

TESTS = Path(__file__).parent

UNHURRIED = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

settings.register_profile("everyday", deadline=None, suppress_health_check=UNHURRIED)
settings.register_profile(
    "long",
    deadline=None,
    suppress_health_check=UNHURRIED,
    max_examples=3000,
    stateful_step_count=100,
    print_blob=True,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "everyday"))


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("KEYP_SEED", str(random.SystemRandom().randrange(10**9)))


def pytest_report_header(config: pytest.Config) -> str:
    return f"KEYP_SEED={os.environ['KEYP_SEED']}"


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.path.relative_to(TESTS).parts[0] in ON_DISK:
        yield tmp_path
        return
    with scratch_directory() as directory:
        yield Path(directory)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A server without sockets; its store is checked when the test is over."""
    lab = Lab(tmp_path)
    yield lab
    lab.close()
