"""What a user installs: a wheel, built from a copy of the sources, put into an empty environment, and serving there."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import keyp
from tests.integration.daemon import DEADLINE_S, ROOT, free_port, wait_until

# What a package is built from; more would only be copied in vain, or hide that something is missing here.
SOURCES = ("keyp", "twisted", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
INSTALL_S = 300.0
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def run(*command: str | Path, seconds: float = DEADLINE_S) -> str:
    """The output of a command that must succeed, free of the checkout's influence."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["KEYP_COMPILE"] = "0"  # compiling takes a minute; `make test-compiled` sees that it works
    result = subprocess.run(
        [str(word) for word in command],
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert result.returncode == 0, f"{command}:\n{result.stdout}"
    return result.stdout


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs' folder of an environment with nothing in it."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    return folder / "bin"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources with the tools that are here: `make test-install` fetches its own."""
    folder = tmp_path_factory.mktemp("build")
    tree = folder / "tree"
    tree.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*dropin.cache*", "*.so")
            shutil.copytree(source, tree / name, ignore=ignored)
        elif source.exists():
            shutil.copy(source, tree)
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, tree, seconds=INSTALL_S)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(venv: Path, wheel: Path) -> Path:
    """The programs' folder after the wheel and all it needs have been installed."""
    run(*PIP, "--python", venv / "python", "install", "--no-compile", wheel, seconds=INSTALL_S)
    return venv


def test_the_wheel_holds_what_it_should(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"keyp-{keyp.__version__}.dist-info/METADATA").decode()
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "keyp").rglob("*.py")}
    assert modules <= names
    assert "keyp/py.typed" in names
    assert {name for name in names if name.startswith("twisted/")} == {
        "twisted/plugins/keyp_plugin.py",
        "twisted/plugins/keyp_reactor.py",
    }
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} <= {"keyp", "twisted"} | {
        name for name in names if name.endswith(".so")
    }
    assert any(name.endswith("/LICENSE") for name in names)
    assert "License-Expression: MIT" in metadata
    assert "# Keyp" in metadata


def test_it_is_found_by_twistd(installed: Path) -> None:
    listed = run(installed / "twistd", "--help").splitlines()
    assert any(line.split()[:1] == ["keyp"] for line in listed)
    assert "keyp-epoll" in run(installed / "twistd", "--help-reactors")
    assert run(installed / "python", "-c", "import twisted.internet.defer, twisted.plugins.keyp_plugin") == ""


def test_it_tells_version_and_options(installed: Path) -> None:
    assert run(installed / "keyp", "--version") == f"Keyp {keyp.__version__}\n"
    assert run(installed / "keyp", "--help").startswith("Usage: keyp [options]\n")


@pytest.mark.parametrize("command", [["keyp"], ["twistd", "-n", "--pidfile=", "keyp"]], ids=["keyp", "twistd"])
def test_it_serves(installed: Path, tmp_path: Path, command: list[str]) -> None:
    port = free_port()
    program = [str(installed / command[0]), *command[1:], "--host=127.0.0.1", f"--port={port}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(program, cwd=tmp_path, stdout=log, stderr=log)

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(100) == b"+PONG\r\n"
        except ConnectionRefusedError:
            return False

    try:
        wait_until(answers, "the first answer")
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert str(ROOT) not in (tmp_path / "log").read_text()
