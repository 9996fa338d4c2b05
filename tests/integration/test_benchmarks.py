"""The benchmark in its smallest form: real servers, real load, real results. The figures are not tested."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.results import read

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ["GET", "SET", "DEL", "EXPIRE", "TTL", "PERSIST"]


def test_two_rounds(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    command = [sys.executable, "-m", "benchmarks", "original", "--rounds=2", "--scale=0.001", "--beside=valkey-server"]
    options = [f"--out={tmp_path / 'out'}", f"--folder={tmp_path / 'data'}"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    results = read(tmp_path / "out" / "results.json")
    assert results.servers == ["Keyp", "valkey-server"]
    assert results.environment["keyp"]["compiled"] in ("yes", "no")
    assert results.sections["original"].measured["complete"]
    rows = results.sections["original"].rows
    assert [row.name for row in rows] == COMMANDS * 2
    for row in rows:
        assert [set(values) for values in row.rounds] == [{"Keyp", "valkey-server"}] * 2
        assert all(value > 0 for values in row.rounds for value in values.values())
    assert "| PERSIST, 10 clients |" in done.stdout
    assert (tmp_path / "out" / "README.md").exists()
    assert (tmp_path / "out" / "ratios.svg").exists()
    assert list((tmp_path / "data").iterdir()) == []
