"""SECURITY.md names a test for each threat: they are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMED = re.compile(r"`((?:tests/)[\w/.]*)(?:::(\w+))?`|`(test_\w+)`")


def test_what_is_named_is_there() -> None:
    threats = [line for line in (ROOT / "SECURITY.md").read_text().splitlines() if "`tests/" in line]
    assert len(threats) > 15
    for line in threats:
        path = ROOT
        for file, function, other in NAMED.findall(line):
            path = ROOT / file if file else path
            assert path.exists(), line
            name = function or other
            assert not name or f"def {name}(" in path.read_text(), line
