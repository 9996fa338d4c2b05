"""How many Python calls inside keyp/ a request costs. A change that makes one dearer says so here, with its reason."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import keyp.execution.executor

ROOT = Path(__file__).parent.parent.parent
# Besides the rounds of the loop, which depend on when bytes arrive: GET has 2 of them, which makes 39 calls in all.
# With two clients a group waits some rounds for the other one, on a busy machine more of them: the last two counts have
# room for that.
COUNTS = {"GET": 37, "SET": 85, "BLPOP that waits": 72, "LPUSH that wakes": 158}
LINE = re.compile(r"(.{20}) +([0-9]+) calls in [0-9]+ files, ([0-9]+) of them rounds of the loop")


@pytest.mark.skipif(not str(keyp.execution.executor.__file__).endswith(".py"), reason="compiled calls are not seen")
def test_no_request_costs_more_calls() -> None:
    command = [sys.executable, "-m", "benchmarks.call_trace"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    counted = {name.strip(): int(calls) - int(rounds) for name, calls, rounds in LINE.findall(printed)}
    assert {name: count for name, count in counted.items() if count > COUNTS[name]} == {}
    assert counted.keys() == COUNTS.keys()
