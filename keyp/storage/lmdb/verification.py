"""Is a data file safe to open? Reads its bytes, maps nothing, changes nothing.

LMDB maps the file and believes it: where the file is shorter than it says, or makes no sense, a signal may end the
process. So before each opening `reason_to_verify` looks at its meta pages and at how the last run ended; that takes
the same time whatever the size. Only with a reason is the whole file verified: `problems`, some five seconds for each
gigabyte. What passes that, LMDB can open and use.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from struct import error
from typing import Final

from lmdb import verify

from keyp.storage.lmdb import shutdown_marker
from keyp.storage.lmdb.meta_pages import MAGIC, DataFile
from keyp.storage.lmdb.pages import Pages

# What py-lmdb's verifier says of sub-databases: the pages at some data and how many the data need; and all of them.
MORE_PAGES: Final = re.compile(r"(.*) DB: overflow page \d+ header mp_pages (\d+) != OVPAGES\(\d+\)=(\d+)")
COUNTED: Final = re.compile(r"(.*) DB: walked (\d+) overflow pages, record says (\d+)")
UNREADABLE_META_PAGES: Final = "it is cut off in its head"


class Unusable(Exception):
    """The file is no store at all; the text says what it is."""


def reason_to_verify(path: str, is_journaled: bool = False) -> str:
    """Why the data file `path` should be verified before LMDB maps it; empty where there is no reason.

    With `is_journaled` its meta pages are those of a checkpoint. Raises `Unusable` where it is not an LMDB file,
    OSError where it cannot be read.
    """
    if os.stat(path).st_size == 0:
        raise Unusable("it is empty, what it held is gone")
    try:
        with DataFile(path) as file:
            if all(page.magic != MAGIC for page in file.meta_pages):
                raise Unusable("it is not a store of Keyp")
            return _meta_page_problem(file, is_journaled) or shutdown_marker.reason_to_verify(path)
    except error:
        return UNREADABLE_META_PAGES


def _meta_page_problem(file: DataFile, is_journaled: bool) -> str:
    first, second = file.meta_pages
    if not first.is_sound(0) or not second.is_sound(1) or first.page_bytes != second.page_bytes:
        return "its head is damaged"
    if not file.is_root(file.newest.free) or not file.is_root(file.newest.main):
        return "its head points to a wrong page"
    if file.size < file.newest.file_bytes:
        return "it is shorter than its head says"
    problem = "" if is_journaled else file.transaction_problem(order_kept=True)
    return problem or Pages(file).problem()


def problems(path: str) -> list[str]:
    """What is wrong with the data file `path`, a line each; an empty list if nothing is.

    A sound file may be shorter than its meta page says, where its last pages have never been used. And the older meta
    page may be damaged where it is certain that it is the older one: the next commit writes it anew. Raises OSError.
    """
    try:
        with DataFile(path) as file:
            if not file.newest.is_sound(file.newest is file.meta_pages[1]):
                return ["its head is damaged"]
            found = file.transaction_problem(shutdown_marker.kept_write_order(path))
            found = found or shutdown_marker.change_since_shutdown(path, file.newest)
            if found:
                return [found]
            structure = _without_surplus([str(problem) for problem in verify.verify(path, subdir=False)])
            return structure or [
                f"what is written of the sub-database {name!r} cannot be" for name in file.damaged_records()
            ]
    except error:
        return [UNREADABLE_META_PAGES]
    except verify.VerifyError as failure:
        return [str(failure)]


def _without_surplus(found: list[str]) -> list[str]:
    """What was found, but for the pages that LMDB keeps too many of.

    Where it writes data over longer ones of the same transaction it keeps all their pages, and frees them with the
    data. It does so itself with its lists of free pages. py-lmdb's verifier takes that for a fault, and the pages for
    lost.
    """
    surplus: Counter[str] = Counter()  # by sub-database
    for problem in found:
        pages = MORE_PAGES.match(problem)
        if pages is not None:
            surplus[pages[1]] += max(0, int(pages[2]) - int(pages[3]))
    lost = f"{surplus.total()} page(s) are neither reachable nor"
    left = []
    for problem in found:
        more, counted = MORE_PAGES.match(problem), COUNTED.match(problem)
        if more is not None and int(more[2]) > int(more[3]):
            continue
        if counted is not None and int(counted[3]) - int(counted[2]) == surplus[counted[1]]:
            continue
        if not problem.startswith(lost):
            left.append(problem)
    return left


def lengthen(path: str) -> None:
    """Gives a sound file the size its meta page says, so that its next opening needs no verification. Costs no room."""
    with DataFile(path) as file:
        size = file.newest.file_bytes
        if size > file.size:
            os.truncate(path, size)
