"""Strings that are too long for a transaction: written before it, in bounded ones, and still all or nothing."""

from __future__ import annotations

import errno
import os

import pytest

from keyp.errors import DAMAGED_STORE, DISK_FULL
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.keys.staging import STAGED_AT_ONCE, STAGED_MIN
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.pieces import PIECE_BYTES
from keyp.storage.lmdb.store import DATA_FILE
from keyp.storage.lmdb.transaction import ReadTransaction, WriteTransaction
from keyp.storage.types import strings
from tests.failing_disk import error_with, failing
from tests.fakes import Lab

LONG = STAGED_MIN + 3 * PIECE_BYTES + 7
TRANSACTIONS = -(-LONG // (STAGED_AT_ONCE // PIECE_BYTES * PIECE_BYTES))
BLOCK = bytes(range(1, 252)) * 261  # nowhere the same at the same place of two pieces


def long_string(size: int = LONG, first: bytes = b"") -> bytes:
    return (first + BLOCK * (size // len(BLOCK) + 1))[:size]


def multibulk(*args: bytes) -> bytes:
    return b"*%d\r\n" % len(args) + b"".join([b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args])


def put(lab: Lab, key: bytes, data: bytes) -> None:
    """Stores a string in small steps, as APPENDs do."""
    for start in range(0, len(data), STAGED_AT_ONCE):
        transaction = WriteTransaction(lab.environment, 1)
        transaction.version += 1
        transaction.in_write = True
        strings.append(WritableKeyspace(transaction, 0), key, data[start : start + STAGED_AT_ONCE])
        transaction.commit()


def get(lab: Lab, key: bytes, database: int = 0) -> bytes | None:
    with ReadTransaction(lab.environment, 1) as transaction:
        return strings.get(Keyspace(transaction, database), key)


def holds(lab: Lab, key: bytes, expected: bytes | None, database: int = 0) -> bool:
    """Compared here, so that nobody prints what differs."""
    return get(lab, key, database) == expected


def garbage(lab: Lab) -> int:
    with lab.environment.lmdb.begin() as txn:
        return int(txn.stat(lab.environment.garbage)["entries"])


def sweep(lab: Lab) -> None:
    for _ in range(100):
        lab.server.dispatcher.sweep_if_due()
        lab.advance_ms(10)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ((b"COPY", b"a", b"t"), long_string()),
        ((b"COPY", b"a", b"t", b"REPLACE"), long_string()),
        ((b"MOVE", b"a", b"3"), None),
        ((b"BITOP", b"XOR", b"t", b"a", b"b"), bytes([0x41 ^ BLOCK[0]]) + long_string()[1:]),
        ((b"BITOP", b"NOT", b"t", b"a"), long_string().translate(bytes(range(255, -1, -1)))),
        ((b"BITOP", b"OR", b"a", b"a", b"b"), None),
        ((b"SET", b"t", long_string()), long_string()),
        ((b"APPEND", b"new", long_string()), None),
        ((b"SET", b"a", long_string(first=b"other")), None),
    ],
    ids=lambda value: b" ".join(value)[:20].decode() if isinstance(value, tuple) else "",
)
def test_no_transaction_holds_a_long_string(lab: Lab, command: tuple[bytes, ...], expected: bytes | None) -> None:
    put(lab, b"a", long_string())
    put(lab, b"b", b"A")
    before = lab.commits()
    reply = lab.connect().send(multibulk(*command))
    assert reply[:1] in b":+", reply[:100]
    assert lab.commits() - before == TRANSACTIONS + 1
    if expected is not None:
        assert holds(lab, b"t", expected)
    if command[0] == b"MOVE":
        assert holds(lab, b"a", long_string(), 3)
    sweep(lab)
    assert garbage(lab) == 0


def test_where_transactions_are_synced_they_are_fewer(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the file is extended for them, not by LMDB, from the second on."""
    put(lab, b"a", long_string())
    client = lab.connect()
    assert client.call("CONFIG SET appendfsync always") == b"+OK\r\n"
    before = lab.commits()
    extended = []
    pwrite = os.pwrite

    def counted(fd: int, data: bytes, at: int) -> int:
        extended.append(len(data))
        return pwrite(fd, data, at)

    monkeypatch.setattr(os, "pwrite", counted)
    assert client.call("COPY a t") == b":1\r\n"
    assert lab.commits() - before == TRANSACTIONS + 1
    assert sum(extended) > STAGED_AT_ONCE
    assert holds(lab, b"t", long_string())


def test_zeros_need_no_stage(lab: Lab) -> None:
    """What is to be written is little, however long the string is."""
    client = lab.connect()
    before = lab.commits()
    assert client.call(f"SETRANGE a {8 * LONG} x", f"SETBIT b {8 * 8 * LONG} 1") == b":%d\r\n:0\r\n" % (8 * LONG + 1)
    assert lab.commits() - before == 1
    assert os.path.getsize(os.path.join(lab.environment.path, DATA_FILE)) < 4 << 20


def test_those_who_were_in_its_group_are_run_once(lab: Lab) -> None:
    put(lab, b"a", long_string())
    clients = [lab.connect() for _ in range(5)]
    for number, client in enumerate(clients):
        client.protocol.dataReceived(b"COPY a t\r\n" if number == 2 else b"INCR n\r\n")
    lab.settle()
    assert [client.transport.sent for client in clients] == [b":1\r\n", b":2\r\n", b":1\r\n", b":3\r\n", b":4\r\n"]
    assert holds(lab, b"t", long_string())


def test_several_of_one_command(lab: Lab) -> None:
    one, other = long_string(first=b"1"), long_string(first=b"2")
    client = lab.connect()
    assert client.send(multibulk(b"MSET", b"x", one, b"y", other, b"z", one, b"short", b"s")) == b"+OK\r\n"
    assert holds(lab, b"x", one)
    assert holds(lab, b"y", other)
    assert holds(lab, b"z", one)
    assert get(lab, b"short") == b"s"
    assert garbage(lab) == 0


@pytest.mark.parametrize("before", ["SET x 1", "FLUSHALL", "SWAPDB 0 1", "APPEND a more"])
def test_after_another_write_of_its_transaction_it_is_not_staged(lab: Lab, before: str) -> None:
    """What it is made of, or where it goes, may be something that only its transaction sees."""
    put(lab, b"a", long_string())
    client = lab.connect()
    started = lab.commits()
    client.call("MULTI", before, "COPY a t")
    client.send(multibulk(b"SET", b"u", long_string(first=b"u")))
    client.call("EXEC")
    assert lab.commits() - started == 1
    assert holds(lab, b"u", long_string(first=b"u"))
    expected = {"SET x 1": long_string(), "APPEND a more": long_string() + b"more"}
    assert holds(lab, b"t", expected.get(before))


@pytest.mark.parametrize("spared", range(TRANSACTIONS + 2))
def test_a_full_disk_leaves_all_or_nothing(lab: Lab, spared: int) -> None:
    put(lab, b"a", long_string())
    put(lab, b"t", b"old")
    with failing(lab, error_with(errno.ENOSPC), spared=spared):
        reply = lab.connect().call("COPY a t REPLACE")
    done = spared == TRANSACTIONS + 1
    assert reply == (b":1\r\n" if done else f"-{DISK_FULL}\r\n".encode())
    assert holds(lab, b"t", (long_string() if done else b"old"))
    sweep(lab)
    assert garbage(lab) == 0
    with ReadTransaction(lab.environment, 1) as transaction:
        space = transaction.space(0)
        assert space is not None
        left = int(transaction.txn.stat(space.elements)["entries"])
    assert left == (2 if done else 1) * -(-LONG // PIECE_BYTES)


def test_damage_is_found_before_anything_shows(lab: Lab) -> None:
    put(lab, b"a", long_string())
    with lab.environment.lmdb.begin(write=True) as txn:
        elements = lab.environment.spaces[1].elements
        name = layout.number(1) + (200).to_bytes(4, "big")
        whole = txn.get(name, None, elements)
        assert whole is not None
        txn.put(name, b"damaged", db=elements)
    assert lab.connect().call("COPY a t", "EXISTS t") == f"-{DAMAGED_STORE}\r\n".encode() * 2
    assert lab.connect().call("EXISTS t") == b":0\r\n"
    with lab.environment.lmdb.begin(write=True) as txn:
        txn.put(name, whole, db=elements)


def test_the_file_does_not_grow_when_one_is_written_again_and_again(lab: Lab) -> None:
    client = lab.connect()
    for number in range(8):
        assert client.send(multibulk(b"SET", b"k", long_string(first=b"%d" % number))) == b"+OK\r\n"
    assert os.path.getsize(os.path.join(lab.environment.path, DATA_FILE)) < 4 * LONG
