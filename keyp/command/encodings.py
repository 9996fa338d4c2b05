"""Redis's names for the encodings of values, by type.

Keyp keeps every collection in one way, but tools and tests ask for these names. Redis looks at its limits when a
collection is written and does not go back to a compact form, but for lists; so the others' headers keep the form. That
of a list is found by looking at no more elements than the compact form may have just now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keyp.command.arguments import to_int64
from keyp.storage.keys.keyspace import Keyspace
from keyp.storage.lmdb import layout
from keyp.storage.types import strings
from keyp.storage.types.hashes import Hash
from keyp.storage.types.lists import List
from keyp.storage.types.members import COMPACT, INTEGERS, LARGE
from keyp.storage.types.sets import Set
from keyp.storage.types.sortedsets import SortedSet
from keyp.storage.value_types import HASH, LIST, SET, STREAM, STRING, ZSET

EMBEDDED_MAX: Final = 44  # bytes of a string that Redis keeps in the same allocation as its head
LIST_BYTES_MAX: Final = 8192  # where `list-max-listpack-size` counts elements
LIST_BYTES: Final = (4096, 8192, 16384, 32768, 65536)  # for list-max-listpack-size -1, -2, …
LIST_HEAD: Final = 7
LIST_SLICE: Final = 128

SET_FORMS: Final = {INTEGERS: b"intset", COMPACT: b"listpack", LARGE: b"hashtable"}


def _list_encoding(keys: Keyspace, record: bytes) -> bytes:
    """`listpack` for a list that fits into one, as Redis packs it, else `quicklist`."""
    found = List(keys, b"", record)
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


def _hash_encoding(keys: Keyspace, record: bytes) -> bytes:
    """`listpack` for a hash that has always been small, else `hashtable`."""
    found = Hash(keys, b"", record)
    return b"listpack" if found.form == COMPACT else b"hashtable"


def _set_encoding(keys: Keyspace, record: bytes) -> bytes:
    """`intset` and `listpack` for a set that has always been small, else `hashtable`."""
    found = Set(keys, b"", record)
    return SET_FORMS[found.form]


def _sorted_set_encoding(keys: Keyspace, record: bytes) -> bytes:
    """`listpack` while a sorted set has always been small, with short members; else `skiplist`."""
    found = SortedSet(keys, b"", record)
    return b"listpack" if found.is_compact else b"skiplist"


def _stream_encoding(keys: Keyspace, record: bytes) -> bytes:
    """`stream`."""
    return b"stream"


def _string_encoding(keys: Keyspace, record: bytes) -> bytes:
    """`raw` for a string that is long or was edited; `int` for an integer, `embstr` for a short one."""
    if record[0] & (layout.EDITED | layout.HAS_ELEMENTS):
        return b"raw"
    string = strings.value(keys, record)
    if not record[0] & layout.FLOAT and to_int64(string) is not None:
        return b"int"
    return b"embstr" if len(string) <= EMBEDDED_MAX else b"raw"


ENCODINGS: Final[dict[int, Callable[[Keyspace, bytes], bytes]]] = {
    STRING: _string_encoding,
    LIST: _list_encoding,
    HASH: _hash_encoding,
    SET: _set_encoding,
    ZSET: _sorted_set_encoding,
    STREAM: _stream_encoding,
}


def encoding(keys: Keyspace, record: bytes) -> bytes:
    """The name of the encoding that Redis would give the value of a record of `keys`."""
    return ENCODINGS[layout.record_type(record)](keys, record)
