"""How hard the tests search: `HYPOTHESIS_PROFILE=long` looks at far more examples than the everyday form does.

And the seed of random tests: it is chosen once, printed at the top, and the same in all processes of a run.
"""

import os
import random

import pytest
from hypothesis import HealthCheck, settings

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
