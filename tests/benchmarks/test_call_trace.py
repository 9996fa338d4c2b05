"""How many Python calls inside keyp/ a request costs. A change that makes one dearer says so here, with its reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import keyp.execution.executor

ROOT = Path(__file__).parent.parent.parent
COUNTS = {"GET": 45, "SET": 92, "BLPOP that waits": 95, "LPUSH that wakes": 201}


@pytest.mark.skipif(not str(keyp.execution.executor.__file__).endswith(".py"), reason="compiled calls are not seen")
def test_no_request_costs_more_calls() -> None:
    command = [sys.executable, "-m", "benchmarks.call_trace"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    counted = {line[:20].strip(): int(line[20:25]) for line in printed.splitlines()}
    assert {name: count for name, count in counted.items() if count > COUNTS[name]} == {}
    assert counted.keys() == COUNTS.keys()
