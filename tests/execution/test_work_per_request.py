"""What a request, a batch and a group cost in calls of LMDB, thread hops, sends and copies: nobody slows them unseen.

Counted, not timed. A count that must grow is a decision; it is changed here, on purpose, with its reason.
"""

from __future__ import annotations

import tracemalloc
from collections import Counter
from typing import Any

from keyp.net.read_size import READ_SIZES
from tests.counting import CountingLmdb
from tests.fakes import Connection, Lab


def calls(lab: Lab, chunks: dict[Connection, bytes]) -> Counter[str]:
    """The calls of LMDB while each client's bytes arrive and are answered."""
    real = lab.environment.lmdb
    counting: Any = CountingLmdb(real)
    lab.environment.lmdb = counting
    try:
        for client, chunk in chunks.items():
            client.protocol.dataReceived(chunk)
        lab.settle()
    finally:
        lab.environment.lmdb = real
    counts: Counter[str] = counting.counts
    return counts


def test_a_get(lab: Lab) -> None:
    """One snapshot, its number to know whether the list of databases is still the same, one look."""
    client = lab.connect()
    client.call("SET a 1", "GET a")
    client.call("GET a")
    assert calls(lab, {client: b"GET a\r\n"}) == {"begin": 1, "id": 1, "get": 1}


def test_a_batch_of_gets(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET a 1")
    client.call("GET a")
    before = client.transport.socket.sends
    assert calls(lab, {client: b"GET a\r\n" * 100}) == {"begin": 1, "id": 1, "get": 100}
    assert client.transport.socket.sends == before + 1


def test_a_set(lab: Lab) -> None:
    """Where the file ends; one write for the store's own numbers, a look and a write for the key."""
    client = lab.connect()
    client.call("SET a 1")
    assert calls(lab, {client: b"SET a 2\r\n"}) == {"info": 1, "begin": 1, "get": 1, "put": 2, "commit": 1}


def test_a_group_of_fifty_clients(lab: Lab) -> None:
    """What a group costs by itself is paid once: one transaction, one hop, and a look and a write for each key."""
    clients = [lab.connect() for _ in range(50)]
    clients[0].call("SET a 1")
    hops = lab.writer_thread.done
    counts = calls(lab, {client: b"SET k%d v\r\n" % number for number, client in enumerate(clients)})
    assert counts == {"info": 1, "begin": 1, "get": 50, "put": 51, "commit": 1}
    assert lab.writer_thread.done == hops + 1
    assert all(client.transport.socket.sends == 1 for client in clients[1:])


def test_a_transaction_of_a_client(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET a 1")
    counts = calls(lab, {client: b"MULTI\r\nSET a 2\r\nGET a\r\nEXEC\r\n"})
    assert counts == {"info": 1, "begin": 1, "get": 2, "put": 2, "commit": 1}


def test_an_expire(lab: Lab) -> None:
    """The record, and the entry of the index: the old one goes, the new one comes."""
    client = lab.connect()
    client.call("SET a 1 EX 100")
    assert calls(lab, {client: b"EXPIRE a 200\r\n"}) == {
        "info": 1,
        "begin": 1,
        "get": 1,
        "put": 3,
        "delete": 1,
        "commit": 1,
    }


def test_a_large_value_is_copied_a_few_times(lab: Lab) -> None:
    """In: from the pieces it came in, and into the pieces it is kept in. Out: from these, and into the reply."""
    client = lab.connect()
    size = 16 << 20
    request = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n" % size + bytes(size) + b"\r\n"
    chunks = [request[start : start + READ_SIZES[-1]] for start in range(0, len(request), READ_SIZES[-1])]
    del request
    tracemalloc.start()
    try:
        for chunk in chunks:
            client.protocol.dataReceived(chunk)
        lab.settle()
        peak_in = tracemalloc.get_traced_memory()[1]
        client.transport.socket.room = 0  # the reply stays in the transport's buffer: one copy more
        tracemalloc.reset_peak()
        client.send(b"GET a\r\n")
        peak_out = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_in < 2.5 * size
    assert peak_out < 4.5 * size
