"""`reference`, a real server, and `keyp`, ours, beside it. A test that uses them empties them first."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential.servers import Keyp, Reference, reference_program
from tests.scratch import scratch_directory


@pytest.fixture(scope="session")
def reference() -> Iterator[Reference]:
    """A real server; tests that want one are skipped where there is none."""
    program = reference_program()
    if program is None:
        pytest.skip("no real server to compare with")
    server = Reference(program)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Reference]:
    """A Redis of 7.0 or 7.2, the `redis-server` on the path; tests that want one are skipped where there is none."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("there is no redis-server")
    server = Reference(program)
    try:
        server.start()
        if not re.match(r"redis 7\.[02]$", server.version):
            pytest.skip(f"redis-server is {server.version}")
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def keyp() -> Iterator[Keyp]:
    """Keyp; its store is checked at the end."""
    with scratch_directory() as directory:
        server = Keyp(Path(directory))
        yield server
        server.stop()
