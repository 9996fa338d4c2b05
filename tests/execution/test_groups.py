"""Commit groups: undone as a whole, run again one by one, only the guilty one refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import LogEvent, formatEvent

from keyp.command.effects import StopServer
from keyp.command.registry import Registry
from keyp.command.table import CommandTable
from keyp.commands.all import TABLES
from keyp.execution.commit_delay import GROUP_MAX
from keyp.execution.group_commit import GroupCommit
from keyp.storage.lmdb.transaction import WriteTransaction
from keyp.storage.types import strings as values
from tests.counting import CountingLmdb
from tests.fakes import Lab
from tests.log import observed

FAULTY = CommandTable(group="string")


@FAULTY.write("HALFWAY", arity=2, since="0", summary="Writes, then meets a defect.")
def halfway(context: Any, args: list[bytes]) -> str:
    values.put(context.keys, args[1], b"half")
    raise ZeroDivisionError("a defect")


@FAULTY.read("STUMBLE", arity=1, since="0", summary="Meets a defect while reading.")
def stumble(context: Any, args: list[bytes]) -> str:
    raise ZeroDivisionError("a defect")


@FAULTY.session("LEAVE", arity=1, since="0", summary="Asks for the server's end, then meets a defect.")
def leave(context: Any, args: list[bytes]) -> str:
    context.after(StopServer())
    raise ZeroDivisionError("a defect")


INTERNAL = b"-ERR internal error, nothing of this command was applied; see the server's log\r\n"


@pytest.fixture
def faulty_lab(lab: Lab) -> Lab:
    lab.server.state.registry = Registry([*TABLES, FAULTY])
    return lab


def test_one_defect_among_fifty_batches(faulty_lab: Lab) -> None:
    lab = faulty_lab
    clients = [lab.connect() for _ in range(50)]
    for index, client in enumerate(clients):
        command = b"HALFWAY bad" if index == 20 else b"INCR n"
        client.protocol.dataReceived(command + b"\r\nINCR all\r\n")
    lab.settle()
    assert clients[20].transport.sent == INTERNAL * 2
    done = [client.transport.sent for index, client in enumerate(clients) if index != 20]
    assert done == [b":%d\r\n:%d\r\n" % (n, n) for n in range(1, 50)]
    assert lab.connect().call("MGET n all bad") == b"*3\r\n$2\r\n49\r\n$2\r\n49\r\n$-1\r\n"


def test_what_a_refused_batch_did_to_its_client_is_undone_too(faulty_lab: Lab) -> None:
    client = faulty_lab.connect()
    assert client.call("SELECT 3", "CLIENT SETNAME x", "HALFWAY k", "SELECT 4") == INTERNAL * 4
    assert client.call("CLIENT GETNAME", "SET k 0") == b"$-1\r\n+OK\r\n"
    assert faulty_lab.connect().call("GET k") == b"$1\r\n0\r\n"


def test_a_batch_that_runs_twice_changes_its_client_once(faulty_lab: Lab) -> None:
    lab = faulty_lab
    good, bad = lab.connect(), lab.connect()
    good.protocol.dataReceived(b"SET a 0\r\nSELECT 1\r\nSET a 1\r\nMULTI\r\nINCR a\r\nINCR a\r\n")
    bad.protocol.dataReceived(b"HALFWAY k\r\n")
    lab.settle()
    assert good.transport.sent == b"+OK\r\n" * 4 + b"+QUEUED\r\n" * 2
    assert bad.transport.sent == INTERNAL
    assert good.call("EXEC") == b"*2\r\n:2\r\n:3\r\n"
    assert lab.connect().call("GET a") == b"$1\r\n0\r\n"


def test_a_defect_in_a_read_is_an_error_reply(faulty_lab: Lab) -> None:
    client = faulty_lab.connect()
    assert client.call("STUMBLE") == INTERNAL
    assert client.call("PING") == b"+PONG\r\n"


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    """What has been logged."""
    events: list[LogEvent] = []
    with observed(events.append):
        yield events


@pytest.mark.parametrize("defective", ["STUMBLE", "MULTI\r\nSTUMBLE\r\nINCR own\r\nEXEC"])
def test_a_defect_in_a_read_beside_writes_costs_only_the_call_that_met_it(faulty_lab: Lab, defective: str) -> None:
    """The group is not undone, nor is what the same batch or transaction writes: the read has changed nothing."""
    lab = faulty_lab
    clients = [lab.connect() for _ in range(50)]
    clients[0].call("SET all 0")
    clients[0].transport.sent = b""
    real = lab.environment.lmdb
    counting: Any = CountingLmdb(real)
    lab.environment.lmdb = counting
    for index, client in enumerate(clients):
        between = f"{defective}\r\n" if index == 20 else ""
        client.protocol.dataReceived(f"INCR all\r\n{between}INCR all\r\n".encode())
    lab.settle()
    lab.environment.lmdb = real
    assert counting.counts["begin"] == counting.counts["commit"] == 1
    sent = [client.transport.sent for client in clients]
    assert sent.pop(20) in (
        b":41\r\n" + INTERNAL + b":42\r\n",
        b":41\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n" + INTERNAL + b":1\r\n:42\r\n",
    )
    assert INTERNAL not in b"".join(sent)
    assert clients[0].call("GET all") == b"$3\r\n100\r\n"
    assert lab.server.state.metrics.errors["ERR"] == 1


def test_a_defect_in_a_session_command_beside_writes_does_nothing_else(faulty_lab: Lab) -> None:
    client = faulty_lab.connect()
    assert client.call("SET a 1", "LEAVE", "SET b 2") == b"+OK\r\n" + INTERNAL + b"+OK\r\n"
    assert faulty_lab.stopped == 0
    assert client.call("MGET a b") == b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n"


@pytest.mark.parametrize("line", ["SET a 1\r\nSTUMBLE", "STUMBLE", "HALFWAY k"])
def test_a_defect_fills_no_log(faulty_lab: Lab, logged: list[LogEvent], line: str) -> None:
    """A traceback the first time; after a minute one more, which says how often it was not told."""
    client = faulty_lab.connect()
    for _ in range(100):
        assert INTERNAL in client.send(f"{line}\r\n".encode())
    told = len(logged)
    assert told == len({formatEvent(event) for event in logged}) <= 2
    assert all("ZeroDivisionError" in str(event["log_failure"]) for event in logged)
    faulty_lab.clock.ns += 61 * 1_000_000_000
    client.send(f"{line}\r\n".encode())
    assert [formatEvent(event).endswith("(99 times more since it was last told)") for event in logged[told:]] == [
        True
    ] * told


def test_versions_grow_with_every_write_and_survive_a_restart(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET a 1", "SET b 1")
    client.call("SET c 1")
    transaction = WriteTransaction(lab.environment, 0)
    assert transaction.version == 3
    transaction.abort()


def test_keys_found_expired_are_counted_once(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET a 1 PX 10", "SET b 1 PX 10", "SET c 1")
    lab.advance_ms(11)
    assert client.call("SET a 2", "GET b", "DEL c") == b"+OK\r\n$-1\r\n:1\r\n"
    assert lab.server.state.metrics.expired_keys == 2


def test_no_transaction_is_opened_for_writing_while_nothing_is_due(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET a 1 PX 1000")
    before = lab.writer_thread.done
    for _ in range(5):
        lab.advance_ms(100)
        lab.server.dispatcher.sweep_if_due()
        lab.settle()
    assert lab.writer_thread.done == before


def test_an_expired_key_is_not_seen_while_the_sweeper_is_off(lab: Lab) -> None:
    client = lab.connect()
    assert client.call("DEBUG SET-ACTIVE-EXPIRE 0", "SET a 1 PX 10") == b"+OK\r\n+OK\r\n"
    lab.advance_ms(11)
    lab.server.dispatcher.sweep_if_due()
    lab.settle()
    assert client.call("DBSIZE") == b":1\r\n"
    for command, reply in [
        ("GET a", b"$-1\r\n"),
        ("EXISTS a", b":0\r\n"),
        ("TTL a", b":-2\r\n"),
        ("KEYS *", b"*0\r\n"),
        ("SCAN 0", b"*2\r\n$1\r\n0\r\n*0\r\n"),
        ("RANDOMKEY", b"$-1\r\n"),
        ("RENAME a b", b"-ERR no such key\r\n"),
        ("SET a 2 XX", b"$-1\r\n"),
        ("DBSIZE", b":0\r\n"),
    ]:
        assert (command, client.call(command)) == (command, reply)


def test_a_damaged_key_is_an_error_of_its_own(lab: Lab) -> None:
    client = lab.connect()
    client.call("SET good 1", "SET bad 2", "SET long x", f"SETRANGE long {1 << 20} y")
    transaction = WriteTransaction(lab.environment, 0)
    space = transaction.space(0)
    assert space is not None
    record = transaction.txn.get(b"bad", db=space.keys)
    assert record is not None
    transaction.txn.put(b"bad", record[:-5] + b"3" + record[-4:], db=space.keys)
    piece = (1).to_bytes(8, "big") + (4).to_bytes(4, "big")
    transaction.txn.put(piece, bytes(100), db=space.elements)
    transaction.commit()
    damaged = b"-ERR this key is damaged on the disk; DEL removes it, a backup may have it\r\n"
    for command in (
        "GET bad",
        "EXISTS bad",
        "TTL bad",
        "SET bad 4",
        "INCR bad",
        "GET long",
        "SETRANGE long 0 " + "z" * 9,
    ):
        expected = b":1048577\r\n" if command.startswith("SETRANGE") else damaged
        assert (command, client.call(command)) == (command, expected)
    assert client.call("GET good", "GETRANGE long 0 3") == b"$1\r\n1\r\n$4\r\nzzzz\r\n"
    assert client.call("DEL bad long", "SET bad 4", "GET bad") == b":2\r\n+OK\r\n$1\r\n4\r\n"


class Iterations:
    """Lets the writer look at its line once in each iteration of a reactor, and not before."""

    def __init__(self, lab: Lab) -> None:
        self.due = lab.loop.hold(GroupCommit)

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            due, self.due[:] = self.due[:], []
            for function in due:
                function()


def test_a_group_waits_for_those_that_are_on_their_way(lab: Lab) -> None:
    """One more client in each iteration: they make one group, which leaves when an iteration brings nobody."""
    iterations = Iterations(lab)
    clients = [lab.connect() for _ in range(12)]
    for client in clients[:10]:
        client.protocol.dataReceived(b"INCR n\r\n")
        iterations.turn()
    assert lab.writer_thread.done == 0
    iterations.turn()
    assert lab.writer_thread.done == 1
    assert [client.transport.sent for client in clients[:10]] == [b":%d\r\n" % n for n in range(1, 11)]


def test_a_group_that_nobody_can_join_or_that_is_large_leaves_at_once(lab: Lab) -> None:
    iterations = Iterations(lab)
    clients = [lab.connect() for _ in range(3)]
    for client in clients:
        client.protocol.dataReceived(b"INCR n\r\n")
    iterations.turn()
    assert lab.writer_thread.done == 1
    clients += [lab.connect() for _ in range(GROUP_MAX + 10)]
    for client in clients[:GROUP_MAX]:
        client.protocol.dataReceived(b"INCR n\r\n")
    iterations.turn()
    assert lab.writer_thread.done == 2
