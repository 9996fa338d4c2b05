"""Facts about the server's process, from the operating system, for INFO."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib import metadata
from typing import Final

PAGE_BYTES: Final = resource.getpagesize()
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


class Memory:
    """The process's memory in bytes: `resident` is all of it, `private` what is not backed by a file."""

    def __init__(self, resident: int, private: int) -> None:
        self.resident = resident
        self.private = private


def memory() -> Memory:
    """The memory in use just now. Pages of the store that the kernel has mapped are resident, not private.

    Where there is no /proc, both are the most that was ever resident.
    """
    try:
        with open("/proc/self/statm", "rb") as statm:
            _, resident, shared = (int(field) * PAGE_BYTES for field in statm.read().split()[:3])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Memory(peak, peak)
    return Memory(resident, max(resident - shared, PAGE_BYTES))


def total_memory() -> int:
    """The machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * PAGE_BYTES


def allow_descriptors(count: int) -> int:
    """Raises the limit of open files to `count`, where it is lower and may be raised; what the limit is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < possible:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
        except (OSError, ValueError):  # the kernel allows one process no more (fs.nr_open)
            return soft
    return possible


class ProcessorTime:
    """Seconds of processor time, in the kernel and in the program: of this process, its children, its main thread.

    Where there is no /proc, the main thread has none.
    """

    def __init__(self) -> None:
        own = resource.getrusage(resource.RUSAGE_SELF)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.system = own.ru_stime
        self.user = own.ru_utime
        self.children_system = children.ru_stime
        self.children_user = children.ru_utime
        self.main_thread_system, self.main_thread_user = _main_thread_times()


def _main_thread_times() -> tuple[float, float]:
    """Seconds in the kernel and in the program. The main thread has the process's number."""
    number = os.getpid()
    try:
        with open(f"/proc/self/task/{number}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()  # the program's name may hold anything
    except OSError:
        return 0.0, 0.0
    user, system = int(fields[11]), int(fields[12])
    return system / TICKS_PER_SECOND, user / TICKS_PER_SECOND


def compiler_version() -> str:
    """The version of the C compiler that made Python, as Redis writes its own; 0.0.0 where it was not GCC."""
    name, _, version = platform.python_compiler().partition(" ")
    return version.split(" ")[0] if name == "GCC" else "0.0.0"


def process_id() -> int:
    """The process's number."""
    return os.getpid()


def operating_system() -> str:
    """Name, release and machine, as INFO shows them."""
    about = os.uname()
    return f"{about.sysname} {about.release} {about.machine}"


def word_bits() -> int:
    """64 on a 64-bit Python."""
    return 64 if sys.maxsize > 1 << 32 else 32


def version_of(package: str) -> str:
    """The version of an installed package, empty where it is not known."""
    found = _versions.get(package)
    if found is None:
        try:
            found = metadata.version(package)
        except metadata.PackageNotFoundError:
            found = ""
        _versions[package] = found
    return found


_versions: Final[dict[str, str]] = {}  # reading a package's metadata takes milliseconds
