"""The libraries of functions: their texts, as entries of `meta`, and a digest of what they are.

    library:…   BLAKE2b of the name -> the text
    libraries   the digest, another one after every change

Who has compiled them looks at the digest alone to see whether they are still the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

from keyp.errors import CommandError
from keyp.scripting.script import read_library
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.lmdb.transaction import PresentTransaction, ReadTransaction, Transaction, WriteTransaction

DIGEST: Final = b"libraries"
PREFIX: Final = b"library:"
DIGEST_BYTES: Final = 20


def _entry(name: bytes) -> bytes:
    return PREFIX + blake2b(name, digest_size=DIGEST_BYTES).digest()


def digest(transaction: Transaction) -> bytes:
    """What stands for the libraries as a whole; empty where there never was one. Raises `Damaged`."""
    return _read(transaction, DIGEST)


def _read(transaction: Transaction, name: bytes) -> bytes:
    assert isinstance(transaction, (ReadTransaction, PresentTransaction, WriteTransaction))
    raw: bytes | None = transaction.txn.get(name, None, transaction.environment.meta)
    if raw is None:
        return b""
    return _whole(name, raw)


def _whole(name: bytes, raw: bytes) -> bytes:
    if not layout.is_intact(name, raw):
        raise Damaged("a library of functions is not what was written")
    return raw[: -layout.CHECKSUM]


def texts(transaction: Transaction) -> list[bytes]:
    """The texts of all libraries, in an order that stays. Raises `Damaged`."""
    return [_whole(entry, raw) for entry, raw in _entries(transaction)]


def _entries(transaction: Transaction) -> Iterator[tuple[bytes, bytes]]:
    assert isinstance(transaction, (ReadTransaction, PresentTransaction, WriteTransaction))
    with transaction.txn.cursor(transaction.environment.meta) as cursor:
        is_there = cursor.set_range(PREFIX)
        while is_there and (entry := bytes(cursor.key())).startswith(PREFIX):
            yield entry, bytes(cursor.value())
            is_there = cursor.next()


def problems(transaction: Transaction) -> Iterator[str]:
    """What is wrong with the libraries, a line each: for `keyp check`."""
    found = 0
    for entry, raw in _entries(transaction):
        found += 1
        where = f"the library of functions at {entry[len(PREFIX) :].hex()}"
        if not layout.is_intact(entry, raw):
            yield f"{where} is not what was written"
            continue
        try:
            name, _ = read_library(raw[: -layout.CHECKSUM])
        except CommandError as error:
            yield f"{where} is none: {error.text}"
            continue
        if _entry(name) != entry:
            yield f"{where} has the name of another one"
    try:
        if not digest(transaction) and found:
            yield f"there are {found} libraries of functions, and none is known of"
    except Damaged:
        yield "the digest of the libraries of functions is not what was written"


def put(writing: WriteTransaction, name: bytes, text: bytes) -> None:
    """Writes a library, in place of one of that name."""
    _write(writing, _entry(name), text)
    _changed(writing, b"put" + text)


def delete(writing: WriteTransaction, name: bytes) -> bool:
    """Removes a library; whether it was there."""
    was_there = writing.delete(writing.environment.meta, _entry(name))
    if was_there:
        _changed(writing, b"delete" + name)
    return was_there


def flush(writing: WriteTransaction) -> None:
    """Removes all of them."""
    writing.delete_first(writing.environment.meta, PREFIX, 1 << 62)
    _changed(writing, b"flush")


def _changed(writing: WriteTransaction, what: bytes) -> None:
    before = writing.txn.get(DIGEST, b"", writing.environment.meta)  # damaged or not: FLUSH makes it whole
    _write(writing, DIGEST, blake2b(before + what, digest_size=DIGEST_BYTES).digest())
    writing.changes += 1


def _write(writing: WriteTransaction, name: bytes, data: bytes) -> None:
    writing.put(writing.environment.meta, name, layout.with_checksum(name, data))
