"""What test_txredisapi.py runs in a process of its own: a Twisted program that uses txredisapi as its manual shows.

    python txredisapi_scenario.py PORT SOCKET

Exits with status 0 and the line `done` when everything was as it should be.
"""

from __future__ import annotations

import sys
from typing import Any

import txredisapi as redis
from twisted.internet import defer, task
from twisted.internet.defer import inlineCallbacks

TIMEOUT_S = 20


@inlineCallbacks
def plain(port: int) -> Any:
    rc = yield redis.Connection("127.0.0.1", port)
    assert (yield rc.ping()) == "PONG"
    yield rc.flushall()
    assert (yield rc.set("a", "value")) == "OK"
    assert (yield rc.get("a")) == "value"
    assert (yield rc.get("nothing")) is None
    assert (yield rc.set("a", "other", only_if_not_exists=True)) is None
    assert (yield rc.set("b", "x", expire=100)) == "OK"
    assert 98 <= (yield rc.ttl("b")) <= 100
    assert (yield rc.expire("a", 50)) == 1
    assert 48 <= (yield rc.ttl("a")) <= 50
    assert (yield rc.persist("a")) == 1
    assert (yield rc.ttl("a")) == -1
    assert (yield rc.setex("b", 10, "y")) == "OK"
    assert (yield rc.setnx("b", "z")) == 0
    assert (yield rc.getset("b", "z")) == "y"
    assert (yield rc.append("b", "zz")) == 3
    assert (yield rc.substr("b", 1, 2)) == "zz"
    assert (yield rc.mset({"c": 1, "d": 2})) == "OK"
    assert (yield rc.msetnx({"c": 1, "e": 2})) == 0
    assert (yield rc.mget(["c", "d", "nothing"])) == [1, 2, None]
    assert (yield rc.incr("c")) == 2
    assert (yield rc.incr("c", 8)) == 10
    assert (yield rc.decr("c")) == 9
    assert (yield rc.decrby("c", 9)) == 0
    assert (yield rc.exists("c")) == 1
    assert (yield rc.type("c")) == "string"
    assert (yield rc.rename("c", "f")) == "OK"
    assert (yield rc.renamenx("f", "d")) == 0
    assert sorted((yield rc.keys("*"))) == ["a", "b", "d", "f"]
    assert (yield rc.keys("[ab]")) in (["a", "b"], ["b", "a"])
    cursor, names = yield rc.scan(0, pattern="?", count=100)
    assert (cursor, sorted(names)) == (0, ["a", "b", "d", "f"])
    assert (yield rc.randomkey()) in ("a", "b", "d", "f")
    assert (yield rc.dbsize()) == 4
    assert (yield rc.move("f", 3)) == 1
    assert (yield rc.select(3)) == "OK"
    assert (yield rc.keys()) == ["f"]
    assert (yield rc.flushdb()) == "OK"
    assert (yield rc.select(0)) == "OK"
    assert (yield rc.delete(["a", "b"])) == 2
    info = yield rc.info("server")
    assert info["redis_version"].startswith("7."), info
    seconds, microseconds = yield rc.time()
    assert seconds > 1_600_000_000
    assert 0 <= microseconds < 1_000_000
    assert (yield rc.role())[0] == "master"
    assert (yield rc.lastsave()) > 1_600_000_000
    yield rc.set("word", "x")
    refusal = yield rc.incr("word").addErrback(lambda failure: failure.value)
    assert isinstance(refusal, redis.ResponseError), refusal
    assert str(refusal) == "ERR value is not an integer or out of range"
    yield rc.disconnect()


@inlineCallbacks
def transactions(port: int) -> Any:
    rc = yield redis.Connection("127.0.0.1", port)
    other = yield redis.Connection("127.0.0.1", port)
    yield rc.flushall()

    t = yield rc.multi()
    yield t.set("a", 1)
    yield t.incr("a")
    yield t.get("a")
    assert (yield t.commit()) == ["OK", 2, 2]

    t = yield rc.multi(["a", "b"])
    yield other.set("b", "meanwhile")
    yield t.set("a", "lost")
    try:
        yield t.commit()
    except redis.WatchError:
        pass
    else:
        raise AssertionError("a commit went through although a watched key had changed")
    assert (yield rc.get("a")) == 2

    t = yield rc.multi()
    yield t.set("a", "never")
    assert (yield t.discard()) == "OK"
    assert (yield rc.get("a")) == 2
    yield defer.gatherResults([_raise_counter(port) for _ in range(4)])
    assert (yield rc.get("counter")) == 100
    for connection in (rc, other):
        yield connection.disconnect()


@inlineCallbacks
def _raise_counter(port: int) -> Any:
    rc = yield redis.Connection("127.0.0.1", port)
    for _ in range(25):
        while True:
            t = yield rc.watch("counter")
            value = yield t.get("counter")
            yield t.multi()
            yield t.set("counter", (value or 0) + 1)
            try:
                yield t.commit()
            except redis.WatchError:
                continue
            break
    yield rc.disconnect()


@inlineCallbacks
def pipelines(port: int) -> Any:
    rc = yield redis.Connection("127.0.0.1", port)
    yield rc.flushall()
    pipeline = yield rc.pipeline()
    for number in range(3000):
        pipeline.set(f"key:{number}", number)
        pipeline.get(f"key:{number}")
    replies = yield pipeline.execute_pipeline()
    assert replies[0::2] == ["OK"] * 3000
    assert replies[1::2] == list(range(3000))
    yield rc.disconnect()


@inlineCallbacks
def pool(port: int) -> Any:
    ten = redis.lazyConnectionPool("127.0.0.1", port, poolsize=10)
    replies = yield defer.gatherResults([ten.incr("many") for _ in range(1000)])
    assert sorted(replies) == list(range(1, 1001))
    yield ten.disconnect()

    one = redis.lazyConnection("127.0.0.1", port, dbid=4)
    yield one.set("in four", "x")
    assert (yield one.keys("*")) == ["in four"]
    yield one.disconnect()


@inlineCallbacks
def unix_socket(path: str) -> Any:
    unix = yield redis.UnixConnection(path)
    assert (yield unix.get("many")) == 1000
    large = "ü" * 1_000_000
    yield unix.set("large", large)
    assert (yield unix.get("large")) == large
    yield unix.disconnect()


@inlineCallbacks
def main(reactor: Any, port: str, socket: str) -> Any:
    for part in (plain, transactions, pipelines, pool):
        yield part(int(port)).addTimeout(TIMEOUT_S, reactor)
    yield unix_socket(socket).addTimeout(TIMEOUT_S, reactor)
    print("done")


if __name__ == "__main__":
    task.react(main, sys.argv[1:])
