"""The lab, for tests of connections."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A server without sockets; its store is checked when the test is over."""
    lab = Lab(tmp_path)
    yield lab
    lab.close()
