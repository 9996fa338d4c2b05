"""What the figures depend on besides the servers: the machine, its disk, the programs."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.load import require_program
from benchmarks.servers import KEYP, Program, Server

DIGEST = """
import hashlib, pathlib, keyp
sources = sorted(pathlib.Path(keyp.__file__).parent.rglob("*.py"))
print(hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12])
"""
QUIET_LOAD = 0.5  # processes a processor that want to run before the benchmark does


def describe(programs: list[Program], keyp: Server, folder: Path) -> dict[str, Any]:
    """Facts about this machine, and about a running Keyp, whose data is in `folder` like the others'."""
    info = keyp.info("keyp")
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_gigabytes": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "file_system": file_system(folder),
        "apart": bool(Server.processors),
        "versions": {program.name: program.version for program in programs},
        "keyp": {
            "compiled": info["compiled"],
            "reactor": info["reactor"],
            "build": _build(programs[0]),
            "python": info["python_version"],
            "twisted": info["twisted_version"],
            "lmdb": info["lmdb_version"],
        },
        "load_generator": require_program(),
    }


def _build(keyp: Program) -> str:
    """A digest of the sources that are installed with this program: a version lasts for many states of them."""
    python = Path(keyp.path).parent / "python"
    if not python.exists():
        return "unknown"
    said = subprocess.run([str(python), "-c", DIGEST], capture_output=True, text=True, check=False, cwd="/")
    return said.stdout.strip() or "unknown"


def warnings(facts: dict[str, Any]) -> list[str]:
    """What makes the figures worth less than they could be, as sentences."""
    found = []
    if facts["keyp"]["compiled"] != "yes":
        found.append(f"{KEYP} runs uncompiled: its figures will be several times lower than those of a compiled one.")
    if facts["file_system"] in ("tmpfs", "ramfs"):
        found.append("The data is kept in memory (tmpfs), where a sync costs nothing: --folder names another place.")
    busy = os.getloadavg()[0]
    if busy > QUIET_LOAD * facts["processors"]:
        found.append(f"The machine is busy (load average {busy:.1f}): the spread of the ratios will show it.")
    return found


def file_system(folder: Path) -> str:
    """The kind of file system that holds a folder, such as ext4; `unknown` where the system does not say."""
    best, kind = "", "unknown"
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return kind
    for line in lines:
        _, mount, found, *_ = line.split()
        if folder.resolve().is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, found
    return kind


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
