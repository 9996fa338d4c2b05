"""Clients that wait for keys: in their order, inside the group that brings what they wait for, and undone with it."""

from __future__ import annotations

from typing import Any

import pytest

from keyp.command.registry import Registry
from keyp.command.table import CommandTable
from keyp.commands.all import TABLES
from tests.fakes import Connection, Lab

FAULTY = CommandTable(group="string")
REFUSED = b"-ERR internal error, nothing of this command was applied; see the server's log\r\n"
UNBLOCKED = b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"
TIMED_OUT = b"*-1\r\n"


@FAULTY.write("STUMBLE", arity=1, since="0", summary="Meets a defect.")
def stumble(context: Any, args: list[bytes]) -> str:
    raise ZeroDivisionError("a defect")


def popped(key: str, element: str) -> bytes:
    return f"*2\r\n${len(key)}\r\n{key}\r\n${len(element)}\r\n{element}\r\n".encode()


def waiting(lab: Lab, *lines: str) -> Connection:
    """A client whose last command waits."""
    client = lab.connect()
    assert client.call(*lines) == b""
    assert client.connection.client.waiting
    return client


def test_the_longest_waiter_comes_first(lab: Lab) -> None:
    clients = [waiting(lab, "BLPOP l 0") for _ in range(5)]
    assert lab.connect().call("RPUSH l a b c") == b":3\r\n"
    assert [client.transport.sent for client in clients] == [popped("l", x) for x in "abc"] + [b"", b""]
    assert lab.connect().call("RPUSH l d e f", "LRANGE l 0 -1") == b":3\r\n*1\r\n$1\r\nf\r\n"
    assert [client.transport.sent for client in clients[3:]] == [popped("l", x) for x in "de"]
    assert lab.server.state.blocked_clients.count == lab.server.state.metrics.blocked_clients == 0


def test_who_waits_for_many_keys_leaves_all_of_them(lab: Lab) -> None:
    client = waiting(lab, "BLPOP a b c a 0")
    other = waiting(lab, "BLPOP b 0")
    lab.connect().call("RPUSH c x")
    assert client.transport.sent == popped("c", "x")
    lab.connect().call("RPUSH b y")
    assert other.transport.sent == popped("b", "y")
    assert lab.server.state.blocked_clients.blocked_keys() == []


def test_a_value_of_another_type_serves_only_those_who_wait_for_it(lab: Lab) -> None:
    lists, scores = waiting(lab, "BLPOP k 0"), waiting(lab, "BZPOPMIN k 0")
    lab.connect().call("ZADD k 1 a")
    assert (lists.transport.sent, scores.transport.sent) == (b"", b"*3\r\n$1\r\nk\r\n$1\r\na\r\n$1\r\n1\r\n")
    lab.connect().call("RPUSH k a")
    assert lists.transport.sent == popped("k", "a")


def test_who_waits_for_many_keys_is_refused_where_one_has_another_type_by_then(lab: Lab) -> None:
    client = waiting(lab, "BLPOP a b 0")
    lab.connect().call("ZADD a 1 x")
    assert client.transport.sent == b""
    lab.connect().call("MULTI", "RPUSH b x", "DEL b", "EXEC")  # nothing is there when clients are served
    assert client.transport.sent == b""
    lab.connect().call("RPUSH b x")
    assert client.transport.sent.startswith(b"-WRONGTYPE ")
    assert lab.connect().call("LLEN b") == b":1\r\n"


def test_the_rest_of_a_pipeline_waits_too(lab: Lab) -> None:
    client = lab.connect()
    assert client.call("SET k 1", "BLPOP l 0", "INCR k", "BLPOP m 0", "INCR k") == b"+OK\r\n"
    assert client.call("GET k") == b""
    assert lab.connect().call("GET k") == b"$1\r\n1\r\n"
    lab.connect().call("RPUSH l a")
    assert client.transport.sent == b"+OK\r\n" + popped("l", "a") + b":2\r\n"
    lab.connect().call("RPUSH m b")
    assert client.transport.sent.endswith(popped("m", "b") + b":3\r\n$1\r\n3\r\n")


def test_served_by_the_batch_in_front_in_the_same_group(lab: Lab) -> None:
    one, other, third = lab.connect(), lab.connect(), lab.connect()
    one.protocol.dataReceived(b"BLPOP l 0\r\nPING\r\n")
    other.protocol.dataReceived(b"RPUSH l a\r\nLLEN l\r\n")
    third.protocol.dataReceived(b"LLEN l\r\nSET x 1\r\n")
    lab.settle()
    assert one.transport.sent == popped("l", "a") + b"+PONG\r\n"
    assert other.transport.sent == b":1\r\n:0\r\n"
    assert third.transport.sent == b":0\r\n+OK\r\n"
    assert lab.writer_thread.done == 1


def test_a_group_that_is_undone_gives_back_the_waiters(lab: Lab) -> None:
    lab.server.state.registry = Registry([*TABLES, FAULTY])
    first, second = waiting(lab, "BLPOP l 0"), waiting(lab, "BLPOP l 0")
    joins, pushes, bad = lab.connect(), lab.connect(), lab.connect()
    joins.protocol.dataReceived(b"BLPOP l 0\r\n")
    pushes.protocol.dataReceived(b"RPUSH l a b\r\n")
    bad.protocol.dataReceived(b"RPUSH l x\r\nSTUMBLE\r\n")
    lab.settle()
    assert bad.transport.sent == REFUSED * 2
    assert pushes.transport.sent == b":2\r\n"
    assert (first.transport.sent, second.transport.sent) == (popped("l", "a"), popped("l", "b"))
    assert joins.transport.sent == b""
    lab.connect().call("RPUSH l c")
    assert joins.transport.sent == popped("l", "c")


def test_a_refused_batch_serves_nobody(lab: Lab) -> None:
    lab.server.state.registry = Registry([*TABLES, FAULTY])
    client = waiting(lab, "BLPOP l 0")
    assert lab.connect().call("RPUSH l a", "STUMBLE") == REFUSED * 2
    assert client.transport.sent == b""
    assert lab.connect().call("EXISTS l", "RPUSH l b") == b":0\r\n:1\r\n"
    assert client.transport.sent == popped("l", "b")


@pytest.mark.parametrize("protocol", [2, 3])
def test_the_time_is_over(lab: Lab, protocol: int) -> None:
    client = lab.connect()
    client.call(f"HELLO {protocol}")
    before = len(client.transport.sent)
    client.call("BLPOP l 1.5", "PING")
    lab.advance_ms(1499)
    assert client.transport.sent[before:] == b""
    lab.advance_ms(1)
    assert client.transport.sent[before:] == (TIMED_OUT if protocol == 2 else b"_\r\n") + b"+PONG\r\n"
    lab.connect().call("RPUSH l a")
    assert lab.connect().call("LLEN l") == b":1\r\n"


def test_a_time_that_is_over_while_a_group_runs(lab: Lab) -> None:
    """What the group brings is the client's; a group that brings nothing leaves it the null."""
    lucky, unlucky = waiting(lab, "BLPOP l 1"), waiting(lab, "BLPOP m 1")
    lab.writer_thread.held = True
    lab.connect().protocol.dataReceived(b"RPUSH l a\r\n")
    lab.settle()
    lab.advance_ms(2000)
    assert (lucky.transport.sent, unlucky.transport.sent) == (b"", b"")
    lab.writer_thread.work()
    lab.settle()
    assert (lucky.transport.sent, unlucky.transport.sent) == (popped("l", "a"), TIMED_OUT)
    assert not lab.reactor.getDelayedCalls()


def test_client_unblock(lab: Lab) -> None:
    one, other = waiting(lab, "BLPOP l 0", "PING"), waiting(lab, "BLPOP l 0")
    ids = [client.connection.client.id for client in (one, other)]
    control = lab.connect()
    assert control.call(f"CLIENT UNBLOCK {ids[0]}", f"CLIENT UNBLOCK {ids[1]} ERROR") == b":1\r\n:1\r\n"
    assert one.transport.sent == TIMED_OUT + b"+PONG\r\n"
    assert other.transport.sent == UNBLOCKED
    assert control.call(f"CLIENT UNBLOCK {ids[0]}", "CLIENT UNBLOCK 77") == b":0\r\n:0\r\n"


def test_a_client_that_has_gone_takes_nothing(lab: Lab) -> None:
    gone, stays = waiting(lab, "BLPOP l 0"), waiting(lab, "BLPOP l 0")
    gone.lose()
    lab.settle()
    lab.connect().call("RPUSH l a")
    assert stays.transport.sent == popped("l", "a")
    assert lab.server.state.blocked_clients.count == lab.server.state.metrics.blocked_clients == 0


def test_a_client_that_goes_while_a_group_runs(lab: Lab) -> None:
    gone, stays = waiting(lab, "BLPOP l 0"), waiting(lab, "BLPOP l 0")
    lab.writer_thread.held = True
    lab.connect().protocol.dataReceived(b"RPUSH l a\r\n")
    lab.settle()
    gone.lose()
    lab.writer_thread.work()
    lab.settle()
    assert stays.transport.sent == popped("l", "a")
    assert lab.server.state.blocked_clients.count == 0


def test_a_client_is_killed_while_it_waits(lab: Lab) -> None:
    client = waiting(lab, "BLPOP l 0")
    lab.connect().call(f"CLIENT KILL ID {client.connection.client.id}")
    assert client.transport.disconnecting


def test_the_lists_of_clients_tell_who_waits(lab: Lab) -> None:
    client = waiting(lab, "BLPOP l m 0")
    control = lab.connect()
    line = next(line for line in control.call("CLIENT LIST").split(b"\n") if b"cmd=blpop" in line)
    assert b"flags=b " in line
    info = control.call("INFO clients")
    assert b"blocked_clients:1\r\n" in info
    assert b"total_blocking_keys:2\r\n" in info
    assert b"cmdstat_blpop" not in control.call("INFO commandstats")
    control.call("RPUSH m a")
    assert client.transport.sent == popped("m", "a")
    assert b"cmdstat_blpop:calls=1," in control.call("INFO commandstats")
    assert b"blocked_clients:0\r\n" in control.call("INFO clients")


def test_silence_does_not_close_who_waits(lab: Lab) -> None:
    client = waiting(lab, "BLPOP l 0")
    lab.connect().call("CONFIG SET timeout 10")
    lab.clock.advance_ms(20_000)
    lab.server.close_idle_clients()
    assert not client.transport.disconnecting


def test_client_reply_off_and_skip(lab: Lab) -> None:
    off, skip = lab.connect(), lab.connect()
    off.call("CLIENT REPLY OFF", "BLPOP l 0")
    skip.call("CLIENT REPLY SKIP", "BLPOP l 0")
    lab.connect().call("RPUSH l a b")
    assert (off.transport.sent, skip.call("PING")) == (b"", b"+PONG\r\n")
    assert off.call("CLIENT REPLY ON") == b"+OK\r\n"


def test_the_server_ends_while_clients_wait(lab: Lab) -> None:
    client = waiting(lab, "BLPOP l 0")
    gone: list[None] = []
    lab.server.finish_clients().addCallback(gone.append)
    assert client.transport.disconnecting
    client.lose()
    lab.settle()
    assert gone == [None]


def test_a_full_store_is_an_error_for_who_is_served(lab: Lab) -> None:
    client = waiting(lab, "BLMOVE l k LEFT LEFT 0")
    lab.environment.max_bytes = 1
    assert b"OOM" in lab.connect().call("RPUSH l a")
    lab.environment.max_bytes = 0
    lab.connect().call("RPUSH l a")
    assert client.transport.sent == b"$1\r\na\r\n"
