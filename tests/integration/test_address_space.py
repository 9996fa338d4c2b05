"""A limit of the address space (`ulimit -v`) that LMDB's map does not fit in: a sentence says so, and what helps."""

from __future__ import annotations

from pathlib import Path

from keyp.storage.lmdb.environment import Environment
from tests.integration.test_daemon import assert_refused, run

LIMITED = (
    "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 33, 1 << 33)); from keyp.main import main; main()"
)


def test_a_limit_below_the_map_is_reported(tmp_path: Path) -> None:
    server = run(tmp_path, "-c", LIMITED, "--port=0", "--data-dir=data")
    assert_refused(server, "1 TiB of address space", "ulimit -v unlimited", str(tmp_path / "data"))


def test_the_tools_tell_it_too(tmp_path: Path) -> None:
    Environment(str(tmp_path / "data"), fsync="no").close()
    looked = run(tmp_path, "-c", LIMITED, "check", "data")
    assert looked.returncode == 2, looked.stdout + looked.stderr
    assert "ulimit -v unlimited" in looked.stderr
    assert "Traceback" not in looked.stderr
