"""Facts about the process the server runs in: what the operating system knows and INFO tells."""

from __future__ import annotations

import os
import resource
import sys
from typing import Final

PAGE_BYTES: Final = resource.getpagesize()


class Memory:
    """The process's memory in bytes: `resident` is all of it, `private` what no file stands behind."""

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


class ProcessorTime:
    """Seconds of processor time, in the kernel and in the program, of this process and of its children."""

    def __init__(self) -> None:
        own = resource.getrusage(resource.RUSAGE_SELF)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.system = own.ru_stime
        self.user = own.ru_utime
        self.children_system = children.ru_stime
        self.children_user = children.ru_utime


def operating_system() -> str:
    """Name, release and machine, as INFO shows them."""
    about = os.uname()
    return f"{about.sysname} {about.release} {about.machine}"


def word_bits() -> int:
    """64 on a 64-bit Python."""
    return 64 if sys.maxsize > 1 << 32 else 32


def open_files_limit() -> int:
    """How many files and sockets the process may have open at once."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def size_of_file(path: str) -> int:
    """A file's size in bytes, 0 where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
