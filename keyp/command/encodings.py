"""Redis's names for the encodings of lists, hashes, sets and sorted sets.

Keyp keeps every collection in one way, but tools and tests ask for these names. Redis looks at its limits when a
collection is written and does not go back to a compact form, but for lists; so the others' headers keep the form. That
of a list is found by looking at no more elements than the compact form may have just now.
"""

from __future__ import annotations

from typing import Final

from keyp.command.arguments import to_int64
from keyp.storage.types.hashes import Hash
from keyp.storage.types.lists import List
from keyp.storage.types.members import COMPACT, INTEGERS, LARGE
from keyp.storage.types.sets import Set
from keyp.storage.types.sortedsets import SortedSet

LIST_BYTES_MAX: Final = 8192  # where `list-max-listpack-size` counts elements
LIST_BYTES: Final = (4096, 8192, 16384, 32768, 65536)  # for list-max-listpack-size -1, -2, …
LIST_HEAD: Final = 7
LIST_SLICE: Final = 128

SET_FORMS: Final = {INTEGERS: b"intset", COMPACT: b"listpack", LARGE: b"hashtable"}


def list_encoding(found: List) -> bytes:
    """`listpack` for a list that fits into one, as Redis packs it, else `quicklist`."""
    wanted = found.keys.lookups.limits.list_size
    bytes_max = LIST_BYTES[min(-wanted, len(LIST_BYTES)) - 1] if wanted < 0 else LIST_BYTES_MAX
    if wanted >= 0 and found.count > max(wanted, 1):
        return b"quicklist"
    size, done = LIST_HEAD, 0
    while done < found.count and size <= bytes_max:
        part = found.range(done, min(LIST_SLICE, found.count - done))
        size += sum([_packed_size(element) for element in part])
        done += len(part)
    return b"listpack" if size <= bytes_max else b"quicklist"


def _packed_size(element: bytes) -> int:
    """Bytes of an element in Redis's listpack: an integer by its size, or a text with its length."""
    number = to_int64(element)
    if number is None:
        length = len(element)
        size = length + (1 if length < 64 else 2 if length < 4096 else 5)
    elif 0 <= number <= 127:
        size = 1
    else:
        bits = (number if number >= 0 else ~number).bit_length() + 1
        size = next((size for most, size in ((13, 2), (16, 3), (24, 4), (32, 5)) if bits <= most), 9)
    return size + (1 if size < 128 else 2 if size < 16384 else 3)


def hash_encoding(found: Hash) -> bytes:
    """`listpack` for a hash that has always been small, else `hashtable`."""
    return b"listpack" if found.form == COMPACT else b"hashtable"


def set_encoding(found: Set) -> bytes:
    """`intset` and `listpack` for a set that has always been small, else `hashtable`."""
    return SET_FORMS[found.form]


def sorted_set_encoding(found: SortedSet) -> bytes:
    """`listpack` while a sorted set has always been small, with short members; else `skiplist`."""
    return b"listpack" if found.is_compact else b"skiplist"
