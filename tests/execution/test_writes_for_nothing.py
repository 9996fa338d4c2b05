"""A write that changes nothing writes nothing: no transaction is committed, so nothing is synced.

Every write command stands in `no_op_calls.py`. LMDB's own number of the last transaction tells
whether there was a commit. That Redis takes such calls for nothing is shown by `tests/differential/test_changes.py`.
"""

from __future__ import annotations

import pytest

from keyp.command.registry import Registry
from keyp.command.spec import WRITE
from keyp.commands.all import TABLES
from keyp.storage.lmdb.environment import ALWAYS
from tests.execution.no_op_calls import NOTHING, SOMETHING
from tests.fakes import Connection, Lab

# What is there in database 0. The others are empty, and nothing has been written to database 1 yet.
STORE = [
    "SET s hello",
    "SET n 5",
    "SET empty ''",
    "SET timed v PXAT 4000000000000",
    "RPUSH l a b c",
    "HSET h f v n 5",
    "SADD t a b 7",
    "ZADD z 1 a 2 b",
    "GEOADD g 13.361389 38.115556 Palermo",
    "PFADD p a b",
    "SETBIT bits 3 1",
    "XADD x 1 f v",
    "XGROUP CREATE x g 0",
    "XGROUP CREATECONSUMER x g c",
]

# SWAPDB counts as a change whatever it exchanges, as in the reference; where both are empty nothing is stored of it.
COUNTED = "SWAPDB"


@pytest.fixture
def client(lab: Lab) -> Connection:
    """A client of a lab that holds STORE."""
    client = lab.connect()
    assert b"\r\n-" not in client.call(*STORE)
    return client


def assert_for_nothing(lab: Lab, client: Connection, line: str) -> None:
    """The call is answered, or waits, and leaves nothing behind: not in LMDB, not in what is counted."""
    before = lab.commits(), lab.environment.version, lab.environment.changes
    answer = client.call(line)
    waiting = client.connection.client.waiting
    assert answer or waiting, line
    counted = int(line.startswith(COUNTED) and answer == b"+OK\r\n")
    assert (lab.commits(), lab.environment.version, lab.environment.changes - counted) == before, line
    if waiting:
        lab.advance_ms(1000)
        assert client.transport.sent.endswith((b"*-1\r\n", b"$-1\r\n"))
        assert lab.commits() == before[0], f"{line} in the end"


def test_every_write_command_is_here() -> None:
    specs = [each for spec in Registry(TABLES) for each in (spec, *spec.subcommands.values())]
    names = {spec.name for spec in specs if spec.access == WRITE}
    missing = names - {*SOMETHING, *NOTHING}
    assert not missing, f"{missing}: tests/execution/no_op_calls.py does not say which of their calls are for nothing"
    assert not {*SOMETHING, *NOTHING} - names, "no write commands"
    assert not SOMETHING.keys() & NOTHING.keys()


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_is_written(lab: Lab, client: Connection, name: str) -> None:
    absent, present = NOTHING[name]
    assert absent or present
    for line in present:
        assert_for_nothing(lab, client, line)
    client.call("SELECT 1")
    for line in absent:
        assert_for_nothing(lab, client, line)


@pytest.mark.parametrize("name", sorted(SOMETHING))
def test_an_error_writes_nothing(lab: Lab, client: Connection, name: str) -> None:
    """What always changes something does not where it fails: on a key of another kind, or with too few arguments."""
    key = "h" if name.startswith(("L", "R")) else "l"
    spec = Registry(TABLES).get(name.encode())
    assert spec is not None
    for words in ([name], [name, key, *["x"] * (abs(spec.arity) - 2)]):
        line = " ".join(words)
        if client.call(line)[:1] == b"-":
            assert_for_nothing(lab, client, line)


def test_together_they_write_nothing_either(lab: Lab, client: Connection) -> None:
    """In one chunk, in a transaction of a client, and in a group of several clients."""
    lines = [line for _, present in NOTHING.values() for line in present if not line.startswith("B")]
    before = lab.commits()
    client.call(*lines)
    client.call("MULTI", *lines, "EXEC")
    others = [lab.connect() for _ in range(len(lines))]
    for other, line in zip(others, lines, strict=True):
        other.protocol.dataReceived(line.encode() + b"\r\n")
    lab.settle()
    assert all(other.transport.sent for other in others)
    assert lab.commits() == before


def test_one_change_among_them_is_committed(lab: Lab, client: Connection) -> None:
    before, changes = lab.commits(), lab.environment.changes
    client.call("DEL nosuch", "SETNX s v", "SADD t z", "LPOP nosuch")
    assert (lab.commits(), lab.environment.changes) == (before + 1, changes + 1)
    assert client.call("SISMEMBER t z") == b":1\r\n"


def test_flushing_what_is_empty(lab: Lab, client: Connection) -> None:
    before = lab.commits()
    client.call("FLUSHALL")
    assert lab.commits() == before + 1
    for line in ("FLUSHALL", "FLUSHALL ASYNC", "FLUSHDB"):
        assert_for_nothing(lab, client, line)


def test_nobody_is_told_of_a_sync_that_does_not_come(lab: Lab, client: Connection) -> None:
    """While a group's commands run, the reactor's thread waits for its end, or until it begins to sync."""
    lab.environment.fsync = ALWAYS
    client.call("SETNX s v", "DEL nosuch")
    assert lab.loop.releases == 0
    client.call("SET mortal v PX 10")
    client.call("DEL s")
    client.call("BITFIELD new OVERFLOW FAIL SET u1 0 2")
    assert lab.loop.releases == 3
    lab.advance_ms(11)
    client.call("DEL mortal")
    assert lab.loop.releases == 4
    client.call("DEL h")
    lab.reactor.advance(0.1)
    lab.server.dispatcher.sweep_if_due()
    lab.settle()
    assert lab.loop.releases == 6


def test_what_is_removed_is_committed(lab: Lab, client: Connection) -> None:
    """A removal carries no version."""
    before, version = lab.commits(), lab.environment.version
    client.call("DEL s")
    assert (lab.commits(), lab.environment.version) == (before + 1, version)


def test_a_key_that_a_command_finds_expired_is_a_change(lab: Lab, client: Connection) -> None:
    client.call("SET mortal v PX 10")
    lab.advance_ms(11)
    before, changes = lab.commits(), lab.environment.changes
    assert client.call("DEL mortal") == b":0\r\n"
    assert lab.commits() == before + 1
    assert lab.environment.changes == changes
    assert_for_nothing(lab, client, "DEL mortal")


def test_a_version_that_no_record_carries_is_given_again(lab: Lab, client: Connection) -> None:
    """WATCH compares the versions of records: none comes twice."""
    other = lab.connect()
    for line in ("DEL nosuch", "DEL l", "SETNX s v"):
        client.call("WATCH s nosuch")
        other.call(line)
        assert client.call("MULTI", "PING", "EXEC").endswith(b"+PONG\r\n"), line
        client.call("WATCH s")
        other.call("SET s v")
        assert client.call("MULTI", "PING", "EXEC").endswith(b"*-1\r\n"), line


def test_those_who_wait_are_served_by_what_follows(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    client.call("BLPOP queue 0")
    other.call("LPOP nosuch", "SETNX s v")
    other.call("DEL nosuch", "RPUSH queue job")
    assert client.transport.sent.endswith(b"*2\r\n$5\r\nqueue\r\n$3\r\njob\r\n")
    assert other.call("EXISTS queue") == b":0\r\n"
