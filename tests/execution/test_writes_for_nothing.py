"""A write that changes nothing writes nothing: no transaction is committed, so nothing is synced.

Every write command stands here with calls that change nothing, of keys that are not there and of values that are there
already, or with the reason why each of its calls changes something. LMDB's own number of the last transaction tells
whether there was a commit. That Redis takes such calls for nothing is shown by `tests/differential/test_changes.py`.
"""

from __future__ import annotations

import pytest

from keyp.command.registry import Registry
from keyp.command.spec import WRITE
from keyp.commands.all import TABLES
from keyp.storage.lmdb.environment import ALWAYS
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
]

SOMETHING = {
    "SETEX": "puts a value and a deadline",
    "PSETEX": "puts a value and a deadline",
    "GETSET": "puts a value, be it the same",
    "MSET": "puts values, be they the same",
    "APPEND": "counts as a change with nothing to append, too",
    "INCR": "counts",
    "DECR": "counts",
    "INCRBY": "counts as a change with nothing to add, too",
    "DECRBY": "counts as a change with nothing to take, too",
    "INCRBYFLOAT": "counts as a change with nothing to add, too",
    "HSET": "puts values, be they the same",
    "HMSET": "puts values, be they the same",
    "HINCRBY": "counts as a change with nothing to add, too",
    "HINCRBYFLOAT": "counts as a change with nothing to add, too",
    "LPUSH": "adds elements",
    "RPUSH": "adds elements",
    "PFMERGE": "puts a HyperLogLog, be it the same",
}

# For nothing where database 1 is selected, which holds nothing; then for nothing beside STORE.
NOTHING: dict[str, tuple[list[str], list[str]]] = {
    "SET": (["SET s v XX", "SET s v XX GET"], ["SET s v NX", "SET s v NX GET", "SET s v EX 0", "SET nosuch v XX"]),
    "SETNX": ([], ["SETNX s v", "SETNX l v"]),
    "GETEX": (["GETEX s", "GETEX s EX 10"], ["GETEX s", "GETEX s PERSIST", "GETEX timed", "GETEX nosuch PX 1"]),
    "GETDEL": (["GETDEL s"], ["GETDEL nosuch", "GETDEL l"]),
    "MSETNX": ([], ["MSETNX new v s v", "MSETNX s v s w"]),
    "SETRANGE": (["SETRANGE s 5 ''", "SETRANGE s -1 x"], ["SETRANGE s 5 ''", "SETRANGE l 0 x"]),
    "SETBIT": (["SETBIT s x 1"], ["SETBIT bits 3 1", "SETBIT bits 4 0", "SETBIT l 0 0"]),
    "BITOP": (["BITOP OR d nosuch", "BITOP NOT d nosuch"], ["BITOP AND d nosuch other", "BITOP OR d l"]),
    "BITFIELD": (
        ["BITFIELD s", "BITFIELD s GET u8 0"],
        ["BITFIELD bits SET u1 3 1", "BITFIELD bits INCRBY u8 0 0", "BITFIELD bits OVERFLOW FAIL INCRBY u1 3 1"],
    ),
    "PFADD": ([], ["PFADD p", "PFADD p a", "PFADD p b a", "PFADD s a"]),
    "PFDEBUG": (["PFDEBUG ENCODING p"], ["PFDEBUG ENCODING p", "PFDEBUG DECODE p"]),
    "LPUSHX": (["LPUSHX l a"], ["LPUSHX nosuch a", "LPUSHX s a"]),
    "RPUSHX": (["RPUSHX l a"], ["RPUSHX nosuch a", "RPUSHX s a"]),
    "LPOP": (["LPOP l", "LPOP l 2"], ["LPOP nosuch", "LPOP l 0", "LPOP l -1"]),
    "RPOP": (["RPOP l", "RPOP l 2"], ["RPOP nosuch", "RPOP l 0", "RPOP s"]),
    "LSET": (["LSET l 0 x"], ["LSET nosuch 0 x", "LSET l 3 x"]),
    "LTRIM": (["LTRIM l 0 1"], ["LTRIM l 0 -1", "LTRIM l -5 5", "LTRIM nosuch 1 0"]),
    "LINSERT": (["LINSERT l BEFORE a x"], ["LINSERT l AFTER nosuch x", "LINSERT nosuch AFTER a x"]),
    "LREM": (["LREM l 0 a"], ["LREM l 0 nosuch", "LREM nosuch 0 a"]),
    "LMOVE": (["LMOVE l m LEFT LEFT"], ["LMOVE nosuch l LEFT LEFT", "LMOVE l s LEFT LEFT"]),
    "RPOPLPUSH": (["RPOPLPUSH l m"], ["RPOPLPUSH nosuch l", "RPOPLPUSH l s"]),
    "BLMOVE": (["BLMOVE l m LEFT LEFT 1"], ["BLMOVE nosuch l LEFT LEFT 1"]),
    "BRPOPLPUSH": (["BRPOPLPUSH l m 1"], ["BRPOPLPUSH nosuch l 1"]),
    "BLPOP": (["BLPOP l m 1"], ["BLPOP nosuch 1", "BLPOP s 1"]),
    "BRPOP": (["BRPOP l m 1"], ["BRPOP nosuch 1", "BRPOP s 1"]),
    "LMPOP": (["LMPOP 2 l m LEFT"], ["LMPOP 1 nosuch LEFT COUNT 5", "LMPOP 1 s LEFT"]),
    "BLMPOP": (["BLMPOP 1 2 l m LEFT"], ["BLMPOP 1 1 nosuch LEFT"]),
    "HSETNX": ([], ["HSETNX h f other", "HSETNX s f v"]),
    "HDEL": (["HDEL h f"], ["HDEL h nosuch", "HDEL nosuch f"]),
    "SADD": ([], ["SADD t a", "SADD t b a 7", "SADD s a"]),
    "SREM": (["SREM t a"], ["SREM t nosuch", "SREM nosuch a"]),
    "SMOVE": (["SMOVE t u a"], ["SMOVE t u nosuch", "SMOVE t t a", "SMOVE nosuch t a"]),
    "SPOP": (["SPOP t", "SPOP t 2"], ["SPOP t 0", "SPOP nosuch"]),
    "SINTERSTORE": (["SINTERSTORE d t u"], ["SINTERSTORE d t nosuch", "SINTERSTORE d t s"]),
    "SUNIONSTORE": (["SUNIONSTORE d t u"], ["SUNIONSTORE d nosuch"]),
    "SDIFFSTORE": (["SDIFFSTORE d t u"], ["SDIFFSTORE d nosuch t", "SDIFFSTORE d t t"]),
    "ZADD": (
        ["ZADD z XX 1 a", "ZADD z XX INCR 1 a"],
        ["ZADD z 1 a", "ZADD z NX 5 a", "ZADD z GT CH 1 b", "ZADD z x a"],
    ),
    "ZINCRBY": ([], ["ZINCRBY z 0 a", "ZINCRBY z x a", "ZINCRBY s 1 a"]),
    "ZREM": (["ZREM z a"], ["ZREM z nosuch", "ZREM nosuch a"]),
    "ZRANGESTORE": (["ZRANGESTORE d z 0 -1"], ["ZRANGESTORE d z 5 9", "ZRANGESTORE d nosuch 0 1"]),
    "ZREMRANGEBYRANK": (["ZREMRANGEBYRANK z 0 1"], ["ZREMRANGEBYRANK z 5 9"]),
    "ZREMRANGEBYSCORE": (["ZREMRANGEBYSCORE z 0 1"], ["ZREMRANGEBYSCORE z 5 9"]),
    "ZREMRANGEBYLEX": (["ZREMRANGEBYLEX z - +"], ["ZREMRANGEBYLEX z [x +"]),
    "ZPOPMIN": (["ZPOPMIN z"], ["ZPOPMIN z 0", "ZPOPMIN nosuch 2"]),
    "ZPOPMAX": (["ZPOPMAX z"], ["ZPOPMAX z 0", "ZPOPMAX nosuch 2"]),
    "BZPOPMIN": (["BZPOPMIN z 1"], ["BZPOPMIN nosuch 1"]),
    "BZPOPMAX": (["BZPOPMAX z 1"], ["BZPOPMAX nosuch 1"]),
    "ZMPOP": (["ZMPOP 1 z MIN"], ["ZMPOP 1 nosuch MAX"]),
    "BZMPOP": (["BZMPOP 1 1 z MIN"], ["BZMPOP 1 1 nosuch MAX"]),
    "ZUNIONSTORE": (["ZUNIONSTORE d 2 z y"], ["ZUNIONSTORE d 1 nosuch"]),
    "ZINTERSTORE": (["ZINTERSTORE d 2 z y"], ["ZINTERSTORE d 2 z nosuch"]),
    "ZDIFFSTORE": (["ZDIFFSTORE d 2 z y"], ["ZDIFFSTORE d 2 z z"]),
    "GEOADD": (["GEOADD g XX 1 1 a"], ["GEOADD g 13.361389 38.115556 Palermo", "GEOADD g NX 1 1 Palermo"]),
    "GEOSEARCHSTORE": (
        ["GEOSEARCHSTORE d g FROMLONLAT 1 1 BYRADIUS 1 km"],
        ["GEOSEARCHSTORE d g FROMLONLAT 1 1 BYRADIUS 1 km"],
    ),
    "GEORADIUS": (["GEORADIUS g 1 1 1 km STORE d"], ["GEORADIUS g 13 38 99 km", "GEORADIUS g 1 1 1 km STORE d"]),
    "GEORADIUSBYMEMBER": (["GEORADIUSBYMEMBER g x 1 km STORE d"], ["GEORADIUSBYMEMBER g Palermo 1 km"]),
    "DEL": (["DEL s l"], ["DEL nosuch other"]),
    "UNLINK": (["UNLINK s l"], ["UNLINK nosuch other"]),
    "RENAME": (["RENAME s d"], ["RENAME s s", "RENAME nosuch s"]),
    "RENAMENX": (["RENAMENX s d"], ["RENAMENX s l", "RENAMENX s s"]),
    "COPY": (["COPY s d", "COPY s d DB 2 REPLACE"], ["COPY s l", "COPY nosuch l REPLACE"]),
    "MOVE": (["MOVE s 2"], ["MOVE nosuch 1", "MOVE s 0"]),
    "SORT": (["SORT l STORE d"], ["SORT l ALPHA", "SORT nosuch STORE d", "SORT l STORE d"]),
    "EXPIRE": (["EXPIRE s 10"], ["EXPIRE nosuch 10", "EXPIRE timed 10 NX", "EXPIRE s 10 XX", "EXPIRE s 10 GT"]),
    "PEXPIRE": (["PEXPIRE s 10"], ["PEXPIRE nosuch 10", "PEXPIRE timed 10 GT"]),
    "EXPIREAT": (["EXPIREAT s 4000000000"], ["EXPIREAT timed 4000000000 LT", "EXPIREAT timed 4000000000 GT"]),
    "PEXPIREAT": (["PEXPIREAT s 4000000000000"], ["PEXPIREAT timed 4000000000000 GT"]),
    "PERSIST": (["PERSIST s"], ["PERSIST s", "PERSIST nosuch"]),
    "FLUSHDB": (["FLUSHDB", "FLUSHDB ASYNC"], []),
    "FLUSHALL": ([], ["FLUSHALL FOO"]),
    "SWAPDB": (["SWAPDB 1 2", "SWAPDB 0 0"], ["SWAPDB 0 99"]),
}

# SWAPDB counts as a change whatever it exchanges, as in the reference; where both are empty nothing is stored of it.
COUNTED = "SWAPDB"


@pytest.fixture
def client(lab: Lab) -> Connection:
    """A client of a lab that holds STORE."""
    client = lab.connect()
    assert b"-" not in client.call(*STORE)
    return client


def commits(lab: Lab) -> int:
    """LMDB's number of the last transaction that was committed with anything in it."""
    return int(lab.environment.lmdb.info()["last_txnid"])


def assert_for_nothing(lab: Lab, client: Connection, line: str) -> None:
    """The call is answered, or waits, and leaves nothing behind: not in LMDB, not in what is counted."""
    before = commits(lab), lab.environment.version, lab.environment.changes
    answer = client.call(line)
    waiting = client.connection.client.waiting
    assert answer or waiting, line
    counted = int(line.startswith(COUNTED) and answer == b"+OK\r\n")
    assert (commits(lab), lab.environment.version, lab.environment.changes - counted) == before, line
    if waiting:
        lab.advance_ms(1000)
        assert client.transport.sent.endswith((b"*-1\r\n", b"$-1\r\n"))
        assert commits(lab) == before[0], f"{line} in the end"


def test_every_write_command_is_here() -> None:
    names = {spec.name for spec in Registry(TABLES) if spec.kind == WRITE}
    assert names == {*SOMETHING, *NOTHING}
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
    before = commits(lab)
    client.call(*lines)
    client.call("MULTI", *lines, "EXEC")
    others = [lab.connect() for _ in range(len(lines))]
    for other, line in zip(others, lines, strict=True):
        other.protocol.dataReceived(line.encode() + b"\r\n")
    lab.settle()
    assert all(other.transport.sent for other in others)
    assert commits(lab) == before


def test_one_change_among_them_is_committed(lab: Lab, client: Connection) -> None:
    before, changes = commits(lab), lab.environment.changes
    client.call("DEL nosuch", "SETNX s v", "SADD t z", "LPOP nosuch")
    assert (commits(lab), lab.environment.changes) == (before + 1, changes + 1)
    assert client.call("SISMEMBER t z") == b":1\r\n"


def test_flushing_what_is_empty(lab: Lab, client: Connection) -> None:
    before = commits(lab)
    client.call("FLUSHALL")
    assert commits(lab) == before + 1
    for line in ("FLUSHALL", "FLUSHALL ASYNC", "FLUSHDB"):
        assert_for_nothing(lab, client, line)


def test_nobody_is_told_of_a_sync_that_does_not_come(lab: Lab, client: Connection) -> None:
    """While a group's commands run, the reactor's thread waits for its end, or until it begins to sync."""
    syncs: list[int] = []
    lab.environment.fsync = ALWAYS
    lab.loop.release_reactor = lambda: syncs.append(1)
    client.call("SETNX s v", "DEL nosuch")
    assert syncs == []
    client.call("SET mortal v PX 10")
    client.call("DEL s")
    client.call("BITFIELD new OVERFLOW FAIL SET u1 0 2")
    assert len(syncs) == 3
    lab.advance_ms(11)
    client.call("DEL mortal")
    assert len(syncs) == 4
    client.call("DEL h")
    lab.reactor.advance(0.1)
    lab.server.dispatcher.sweep_if_due()
    lab.settle()
    assert len(syncs) == 6


def test_what_is_removed_is_committed(lab: Lab, client: Connection) -> None:
    """A removal carries no version."""
    before, version = commits(lab), lab.environment.version
    client.call("DEL s")
    assert (commits(lab), lab.environment.version) == (before + 1, version)


def test_a_key_that_a_command_finds_expired_is_a_change(lab: Lab, client: Connection) -> None:
    client.call("SET mortal v PX 10")
    lab.advance_ms(11)
    before, changes = commits(lab), lab.environment.changes
    assert client.call("DEL mortal") == b":0\r\n"
    assert commits(lab) == before + 1
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
