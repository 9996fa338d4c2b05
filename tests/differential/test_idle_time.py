"""OBJECT IDLETIME after each command: whether it was a use of its keys, on a real server and on Keyp.

Each call has keys of its own, `k` and `l` in the lists, which have not been accessed for 1000 seconds when it comes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from keyp.storage.access_times import LAST_SLOT, AccessTimes
from keyp.storage.lmdb.layout import name_crc
from tests import wire
from tests.differential.servers import Keyp, Reference

AGO_S = 1000

STRING, LIST, HASH = "SET {} 10", "RPUSH {} a b c d", "HSET {} f 1 g 2"
SET, ZSET, GEO, LOG = "SADD {} a b c d", "ZADD {} 1 a 2 b 3 c", "GEOADD {} 1 1 a 2 2 b", "PFADD {} a b"

CALLS = {
    STRING: """
        GET k | STRLEN k | GETRANGE k 0 1 | SUBSTR k 0 1 | MGET k l | GETBIT k 0 | BITCOUNT k | BITPOS k 1
        BITFIELD_RO k | BITFIELD k GET u8 0 | LCS k l | TTL k | PTTL k | EXPIRETIME k | PEXPIRETIME k | TYPE k
        EXISTS k l | TOUCH k l
        OBJECT ENCODING k | OBJECT REFCOUNT k | OBJECT IDLETIME k | OBJECT FREQ k | WATCH k | KEYS * | SCAN 0 COUNT 1000
        SCAN 0 COUNT 1000 TYPE string | RANDOMKEY | DBSIZE | SORT_RO k | LLEN k | HGET k f | APPEND k x | APPEND k ""
        SETRANGE k 0 x | SETRANGE k 0 "" | SETBIT k 0 0 | SET k 1 NX | SET k 1 XX | SET k 1 | SETNX k 1 | GETSET k 1
        GETEX k | GETEX k PERSIST | INCR k | INCRBYFLOAT k 1 | MSETNX k 1 l 2 | MSET k 1 | EXPIRE k 100 | PERSIST k
        EXPIRE k 100 GT | COPY k l | COPY k l REPLACE | RENAME k l | RENAMENX k l | BITOP AND l k | LPUSH k a
        MEMORY USAGE k | COMMAND GETKEYS GET k | PFCOUNT k
    """,
    LIST: """
        LLEN k | LRANGE k 0 -1 | LINDEX k 0 | LPOS k a | SORT k | SORT_RO k | SORT k STORE l | LPUSH k a | LPUSHX k a
        LPOP k | RPOP k 2 | LSET k 0 x | LINSERT k BEFORE a x | LREM k 0 x | LTRIM k 0 1 | LMOVE k l LEFT LEFT
        RPOPLPUSH k k | LMPOP 2 k l LEFT | BLPOP k 1 | BLMPOP 1 1 k LEFT | GET k
    """,
    HASH: """
        HGET k f | HMGET k f g | HGETALL k | HKEYS k | HVALS k | HLEN k | HEXISTS k f | HSTRLEN k f | HRANDFIELD k
        HSCAN k 0 | HSET k f 2 | HSETNX k f 1 | HINCRBY k f 1 | HDEL k nosuch | HDEL k f | HINCRBYFLOAT k f 1
    """,
    SET: """
        SMEMBERS k | SISMEMBER k a | SMISMEMBER k a b | SCARD k | SRANDMEMBER k | SSCAN k 0 | SINTER k l | SUNION k l
        SDIFF k l | SINTERCARD 2 k l | SINTERSTORE k l | SADD k a | SREM k x | SPOP k | SMOVE k l a | SUNIONSTORE k l
    """,
    ZSET: """
        ZRANGE k 0 -1 | ZSCORE k a | ZMSCORE k a b | ZRANK k a | ZREVRANK k a | ZCARD k | ZCOUNT k 0 9 | ZLEXCOUNT k - +
        ZRANDMEMBER k | ZSCAN k 0 | ZINTER 2 k l | ZUNION 2 k l | ZDIFF 2 k l | ZINTERCARD 2 k l | ZRANGEBYSCORE k 0 9
        ZADD k NX 1 a | ZADD k 5 e | ZREM k x | ZINCRBY k 1 a | ZPOPMIN k | ZMPOP 1 k MIN | ZRANGESTORE l k 0 1
        ZUNIONSTORE l 1 k | ZREMRANGEBYRANK k 0 0 | BZPOPMIN k 1 | ZREVRANGE k 0 -1
    """,
    GEO: """
        GEOPOS k a | GEODIST k a b | GEOHASH k a | GEOSEARCH k FROMMEMBER a BYRADIUS 1 km | GEORADIUS k 1 1 1 km
        GEORADIUS_RO k 1 1 1 km | GEOSEARCHSTORE l k FROMMEMBER a BYRADIUS 1 km | GEORADIUSBYMEMBER k a 1 km
    """,
    LOG: "PFADD k a | PFADD k x | PFCOUNT k l | PFMERGE k l",
}


def names() -> Iterator[str]:
    """Names of keys that share no slot in the table of access times."""
    taken: set[int] = set()
    for number in range(100_000):
        name = f"key:{number}"
        slot = name_crc(name.encode()) & LAST_SLOT
        if slot not in taken:
            taken.add(slot)
            yield name


def conversation() -> tuple[list[list[bytes]], list[tuple[str, list[bytes], list[bytes]]]]:
    """What makes the keys, and for each call its line, its words and its keys."""
    fresh = names()
    made: list[list[bytes]] = []
    said: list[tuple[str, list[bytes], list[bytes]]] = []
    for setup, text in CALLS.items():
        for line in [one.strip() for part in text.split("\n") for one in part.split("|") if one.strip()]:
            own = {letter: next(fresh) for letter in "kl"}
            made += [setup.format(own[letter]).encode().split() for letter in "kl"]
            words = [own.get(word, word).replace('""', "").encode() for word in line.split(" ")]
            said.append((line, words, [own["k"].encode(), own["l"].encode()]))
    return made, said


@pytest.mark.parametrize("no_touch", [False, True], ids=["touching", "NO-TOUCH"])
def test_what_is_a_use_of_a_key(reference: Reference, keyp: Keyp, no_touch: bool) -> None:
    made, said = conversation()
    idle: list[dict[tuple[str, int], bool | None]] = []
    for server in (reference, keyp):
        server.clear()
        with closing(server.connect()) as client:
            for call in made:
                client.send(wire.request(*call), 1)
            if isinstance(server, Keyp):
                server.lab.server.dispatcher.shared.access_times = AccessTimes(int(time.time()) - AGO_S)
            else:
                for key in [key for _, _, keys in said for key in keys]:
                    dumped = wire.parse(client.send(wire.request(b"DUMP", key), 1)[0])
                    client.send(wire.request(b"RESTORE", key, b"0", dumped, b"REPLACE", b"IDLETIME", b"%d" % AGO_S), 1)
            if no_touch:
                client.send(wire.request(b"CLIENT", b"NO-TOUCH", b"ON"), 1)
            found: dict[tuple[str, int], bool | None] = {}
            for line, words, keys in said:
                client.send(wire.request(*words), 1)
                for which, key in enumerate(keys):
                    seconds = wire.parse(client.send(wire.request(b"OBJECT", b"IDLETIME", key), 1)[0])
                    found[line, which] = None if seconds is None else seconds >= AGO_S // 2
            idle.append(found)
    differing = {call: (was, idle[1][call]) for call, was in idle[0].items() if was != idle[1][call]}
    assert differing == {}, f"idle for them, for us: {differing}"
