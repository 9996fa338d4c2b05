"""What is compiled, and when again: counted in calls of a compiler that only writes down what it is called for."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.daemon import DEADLINE_S, ROOT

BUILD_S = 300.0
LIBRARY = "keyp/__native_path_of_a_request"
COMPILER = """#!/bin/sh
case " $* " in *" -c "*) verb=compile;; *) verb=link;; esac
while [ $# -gt 0 ]; do
    case "$1" in -o) shift; made="$1";; *.c) source="$1";; esac
    shift
done
echo "$verb ${source:-$made}" >> "$CALLS"
case "$source" in *$FAILS_FOR) exit 1;; esac
: > "$made"
"""
ERRORS = """
class Trouble:
    code = 1

    def __init__(self, text: str) -> None:
        self.text = text
"""
USER = """
from keyp.errors import Trouble

def say(trouble: Trouble) -> str:
    return trouble.text
"""


class Tree:
    """Sources that setup.py can compile, and one that it leaves as it is; and the compiler."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls = root / "calls"
        self.fails_for = "/none"
        self.wish = "1"
        shutil.copy(ROOT / "setup.py", root)
        (root / "compiler").write_text(COMPILER)
        (root / "compiler").chmod(0o755)
        (root / "pyproject.toml").write_text(
            '[project]\nname = "keyp"\nversion = "1"\n[tool.setuptools]\npackages = ["keyp", "keyp.commands"]\n'
        )
        self.write("errors", ERRORS)
        self.write("events", "KEYSPACE = 1\n")  # one library with the errors: both are on the path of a request
        self.write("writer", USER)
        self.write("commands/lists", 'def name() -> str:\n    return "GET"\n')
        self.write("main", "import nothing_that_mypyc_could_find\n")
        for package in ("", "commands/"):
            self.write(f"{package}__init__", "")

    def write(self, name: str, text: str) -> None:
        path = self.root / "keyp" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def build(self, compiler: str = "") -> tuple[list[str], str]:
        """The modules and run-time parts that were compiled now, in order of their names, and what was printed."""
        self.calls.write_text("")
        command = compiler or str(self.root / "compiler")
        result = subprocess.run(
            [sys.executable, "setup.py", "--quiet", "build"],
            cwd=self.root,
            env={
                **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                **{"CC": command, "LDSHARED": command, "CALLS": str(self.calls), "FAILS_FOR": self.fails_for},
                "KEYP_COMPILE": self.wish,
            },
            capture_output=True,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
        if result.returncode:
            raise subprocess.CalledProcessError(result.returncode, "setup.py", result.stdout, result.stderr)
        return self.compiled(), result.stderr

    def compiled(self) -> list[str]:
        lines = self.calls.read_text().splitlines()
        sources = [line.split()[1].removeprefix("build/mypyc/") for line in lines if line.startswith("compile")]
        return sorted(source.removesuffix(".c") for source in sources)

    def linked(self) -> int:
        return self.calls.read_text().count("link")

    def libraries(self) -> list[str]:
        return sorted(path.name.partition(".")[0] for path in self.root.glob("build/lib*/**/*.so"))

    def c_files(self) -> dict[str, bytes]:
        folder = self.root / "build" / "mypyc"
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.[ch]")}


def test_only_what_has_changed_is_compiled_again(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    everything, output = tree.build()
    assert len(set(everything)) == len(everything)
    assert {LIBRARY, "keyp/errors", "keyp/commands/__native_lists", "init"} <= set(everything)
    assert not [name for name in everything if "main" in name]
    assert f"keyp: compiling {len(everything)} of {len(everything)}\n" in output
    assert "keyp: checking types" in output
    assert len(tree.libraries()) == tree.linked()

    assert tree.build()[0] == []
    assert tree.linked() == 0

    for path in (tmp_path / "keyp").rglob("*.py"):  # as in a new checkout of the same sources
        os.utime(path)
    assert tree.build()[0] == []

    tree.write("commands/lists", 'def name() -> str:\n    return "the new text of " + "GET".lower()\n')
    assert tree.build()[0] == ["keyp/commands/__native_lists"]
    assert tree.linked() == 1

    tree.write("errors", ERRORS.replace("self.text = text", "self.first = 1\n        self.text = text"))
    assert tree.build()[0] == [LIBRARY, "keyp/__native_writer"]
    assert tree.linked() == 2

    tree.write("events", "KEYSPACE = 1\nKEYEVENT = 2\n")
    assert tree.build()[0] == [LIBRARY]
    assert tree.linked() == 1

    incremental = tree.c_files()
    shutil.rmtree(tmp_path / "build")
    assert tree.build()[0] == everything
    assert tree.c_files() == incremental

    (tmp_path / "keyp" / "commands" / "lists.py").unlink()
    assert not set(tree.build()[0]) - {"keyp/commands/__native_lists"}
    assert not [name for name in tree.libraries() if name.startswith("lists")]
    assert not list(tmp_path.glob("build/lib*/keyp/commands/lists.py"))


def test_a_compiler_that_fails_leaves_no_half(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.fails_for = f"{LIBRARY.rpartition('/')[2]}.c"
    with pytest.raises(subprocess.CalledProcessError):
        tree.build()
    tree.wish = ""
    assert "installed as plain Python" in tree.build()[1]
    assert tree.libraries() == []
    assert list(tmp_path.glob("build/lib*/keyp/errors.py"))
    tree.fails_for = "/none"
    assert LIBRARY in tree.build()[0]
    assert len(tree.libraries()) == tree.linked()
    tree.write("errors", "code: int = 'a text'\n")
    assert "mypyc does not take the sources" in tree.build()[1]
    assert tree.libraries() == []


def test_without_a_compiler_nothing_is_translated(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        tree.build("no-such-compiler")
    assert "there is no C compiler (no-such-compiler)" in failed.value.stderr
    tree.wish = ""
    assert tree.build("no-such-compiler")[0] == []
    assert not (tmp_path / "build" / "mypyc").exists()
    assert (tmp_path / "build" / "lib" / "keyp" / "errors.py").exists()  # the wheel is for every platform


def test_an_installer_that_keeps_the_output_does_not_hide_how_far_it_is() -> None:
    """As pip does it: standard error is a pipe. The output goes to the terminal all the same."""
    program = f"import runpy; runpy.run_path({str(ROOT / 'setup.py')!r})['PROGRESS'].done('compiling', 3, 10)"
    pid, terminal = pty.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.execv(sys.executable, [sys.executable, "-c", program])
    shown = b""
    try:
        while b"3 of 10" not in shown:
            shown += os.read(terminal, 1000)
    except OSError:  # the other end is gone
        pass
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    assert b"keyp: compiling 3 of 10" in shown


def test_without_a_terminal_there_is_a_line_for_each_tenth() -> None:
    program = (
        f"import runpy; progress = runpy.run_path({str(ROOT / 'setup.py')!r})['PROGRESS']\n"
        "for count in range(1, 201): progress.done('compiling', count, 200)"
    )
    output = subprocess.run(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    ).stderr.splitlines()
    assert output == ["keyp: compiling 1 of 200", *(f"keyp: compiling {20 * tenth} of 200" for tenth in range(1, 11))]
