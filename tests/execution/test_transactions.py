"""MULTI, EXEC, WATCH and the rest, through connections: rows of (client, command, reply)."""

from __future__ import annotations

import pytest

from tests.fakes import Lab

EXECABORT = b"-EXECABORT Transaction discarded because of previous errors.\r\n"

ROWS: list[tuple[str, list[tuple[str, str, bytes]]]] = [
    (
        "a transaction queues, then runs",
        [
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "SET k 1", b"+QUEUED\r\n"),
            ("b", "GET k", b"$-1\r\n"),
            ("a", "INCR k", b"+QUEUED\r\n"),
            ("a", "EXEC", b"*2\r\n+OK\r\n:2\r\n"),
            ("b", "GET k", b"$1\r\n2\r\n"),
        ],
    ),
    ("an empty one", [("a", "MULTI", b"+OK\r\n"), ("a", "EXEC", b"*0\r\n")]),
    ("EXEC alone", [("a", "EXEC", b"-ERR EXEC without MULTI\r\n")]),
    ("DISCARD alone", [("a", "DISCARD", b"-ERR DISCARD without MULTI\r\n")]),
    (
        "nested MULTI is an error that does not end the first",
        [
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "MULTI", b"-ERR MULTI calls can not be nested\r\n"),
            ("a", "EXEC", b"*0\r\n"),
        ],
    ),
    (
        "DISCARD forgets",
        [
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "SET k 1", b"+QUEUED\r\n"),
            ("a", "DISCARD", b"+OK\r\n"),
            ("a", "GET k", b"$-1\r\n"),
            ("a", "EXEC", b"-ERR EXEC without MULTI\r\n"),
        ],
    ),
    (
        "a refused call refuses them all",
        [
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "SET k", b"-ERR wrong number of arguments for 'set' command\r\n"),
            ("a", "SET k 1", b"+QUEUED\r\n"),
            ("a", "EXEC", EXECABORT),
            ("a", "GET k", b"$-1\r\n"),
        ],
    ),
    (
        "so does CLIENT REPLY, by which EXEC's replies would be fewer than its client counts on",
        [
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "CLIENT REPLY OFF", b"-ERR Command not allowed inside a transaction\r\n"),
            ("a", "SET k 1", b"+QUEUED\r\n"),
            ("a", "EXEC", EXECABORT),
            ("a", "GET k", b"$-1\r\n"),
        ],
    ),
    (
        "so does an unknown command",
        [
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "NOSUCH x", b"-ERR unknown command 'NOSUCH', with args beginning with: 'x' \r\n"),
            ("a", "EXEC", EXECABORT),
        ],
    ),
    (
        "a call that fails at EXEC fails alone",
        [
            ("a", "SET s text", b"+OK\r\n"),
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "SET k 1", b"+QUEUED\r\n"),
            ("a", "INCR s", b"+QUEUED\r\n"),
            ("a", "SET l 2", b"+QUEUED\r\n"),
            ("a", "EXEC", b"*3\r\n+OK\r\n-ERR value is not an integer or out of range\r\n+OK\r\n"),
            ("a", "MGET k l", b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n"),
        ],
    ),
    (
        "a watched key that another writes",
        [
            ("a", "WATCH k", b"+OK\r\n"),
            ("b", "SET k 1", b"+OK\r\n"),
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "SET k 2", b"+QUEUED\r\n"),
            ("a", "EXEC", b"*-1\r\n"),
            ("a", "GET k", b"$1\r\n1\r\n"),
        ],
    ),
    (
        "a watched key that one writes oneself before MULTI",
        [
            ("a", "WATCH k", b"+OK\r\n"),
            ("a", "SET k 1", b"+OK\r\n"),
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "EXEC", b"*-1\r\n"),
        ],
    ),
    (
        "a watched key that nobody touches",
        [
            ("a", "SET k 1", b"+OK\r\n"),
            ("a", "WATCH k other", b"+OK\r\n"),
            ("b", "SET third 1", b"+OK\r\n"),
            ("b", "GET k", b"$1\r\n1\r\n"),
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "INCR k", b"+QUEUED\r\n"),
            ("a", "EXEC", b"*1\r\n:2\r\n"),
        ],
    ),
    (
        "a watched key that goes",
        [
            ("a", "SET k 1", b"+OK\r\n"),
            ("a", "WATCH k", b"+OK\r\n"),
            ("b", "DEL k", b":1\r\n"),
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "EXEC", b"*-1\r\n"),
        ],
    ),
    (
        "a watched key that goes and comes back the same",
        [
            ("a", "SET k 1", b"+OK\r\n"),
            ("a", "WATCH k", b"+OK\r\n"),
            ("b", "DEL k", b":1\r\n"),
            ("b", "SET k 1", b"+OK\r\n"),
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "EXEC", b"*-1\r\n"),
        ],
    ),
    (
        "a deadline is a change",
        [
            ("a", "SET k 1", b"+OK\r\n"),
            ("a", "WATCH k", b"+OK\r\n"),
            ("b", "EXPIRE k 100", b":1\r\n"),
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "EXEC", b"*-1\r\n"),
        ],
    ),
    (
        "flushing away a watched key",
        [
            ("a", "SET k 1", b"+OK\r\n"),
            ("a", "WATCH k", b"+OK\r\n"),
            ("b", "FLUSHALL", b"+OK\r\n"),
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "EXEC", b"*-1\r\n"),
        ],
    ),
    (
        "swapping away a watched key",
        [
            ("a", "SET k 1", b"+OK\r\n"),
            ("a", "WATCH k", b"+OK\r\n"),
            ("b", "SWAPDB 0 1", b"+OK\r\n"),
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "EXEC", b"*-1\r\n"),
        ],
    ),
    (
        "the same key of another database is another key",
        [
            ("a", "WATCH k", b"+OK\r\n"),
            ("b", "SELECT 1", b"+OK\r\n"),
            ("b", "SET k 1", b"+OK\r\n"),
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "EXEC", b"*0\r\n"),
        ],
    ),
    (
        "UNWATCH",
        [
            ("a", "WATCH k", b"+OK\r\n"),
            ("b", "SET k 1", b"+OK\r\n"),
            ("a", "UNWATCH", b"+OK\r\n"),
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "EXEC", b"*0\r\n"),
        ],
    ),
    (
        "EXEC forgets what was watched, also when it fails",
        [
            ("a", "WATCH k", b"+OK\r\n"),
            ("b", "SET k 1", b"+OK\r\n"),
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "EXEC", b"*-1\r\n"),
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "EXEC", b"*0\r\n"),
        ],
    ),
    (
        "WATCH inside MULTI",
        [
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "WATCH k", b"-ERR WATCH inside MULTI is not allowed\r\n"),
            ("a", "EXEC", b"*0\r\n"),
        ],
    ),
    (
        "the first WATCH of a key counts",
        [
            ("a", "WATCH k", b"+OK\r\n"),
            ("b", "SET k 1", b"+OK\r\n"),
            ("a", "WATCH k", b"+OK\r\n"),
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "EXEC", b"*-1\r\n"),
        ],
    ),
    (
        "SELECT inside a transaction holds for the rest and after it",
        [
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "SET k 0", b"+QUEUED\r\n"),
            ("a", "SELECT 1", b"+QUEUED\r\n"),
            ("a", "SET k 1", b"+QUEUED\r\n"),
            ("a", "EXEC", b"*3\r\n+OK\r\n+OK\r\n+OK\r\n"),
            ("a", "GET k", b"$1\r\n1\r\n"),
            ("b", "GET k", b"$1\r\n0\r\n"),
        ],
    ),
    (
        "a transaction that only reads",
        [
            ("a", "SET k 1", b"+OK\r\n"),
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "GET k", b"+QUEUED\r\n"),
            ("a", "EXEC", b"*1\r\n$1\r\n1\r\n"),
        ],
    ),
    (
        "RESET leaves the transaction",
        [("a", "MULTI", b"+OK\r\n"), ("a", "RESET", b"+RESET\r\n"), ("a", "EXEC", b"-ERR EXEC without MULTI\r\n")],
    ),
    (
        "QUIT is not queued",
        [("a", "MULTI", b"+OK\r\n"), ("a", "QUIT", b"+OK\r\n")],
    ),
    (
        "SHUTDOWN is not allowed",
        [
            ("a", "MULTI", b"+OK\r\n"),
            ("a", "SHUTDOWN", b"-ERR Command not allowed inside a transaction\r\n"),
            ("a", "EXEC", EXECABORT),
        ],
    ),
]


@pytest.mark.parametrize("steps", [row[1] for row in ROWS], ids=[row[0] for row in ROWS])
def test_row(lab: Lab, steps: list[tuple[str, str, bytes]]) -> None:
    clients = {"a": lab.connect(), "b": lab.connect()}
    for who, command, reply in steps:
        assert (command, clients[who].call(command)) == (command, reply)


@pytest.mark.parametrize("steps", [row[1] for row in ROWS], ids=[row[0] for row in ROWS])
def test_row_in_one_chunk_where_one_client_speaks(lab: Lab, steps: list[tuple[str, str, bytes]]) -> None:
    client = lab.connect()
    alone = [(command, reply) for who, command, reply in steps if who == "a"]
    if len(alone) == len(steps):
        assert client.call(*[command for command, _ in alone]) == b"".join(reply for _, reply in alone)


def test_a_transaction_only_commits_at_exec(lab: Lab) -> None:
    client = lab.connect()
    client.call("MULTI")
    client.call("SET a 1")
    client.call("SET b 2")
    assert lab.writer_thread.done == 0
    client.call("EXEC")
    assert lab.writer_thread.done == 1


def test_a_transaction_of_reads_needs_no_writer(lab: Lab) -> None:
    client = lab.connect()
    assert client.call("MULTI", "GET a", "EXEC") == b"+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n"
    assert lab.writer_thread.done == 0


def test_a_write_that_follows_a_refused_multi_finds_its_way_to_the_writer(lab: Lab) -> None:
    client = lab.connect()
    replies = client.call("MULTI now", "SET a 1", "GET a")
    assert replies == b"-ERR wrong number of arguments for 'multi' command\r\n+OK\r\n$1\r\n1\r\n"


def test_watch_sees_a_key_expire(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET k 1 PX 50", "WATCH k")
    lab.advance_ms(51)
    assert client.call("MULTI", "PING", "EXEC") == b"+OK\r\n+QUEUED\r\n*-1\r\n"


def test_a_key_expired_before_watch_is_as_good_as_none(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET k 1 PX 50")
    lab.advance_ms(51)
    client.call("WATCH k")
    lab.server.dispatcher.sweep_if_due()
    lab.settle()
    assert client.call("MULTI", "PING", "EXEC") == b"+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n"


def test_a_queue_beyond_the_limit_ends_the_connection(lab: Lab) -> None:
    client = lab.connect()
    client.call("CONFIG SET client-query-buffer-limit 1048576")
    client.call("MULTI")
    big = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$65536\r\n" + b"x" * 65536 + b"\r\n"
    for _ in range(20):
        client.send(big)
    assert client.transport.disconnecting
