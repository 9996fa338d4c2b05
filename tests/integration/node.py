"""Node.js, and packages that npm fetches."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def program(name: str) -> str:
    path = shutil.which(name)
    assert path, f"{name} is missing: install Node.js (apt-get install nodejs npm)"
    return path


def fetch(folder: Path, *packages: str) -> None:
    """Installs packages into a folder; what runs there, or has its `node_modules` as NODE_PATH, finds them."""
    command = [program("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
