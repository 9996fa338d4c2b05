"""Compiles the hot modules with mypyc where that is possible; without a compiler the same files run as they are.

KEYP_COMPILE=0 leaves it out, KEYP_COMPILE=1 makes it an error where it is not possible.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from setuptools import setup

# Everything a request passes through between Twisted's transport and LMDB.
COMPILED = (
    "errors",
    "events",
    "glob",
    "clients",
    "slowlog",
    "latency_monitor",
    "metrics",
    "pubsub",
    "aftermath",
    "batch",
    "runner",
    "turn",
    "delivery",
    "gathering",
    "engine",
    "writer",
)
COMPILED_IN_NET = ("affinity", "backlog", "bell", "clock", "connection", "outbox", "protocol", "read_size", "threads")
COMPILED_FOLDERS = ("resp", "storage", "commands")
# Run by hand, as programs.
LEFT_OUT = ("commands/table.py", "commands/lcs.py")


def modules(root: Path = Path()) -> list[str]:
    """The paths of the modules to compile, from the root of the checkout on."""
    package = root / "keyp"
    files = [package / f"{name}.py" for name in COMPILED]
    files += [package / "net" / f"{name}.py" for name in COMPILED_IN_NET]
    for folder in COMPILED_FOLDERS:
        files += sorted(path for path in (package / folder).glob("*.py") if path.name != "__init__.py")
    chosen = [path for path in files if path.relative_to(package).as_posix() not in LEFT_OUT]
    return [path.relative_to(root).as_posix() for path in chosen]


def extensions() -> list[Any]:
    """What setuptools is to build: nothing where mypyc is missing or KEYP_COMPILE=0 says so."""
    wish = os.environ.get("KEYP_COMPILE", "")
    if wish == "0":
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        if wish == "1":
            raise
        return []
    try:
        built = mypycify(modules(), opt_level="3", debug_level="0")
    except SystemExit:  # a mypy that is stricter than the one we know
        if wish == "1":
            raise
        print("keyp: mypyc does not take the sources; they are installed as plain Python", file=sys.stderr)
        return []
    for extension in built:
        extension.optional = wish != "1"  # a compiler that is missing or fails is no reason not to install
    return list(built)


if __name__ == "__main__":
    setup(ext_modules=extensions())
