"""ARCHITECTURE.md says how a command is added; here it is done, to the letter, in a copy of the project."""

from __future__ import annotations

import os
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


# Those that go through all commands, and what of them is run: all, or what names the new one and what counts them.
GENERIC = {
    "tests/commands/test_command.py": "",
    "tests/command/test_syntax.py": "",
    "tests/test_readme.py": "",
    "tests/test_house.py": "",
    "tests/execution/test_hostile_arguments.py": "every or strings",
    "tests/execution/test_writes_for_nothing.py": "every or CAS",
    "tests/differential/test_rows.py": "every or CAS",
    "tests/differential/test_command_info.py": "every or cas or known",
}


def run(directory: Path, *command: str) -> str:
    """Runs Python in the copy; what it prints. It must end well."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    result = subprocess.run(
        [sys.executable, *command], cwd=directory, env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_walk_through_is_true(tmp_path: Path) -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    blocks = re.findall(r"<!-- walk-through (\S+) -->\n```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    for part in ("keyp", "tests", "twisted", "benchmarks"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for part in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / part, tmp_path)
    for name, block in blocks:
        with (tmp_path / name).open("a") as file:
            file.write("\n\n" + block)
    strings = tmp_path / "keyp/commands/strings.py"
    strings.write_text(strings.read_text().replace("import DENYOOM, FAST, ", "import DENYOOM, FAST, OWN, ", 1))
    assert run(tmp_path, "-c", CHECK, str(tmp_path / "store")) == "all true\n"
    run(tmp_path, "-m", "keyp.tools.readme", "README.md")
    for name, chosen in GENERIC.items():
        run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n0", name, "-k", chosen)
