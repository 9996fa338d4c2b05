"""Every family of read commands on a store of every kind of value: what it replies, and whether a reply may be given.

The invariant: every reply of a damaged store is the sound store's reply or an error. Only commands with random replies
may reply something else: elements that are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from tests.crash.damage import asking, leave_no_free_page
from tests.fakes import Connection, Lab
from tests.wire import parse, request

LATER_MS: Final = 4_000_000_000_000  # in the year 2096

SMALL, LARGE = 100, 700  # elements: in one run, in several

Call = tuple[bytes, ...]


def name(kind: str, number: int) -> bytes:
    """An element's name, which shows what it belongs to."""
    return b"%b-%05d" % (kind.encode(), number * 7 % 10_007)


def make_store(path: Path) -> None:
    """Makes the store; no page of it is free, so that most changes hit something."""
    lab = Lab(path)
    ask = asking(lab.connect())
    for call in _writes():
        reply = ask(request(*call))
        assert not reply.startswith(b"-"), (call, reply)
    lab.close()
    leave_no_free_page(path)
    Lab(path).close()  # which makes its journal


def _writes() -> Iterator[Call]:
    random = Random(5)
    for number in range(300):
        yield b"SET", name("string", number), b"%d" % number * (1 + number % 40)
    for number in range(0, 300, 5):
        yield b"PEXPIREAT", name("string", number), b"%d" % LATER_MS
    yield b"SET", b"piled", random.randbytes(150_000)
    yield b"SET", b"page", random.randbytes(5000)
    yield b"SET", b"n" * 600, b"of a long name"
    yield b"PFADD", b"hll", *[b"%d" % number for number in range(400)]
    for label, count in ((b"small", SMALL), (b"large", LARGE)):
        numbers = list(range(count))
        yield b"RPUSH", b"list:" + label, *[name("element", number) for number in numbers]
        yield b"SADD", b"set:" + label, *[name("member", number) for number in numbers]
        yield b"SADD", b"other:" + label, *[name("member", number) for number in numbers[::3]], b"stranger"
        yield b"SADD", b"integers:" + label, *[b"%d" % (number * 13) for number in numbers]
        yield (
            b"HSET",
            b"hash:" + label,
            *[word for number in numbers for word in (name("field", number), name("value", number))],
        )
        yield (
            b"ZADD",
            b"zset:" + label,
            *[word for number in numbers for word in (b"%d" % (number // 2), name("scored", number))],
        )
        yield b"ZADD", b"lex:" + label, *[word for number in numbers for word in (b"0", name("lex", number))]
        yield from _stream(b"stream:" + label, count)
    yield (
        b"HSET",
        b"hash:long",
        *[
            word
            for number in range(40)
            for word in (name("field", number), random.randbytes((10, 1500, 9000)[number % 3]))
        ],
    )
    yield b"SADD", b"set:long", *[b"%d" % number * 300 for number in range(20)]
    yield b"ZADD", b"zset:long", *[word for number in range(20) for word in (b"%d" % number, b"%d" % number * 300)]
    yield (
        b"GEOADD",
        b"geo",
        *[
            word
            for number in range(200)
            for word in (b"%f" % (10 + number * 0.01), b"%f" % (50 + number * 0.01), name("place", number))
        ],
    )
    yield b"SELECT", b"3"
    for number in range(40):
        yield b"SET", name("third", number), b"%d" % number


def _stream(key: bytes, count: int) -> Iterator[Call]:
    for number in range(1, count + 1):
        yield b"XADD", key, b"%d-1" % number, name("field", number), name("value", number)
    yield b"XDEL", key, b"5-1", b"60-1"
    for group in (b"one", b"two"):
        yield b"XGROUP", b"CREATE", key, group, b"0"
    for consumer in (b"here", b"there"):
        yield b"XREADGROUP", b"GROUP", b"one", consumer, b"COUNT", b"%d" % (count // 3), b"STREAMS", key, b">"
    yield b"XACK", key, b"one", *[b"%d-1" % number for number in range(1, count, 7)]


def reads() -> list[Call]:
    """The calls whose replies are determined."""
    calls: list[Call] = [(b"KEYS", b"*"), (b"KEYS", b"string-0*"), (b"KEYS", b"*:l*"), (b"DBSIZE",)]
    calls += [(b"SCAN", b"0", b"COUNT", b"1000"), (b"SCAN", b"0", b"MATCH", b"string-00*", b"COUNT", b"1000")]
    calls += [(b"SCAN", b"0", b"COUNT", b"1000", b"TYPE", b"zset")]
    for number in range(0, 300, 9):
        key = name("string", number)
        calls += [(b"GET", key), (b"PTTL", key), (b"TYPE", key), (b"STRLEN", key), (b"EXISTS", key)]
    calls += [(b"MGET", name("string", 1), b"page", name("string", 2)), (b"GET", b"piled"), (b"GET", b"n" * 600)]
    calls += [(b"GETRANGE", b"piled", b"60000", b"70000"), (b"BITCOUNT", b"piled"), (b"GETBIT", b"page", b"999")]
    calls += [(b"LCS", name("string", 1), name("string", 2)), (b"PFCOUNT", b"hll"), (b"BITPOS", b"page", b"1")]
    calls += [
        (b"OBJECT", b"ENCODING", b"page"),
        (b"SORT_RO", b"integers:small"),
        (b"BITFIELD_RO", b"page", b"GET", b"u8", b"9"),
    ]
    for label in (b"small", b"large"):
        for read in (_of_lists, _of_sets, _of_hashes, _of_sorted_sets, _of_streams):
            calls += read(label)
    calls += [(b"HKEYS", b"hash:long"), (b"HGETALL", b"hash:long"), (b"HSTRLEN", b"hash:long", name("field", 4))]
    calls += [(b"SMEMBERS", b"set:long"), (b"ZRANGE", b"zset:long", b"0", b"-1"), (b"ZRANGE", b"zset:long", b"5", b"9")]
    calls += [(b"GEOSEARCH", b"geo", b"FROMLONLAT", b"11", b"51", b"BYRADIUS", b"40", b"km", b"ASC")]
    calls += [(b"GEOSEARCH", b"geo", b"FROMLONLAT", b"11", b"51", b"BYBOX", b"900", b"900", b"km", b"ASC")]
    calls += [(b"GEOPOS", b"geo", name("place", 7)), (b"GEODIST", b"geo", name("place", 7), name("place", 9))]
    calls += [(b"SELECT", b"3"), (b"KEYS", b"?*"), (b"GET", name("third", 3)), (b"SELECT", b"0")]
    return calls


def _of_lists(label: bytes) -> list[Call]:
    key = b"list:" + label
    ranges = [(b"LRANGE", key, b"%d" % start, b"%d" % stop) for start, stop in ((0, -1), (0, 9), (60, 90), (-20, -1))]
    return [
        *ranges,
        (b"LLEN", key),
        (b"LINDEX", key, b"50"),
        (b"LPOS", key, name("element", 77)),
        (b"SORT_RO", key, b"ALPHA"),
    ]


def _of_sets(label: bytes) -> list[Call]:
    key, other, integers = b"set:" + label, b"other:" + label, b"integers:" + label
    calls: list[Call] = [(b"SMEMBERS", key), (b"SMEMBERS", integers), (b"SCARD", key), (b"SMEMBERS", other)]
    calls += [(b"SISMEMBER", key, name("member", 50)), (b"SMISMEMBER", key, name("member", 51), b"none")]
    calls += [(word, key, other) for word in (b"SINTER", b"SUNION", b"SDIFF")] + [(b"SDIFF", other, key)]
    calls += [(b"SINTERCARD", b"2", key, other), (b"SSCAN", key, b"0", b"COUNT", b"1000")]
    calls += [(b"SSCAN", key, b"0", b"MATCH", b"member-00*", b"COUNT", b"1000"), (b"SORT_RO", key, b"ALPHA")]
    return calls


def _of_hashes(label: bytes) -> list[Call]:
    key = b"hash:" + label
    calls: list[Call] = [(word, key) for word in (b"HGETALL", b"HKEYS", b"HVALS", b"HLEN")]
    calls += [(b"HGET", key, name("field", number)) for number in range(0, 100, 10)]
    calls += [(b"HMGET", key, name("field", 5), name("field", 6)), (b"HEXISTS", key, name("field", 8))]
    calls += [
        (b"HSCAN", key, b"0", b"COUNT", b"1000"),
        (b"HSCAN", key, b"0", b"MATCH", b"field-01*", b"COUNT", b"1000"),
    ]
    return calls


def _of_sorted_sets(label: bytes) -> list[Call]:
    key, lex = b"zset:" + label, b"lex:" + label
    calls: list[Call] = [
        (b"ZRANGE", key, b"%d" % start, b"%d" % stop, b"WITHSCORES")
        for start, stop in ((0, -1), (0, 10), (70, 90), (-20, -1))
    ]
    calls += [(b"ZRANGE", key, b"0", b"-1"), (b"ZRANGE", key, b"70", b"90", b"REV")]
    calls += [(b"ZREVRANGE", key, b"0", b"-1"), (b"ZCARD", key)]
    for low, high in ((b"-inf", b"+inf"), (b"10", b"30"), (b"(20", b"(300")):
        calls += [
            (b"ZRANGEBYSCORE", key, low, high),
            (b"ZREVRANGEBYSCORE", key, high, low),
            (b"ZCOUNT", key, low, high),
        ]
    calls += [(b"ZRANGEBYSCORE", key, b"5", b"+inf", b"LIMIT", b"70", b"9")]
    for low, high in ((b"-", b"+"), (b"[lex-0010", b"(lex-0050")):
        calls += [(b"ZRANGEBYLEX", lex, low, high), (b"ZREVRANGEBYLEX", lex, high, low), (b"ZLEXCOUNT", lex, low, high)]
    for number in range(0, SMALL, 10):
        calls += [(b"ZSCORE", key, name("scored", number)), (b"ZRANK", key, name("scored", number))]
    calls += [(b"ZREVRANK", key, name("scored", 5)), (b"ZMSCORE", key, name("scored", 5), b"none")]
    calls += [(word, b"2", key, lex) for word in (b"ZUNION", b"ZINTER", b"ZDIFF")] + [(b"ZINTERCARD", b"2", key, key)]
    calls += [(b"ZSCAN", key, b"0", b"COUNT", b"1000")]
    return calls


def _of_streams(label: bytes) -> list[Call]:
    key = b"stream:" + label
    calls: list[Call] = [(b"XRANGE", key, b"-", b"+"), (b"XREVRANGE", key, b"+", b"-"), (b"XLEN", key)]
    calls += [(b"XRANGE", key, b"10", b"20"), (b"XREVRANGE", key, b"70", b"50", b"COUNT", b"9")]
    calls += [(b"XRANGE", key, b"%d-1" % number, b"%d-1" % number) for number in range(0, 100, 10)]
    calls += [(b"XREAD", b"STREAMS", key, b"80"), (b"XREAD", b"COUNT", b"5", b"STREAMS", key, b"0")]
    calls += [(b"XINFO", b"GROUPS", key), (b"XINFO", b"STREAM", key), (b"XPENDING", key, b"one")]
    calls += [(b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"), (b"XPENDING", key, b"two")]
    return calls


def draws() -> dict[Call, Call]:
    """Calls with random replies, each with a call whose sound reply has all that they may reply."""
    found: dict[Call, Call] = {(b"RANDOMKEY",): (b"KEYS", b"*")}
    for label in (b"small", b"large"):
        for count in ((), (b"5",), (b"-5",), (b"10000",)):
            found[b"SRANDMEMBER", b"set:" + label, *count] = b"SMEMBERS", b"set:" + label
            found[b"HRANDFIELD", b"hash:" + label, *count] = b"HKEYS", b"hash:" + label
            found[b"ZRANDMEMBER", b"zset:" + label, *count] = b"ZRANGE", b"zset:" + label, b"0", b"-1"
    found[b"HRANDFIELD", b"hash:long", b"9"] = b"HKEYS", b"hash:long"
    return found


def writes() -> list[Call]:
    """Calls that change values of every kind."""
    calls: list[Call] = []
    for number in range(60):
        calls += [(b"SET", b"new:%d" % number, b"v" * number * 100), (b"APPEND", b"new:%d" % (number % 7), b"w" * 3000)]
        calls += [(b"DEL", b"new:%d" % (number * 3 % 11)), (b"SET", name("string", number * 5), b"z" * number)]
        for label in (b"small", b"large"):
            calls += [
                (b"HSET", b"hash:" + label, name("field", number), b"z"),
                (b"SADD", b"set:" + label, b"x%d" % number),
            ]
            calls += [
                (b"ZREM", b"zset:" + label, name("scored", number)),
                (b"ZADD", b"lex:" + label, b"3", b"x%d" % number),
            ]
            calls += [(b"LPUSH", b"list:" + label, b"x%d" % number), (b"RPOP", b"list:" + label)]
            stream = b"stream:" + label
            calls += [(b"XADD", stream, b"9%03d-1" % number, b"f", b"v"), (b"XDEL", stream, b"%d-1" % (number * 3))]
            calls += [(b"XACK", stream, b"one", b"%d-1" % (number * 2)), (b"XTRIM", stream, b"MINID", b"%d" % number)]
            calls += [(b"XREADGROUP", b"GROUP", b"two", b"new", b"COUNT", b"3", b"STREAMS", stream, b">")]
    return calls


def ask_all(client: Connection) -> dict[Call, bytes]:
    """The replies to all calls."""
    ask = asking(client)
    return {call: ask(request(*call)) for call in [*reads(), *draws()]}


def wrong(sound: dict[Call, bytes], found: dict[Call, bytes]) -> list[tuple[Call, bytes]]:
    """The calls, with their replies, that were answered neither as on the sound store nor by an error."""
    drawn = draws()
    different = []
    for call, reply in found.items():
        if reply.startswith(b"-"):
            continue
        if call in drawn and _words(parse(reply)) <= _words(parse(sound[drawn[call]])):
            continue
        if reply != sound[call]:
            different.append((call, reply))
    return different


# What gives a part of a collection or of the names, without a look at all of it. XPENDING gives the first and the last
# id of those that its group's record counts.
PARTS: Final = {
    b"ZRANGEBYSCORE", b"ZREVRANGEBYSCORE", b"ZCOUNT", b"ZRANGEBYLEX", b"ZREVRANGEBYLEX", b"ZLEXCOUNT", b"ZRANGE",
    b"GEOSEARCH", b"SCAN", b"KEYS", b"HSCAN", b"SSCAN", b"XRANGE", b"XREVRANGE", b"XREAD",
    b"XPENDING",
}  # fmt: skip

EVERYTHING: Final = {
    (b"-inf", b"+inf"),
    (b"+inf", b"-inf"),
    (b"-", b"+"),
    (b"+", b"-"),
    (b"0", b"-1"),
    (b"0", b"COUNT"),
}

# What looks for things by their names, and may find nothing.
LOOKS: Final = {
    b"GET", b"GETRANGE", b"GETBIT", b"BITCOUNT", b"BITPOS", b"BITFIELD_RO", b"STRLEN", b"LCS", b"PFCOUNT", b"MGET",
    b"PTTL", b"TYPE", b"EXISTS", b"OBJECT", b"HGET", b"HMGET", b"HEXISTS", b"HSTRLEN", b"SISMEMBER", b"SMISMEMBER",
    b"SINTER", b"SDIFF", b"SUNION", b"SINTERCARD", b"ZSCORE", b"ZRANK", b"ZREVRANK", b"ZMSCORE", b"ZINTER", b"ZDIFF",
    b"ZINTERCARD", b"ZUNION", b"GEOPOS", b"GEODIST",
}  # fmt: skip

# What a command of any family replies where it does not find its key.
NO_KEY: Final = {b"$-1\r\n", b"*0\r\n", b":0\r\n", b":-2\r\n", b"+none\r\n", b"*-1\r\n", b"*2\r\n$1\r\n0\r\n*0\r\n"}


def may_lack(call: Call, reply: bytes) -> bool:
    """Whether this may be replied without an error where a page is missing whose neighbours are in order."""
    if call[0] in LOOKS or reply in NO_KEY:
        return True
    return call[0] in PARTS and call[1:] != (b"*",) and not any(call[at : at + 2] in EVERYTHING for at in (1, 2))


def _words(reply: object) -> set[object]:
    return set(reply) if isinstance(reply, list) else {reply}
