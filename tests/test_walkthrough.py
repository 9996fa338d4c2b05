"""ARCHITECTURE.md says how a command is added; here it is done, to the letter, in a copy of the project."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

CHECK = """
import sys
from pathlib import Path
from tests.fakes import Lab

lab = Lab(Path(sys.argv[1]))
client = lab.connect()
assert client.call("CAS") == b"-ERR wrong number of arguments for 'cas' command\\r\\n"
replies = client.call("SET k old", "CAS k old new", "CAS k old newer", "GET k")
assert replies == b"+OK\\r\\n:1\\r\\n:0\\r\\n$3\\r\\nnew\\r\\n"
assert lab.writer_thread.done == 1
assert lab.environment.changes == 2
info = client.call("COMMAND INFO cas")
for word in (b"cas", b"write", b"denyoom", b"fast", b"@string", b"@write"):
    assert word in info, (word, info)
docs = client.call("COMMAND DOCS cas")
assert b"Sets a string if it is what one expects" in docs and b"expected" in docs, docs
assert client.call("COMMAND GETKEYS CAS a b c") == b"*1\\r\\n$1\\r\\na\\r\\n"
lab.close()
print("all true")
"""


def test_the_walk_through_is_true(tmp_path: Path) -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    block = re.search(r"<!-- walk-through -->\n```python\n(.*?)```", text, re.DOTALL)
    assert block is not None
    for part in ("keyp", "tests"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    with (tmp_path / "keyp/commands/strings.py").open("a") as file:
        file.write("\n\n" + block.group(1))
    result = subprocess.run(
        [sys.executable, "-c", CHECK, str(tmp_path / "store")], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (result.stdout, result.stderr) == ("all true\n", "")
