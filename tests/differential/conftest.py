"""`reference`, a real server, and `keyp`, ours, beside it. Whoever uses them empties them first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.differential.servers import Keyp, Reference, reference_program


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


@pytest.fixture(scope="module")
def keyp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyp]:
    """Keyp; its store is checked at the end."""
    server = Keyp(tmp_path_factory.mktemp("keyp"))
    yield server
    server.stop()
