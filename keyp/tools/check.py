"""`keyp check`: is a store what it says it is? First the structure of its file, then what it holds.

The structure can only be looked at while no server writes to the file; where one does, only the contents are, as one
snapshot shows them. Where the structure is damaged the contents are not: LMDB believes what it finds.
"""

from __future__ import annotations

import os

from keyp.storage.check import check
from keyp.storage.lmdb import locks, verification
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.reader import DatabaseSize, StoreReader, recover
from keyp.storage.lmdb.store import DATA_FILE
from keyp.tools.progress import Progress


class Examination:
    """What was found. `served` says that the structure was not looked at; `read` that the contents were."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.sizes: list[DatabaseSize] = []
        self.file_bytes = 0
        self.served = False
        self.read = False


def examine(directory: str) -> Examination:
    """Looks at the whole store in a directory. Raises `StoreError` where it cannot be looked at."""
    found = Examination()
    found.served = locks.is_taken(directory)
    if not found.served:
        problems = _structure(directory)
        found.served = bool(problems) and locks.is_taken(directory)  # a server has come, and changed what was read
        if problems and not found.served:
            found.problems = problems
            return found
    with StoreReader(directory) as store:
        found.read = True
        found.sizes = store.sizes()
        found.file_bytes = store.file_bytes()
        entries = sum([size.keys + size.deadlines for size in found.sizes])
        with Progress("Checking", entries, " entries") as progress:
            found.problems = check(store.snapshot, progress.advance)
    return found


def _structure(directory: str) -> list[str]:
    data_file = os.path.join(directory, DATA_FILE)
    try:
        verification.reason_to_verify(data_file, recover(directory))
        return verification.problems(data_file)
    except FileNotFoundError:
        raise StoreError(f"there is no store in {directory}") from None
    except verification.Unusable as error:
        raise StoreError(f"cannot check {data_file}: {error}") from error
    except OSError as error:
        raise StoreError(f"cannot read {data_file}: {error.strerror}") from error


def report(directory: str, found: Examination) -> list[str]:
    """The report of an examination without its problems, a line each."""
    lines = [f"{directory}: {found.file_bytes:,} bytes"] if found.read else [f"{directory}:"]
    if found.read:
        lines.append(f"{'database':>10}{'keys':>14}{'with deadline':>15}{'elements':>14}{'bytes':>18}")
        for size in found.sizes:
            lines.append(f"{size.index:>10}{size.keys:>14,}{size.deadlines:>15,}{size.elements:>14,}{size.bytes:>18,}")
    if found.served:
        lines.append("A server has the store open: its contents were checked, not the structure of its file.")
    elif not found.read:
        lines.append("The structure of the file is damaged; its contents were not looked at.")
    lines.append(f"Problems: {len(found.problems)}" if found.problems else "No problems found.")
    return lines
