"""Scans of a hash, a set or a sorted set, some elements a call: HSCAN, SSCAN and ZSCAN.

Redis gives a collection in its compact form as a whole, whatever the cursor and the COUNT; so does Keyp. Of a large one
the elements come in the order of their places, and the cursor stands for the last one visited. So an element that is
there all the time is not missed, whatever is added or removed meanwhile. A pattern with a literal beginning is sought
only among the elements that have it.
"""

from __future__ import annotations

from typing import Final

from keyp.algorithms.glob import Glob
from keyp.command.context import ReadContext
from keyp.command.scan_options import scan_options
from keyp.resp.values import Reply
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.layout import LONG_NAME_PREFIX
from keyp.storage.types.collection import Collection
from keyp.storage.types.elements import Entry
from keyp.storage.types.members import behind, opened
from keyp.storage.value_types import MEMBERS

END: Final = b"0"
NOTHING_SCANNED: Final[Reply] = [END, []]  # what a scan of no key replies, whatever its options are


def scan_elements(
    context: ReadContext, options: list[bytes], cursor: int, found: Collection, is_compact: bool
) -> tuple[bytes, list[Entry]]:
    """The next cursor, 0 at the end, and the members with their data. `options` stand behind the cursor's argument.

    Raises SYNTAX and NOT_AN_INTEGER.
    """
    glob, count, _ = scan_options(options, with_type=False)
    if is_compact:
        context.expect(found.count)
        return END, _matching(found.exactly(MEMBERS, b"", found.count), glob)
    cursors = context.shared.cursors
    position = cursors.find(cursor)
    start = behind(position[1:]) if position[:1] == MEMBERS else b""
    prefix = b"" if glob is None else glob.prefix[:LONG_NAME_PREFIX]
    context.expect(min(count, found.count))
    # One more than asked for shows whether the scan is over.
    visited = found.forward(MEMBERS, max(start, prefix), count + 1)
    while visited and not visited[-1][0].startswith(prefix):
        visited.pop()
    if len(visited) <= count:
        if not start and not prefix and len(visited) != found.count:
            raise Damaged(found.where())
        return END, _matching(visited, glob)
    visited.pop()
    return b"%d" % cursors.save(MEMBERS + visited[-1][0]), _matching(visited, glob)


def _matching(entries: list[Entry], glob: Glob | None) -> list[Entry]:
    found = opened(entries)
    return found if glob is None else [entry for entry in found if glob.matches(entry[0])]
