"""ARCHITECTURE.md says how a command is added; here it is done, to the letter, in a copy of the project.

SINTERCARD is there already, so the copy loses it first, with its rows and its template.
"""

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
assert client.call("SADD s a b", "SADD t b c", "SINTERCARD 2 s t") == b":2\\r\\n:2\\r\\n:1\\r\\n"
lab.close()
print("all true")
"""

BLOCKS = re.compile(r"<!-- walk-through (\S+) -->\n```(?:python)?\n(.*?)```", re.DOTALL)


def run(directory: Path, *command: str, succeeds: bool = True) -> str:
    """Runs Python in the copy; what it prints. It must end well, or not."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    result = subprocess.run(
        [sys.executable, *command], cwd=directory, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (result.returncode == 0) == succeeds, result.stdout + result.stderr
    return result.stdout


def copy_project(target: Path) -> None:
    for part in ("keyp", "tests", "twisted", "benchmarks"):
        shutil.copytree(ROOT / part, target / part, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for part in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / part, target)


def take_out(project: Path, command: str, name: str, block: str) -> None:
    """Takes a command's block out of the file `name`, and what tests know of the command out of theirs."""
    source = project / name
    text = source.read_text()
    assert block in text, f"ARCHITECTURE.md shows {command} otherwise than {name} has it"
    source.write_text(text.replace(block, ""))
    for rows in [*project.glob("tests/differential/rows/*.txt"), *project.glob("tests/differential/events/*.txt")]:
        lines = rows.read_text(encoding="latin-1").splitlines(keepends=True)
        rows.write_text("".join([line for line in lines if command not in line]), encoding="latin-1")
    templates = project / "tests/differential/calls_sets.py"
    templates.write_text(re.sub(f'    "{command}": .*\n', "", templates.read_text()))


def append(project: Path, name: str, block: str) -> None:
    with (project / name).open("a") as file:
        file.write("\n\n" + block)


def test_the_walk_through_is_true(tmp_path: Path) -> None:
    blocks = BLOCKS.findall((ROOT / "ARCHITECTURE.md").read_text())
    commands = [(name, block) for name, block in blocks if name.startswith("keyp/")]
    (of_redis, sintercard), _ = commands
    assert len(blocks) == 6
    copy_project(tmp_path)
    take_out(tmp_path, "SINTERCARD", of_redis, sintercard)
    for name, block in commands:
        append(tmp_path, name, block)
    strings = tmp_path / "keyp/commands/strings.py"
    strings.write_text(strings.read_text().replace("import DENYOOM, FAST, ", "import DENYOOM, FAST, OWN, ", 1))
    said = run(tmp_path, "-m", "tests.every_command", "SINTERCARD,CAS", succeeds=False)
    for place in (
        "tests/differential/rows/",
        "tests/differential/calls_",
        "differences.py",
        "no_op_calls.py",
        "make readme",
    ):
        assert place in said, f"no test says that something is missing in {place}:\n{said}"
    for name, block in blocks:
        if (name, block) not in commands:
            append(tmp_path, name, block)
    assert run(tmp_path, "-c", CHECK, str(tmp_path / "store")) == "all true\n"
    run(tmp_path, "-m", "keyp.tools.readme", "README.md")
    run(tmp_path, "-m", "tests.every_command", "SINTERCARD,CAS")
