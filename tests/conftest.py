"""How hard the tests search: `HYPOTHESIS_PROFILE=long` looks at far more examples than the everyday form does.

And the seed of random tests: it is chosen once, printed at the top, and the same in all processes of a run.

And where temporary directories are: in memory, but for the tests of processes and crashes, which are to meet a disk. A
fresh store makes four syncs.
"""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes import Lab

TESTS = Path(__file__).parent
ON_DISK = ("integration", "crash", "soak")
MEMORY = Path("/dev/shm")
ROOM = 2 << 30  # bytes that are to be free there

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


def memory() -> Path | None:
    """Where directories in memory are made; None where there is no room for them."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM else None


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    on_disk = request.path.relative_to(TESTS).parts[0] in ON_DISK
    place = None if on_disk else memory()
    if place is None:
        yield tmp_path
        return
    with TemporaryDirectory(prefix="keyp-", dir=place) as directory:
        yield Path(directory)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A server without sockets; its store is checked when the test is over."""
    lab = Lab(tmp_path)
    yield lab
    lab.close()
