"""What test_txredisapi.py runs for collections, calls that wait and channels: a Twisted program as one writes it.

    python txredisapi_collections_scenario.py PORT

It asks for a restart of the server in the middle (see programs.py); its connections find their way back by themselves.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import txredisapi as redis
from twisted.internet import defer, reactor, task, threads
from twisted.internet.defer import inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint

TIMEOUT_S = 20


@inlineCallbacks
def until(condition: Any) -> Any:
    while not (yield defer.maybeDeferred(condition)):
        yield task.deferLater(reactor, 0.01, lambda: None)


@inlineCallbacks
def lists(rc: Any) -> Any:
    assert (yield rc.rpush("l", ["a", "b", "c"])) == 3
    assert (yield rc.lpush("l", "z")) == 4
    assert (yield rc.push("l", "y")) == 5
    assert (yield rc.llen("l")) == 5
    assert (yield rc.lrange("l", 0, -1)) == ["y", "z", "a", "b", "c"]
    assert (yield rc.lindex("l", -1)) == "c"
    assert (yield rc.lset("l", 0, "x")) == "OK"
    assert (yield rc.lrem("l", 0, "z")) == 1
    assert (yield rc.ltrim("l", 0, 2)) == "OK"
    assert (yield rc.rpoplpush("l", "m")) == "b"
    assert (yield rc.lpop("l")) == "x"
    assert (yield rc.rpop("l")) == "a"
    assert (yield rc.pop("l")) is None
    assert (yield rc.lrange("m", 0, -1)) == ["b"]


@inlineCallbacks
def hashes(rc: Any) -> Any:
    assert (yield rc.hset("h", "name", "Ada")) == 1
    assert (yield rc.hsetnx("h", "name", "Bob")) == 0
    assert (yield rc.hmset("h", {"age": 36, "city": "London"})) == "OK"
    assert (yield rc.hget("h", "age")) == 36
    assert (yield rc.hmget("h", ["name", "none"])) == ["Ada", None]
    assert (yield rc.hgetall("h")) == {"name": "Ada", "age": 36, "city": "London"}
    assert (yield rc.hincr("h", "age")) == 37
    assert (yield rc.hincrby("h", "age", 3)) == 40
    assert (yield rc.hdecr("h", "age")) == 39
    assert (yield rc.hexists("h", "city")) == 1
    assert (yield rc.hlen("h")) == 3
    assert sorted((yield rc.hkeys("h"))) == ["age", "city", "name"]
    assert set((yield rc.hvals("h"))) == {"Ada", 39, "London"}
    assert (yield rc.hdel("h", ["city", "none"])) == 1
    cursor, flat = yield rc.hscan("h", pattern="n*")
    assert (cursor, flat) == (0, ["name", "Ada"])


@inlineCallbacks
def sets(rc: Any) -> Any:
    assert (yield rc.sadd("s", ["a", "b", "c"])) == 3
    assert (yield rc.sadd("t", "b", "d")) == 2
    assert (yield rc.smembers("s")) == {"a", "b", "c"}
    assert (yield rc.scard("s")) == 3
    assert (yield rc.sismember("s", "a")) == 1
    assert set((yield rc.sinter(["s", "t"]))) == {"b"}
    assert set((yield rc.sunion(["s", "t"]))) == {"a", "b", "c", "d"}
    assert set((yield rc.sdiff(["s", "t"]))) == {"a", "c"}
    assert (yield rc.sinterstore("u", ["s", "t"])) == 1
    assert (yield rc.sunionstore("u", ["s", "t"])) == 4
    assert (yield rc.sdiffstore("u", ["s", "t"])) == 2
    assert (yield rc.smove("s", "t", "a")) == 1
    assert (yield rc.srem("t", ["a", "d"])) == 2
    assert (yield rc.srandmember("t")) == "b"
    assert (yield rc.spop("t")) == "b"
    cursor, members = yield rc.sscan("s")
    assert (cursor, sorted(members)) == (0, ["b", "c"])


@inlineCallbacks
def sorted_sets(rc: Any) -> Any:
    assert (yield rc.zadd("z", 1, "a", 2, "b", 3.5, "c")) == 3
    assert (yield rc.zrange("z", withscores=True)) == [("a", 1), ("b", 2), ("c", 3.5)]
    assert (yield rc.zrevrange("z", 0, 0)) == ["c"]
    assert (yield rc.zrangebyscore("z", 2, "+inf", withscores=True, offset=1, count=1)) == [("c", 3.5)]
    assert (yield rc.zrevrangebyscore("z", 2)) == ["b", "a"]
    assert (yield rc.zincrby("z", 1.25, "a")) == 2.25
    assert (yield rc.zincr("z", "a")) == 3.25
    assert (yield rc.zdecr("z", "a")) == 2.25
    assert (yield rc.zrank("z", "c")) == 2
    assert (yield rc.zrevrank("z", "c")) == 0
    assert (yield rc.zscore("z", "c")) == 3.5
    assert (yield rc.zcard("z")) == 3
    assert (yield rc.zcount("z", 2, 3)) == 2
    assert (yield rc.zunionstore("u", {"z": 2, "t": 1}, aggregate="MAX")) == 3
    assert (yield rc.zinterstore("i", ["z", "u"])) == 3
    assert (yield rc.zremrangebyrank("u", 0, 0)) == 1
    assert (yield rc.zremrangebyscore("u")) == 2
    assert (yield rc.zrem("z", "a")) == 1
    cursor, flat = yield rc.zscan("z")
    assert (cursor, flat) == (0, ["b", 2, "c", 3.5])


@inlineCallbacks
def transactions(rc: Any) -> Any:
    t = yield rc.multi(["z"])
    yield t.rpush("log", "begun")
    yield t.hincrby("counts", "runs", 1)
    yield t.zadd("z", 9, "last")
    yield t.smembers("none")
    assert (yield t.commit()) == [1, 1, 1, []]
    pipeline = yield rc.pipeline()
    for number in range(500):
        pipeline.rpush("long", number)
        pipeline.zadd("ranks", number, f"m{number}")
    yield pipeline.execute_pipeline()
    assert (yield rc.llen("long")) == (yield rc.zcard("ranks")) == 500


@inlineCallbacks
def waits(rc: Any, pool: Any) -> Any:
    """A pool lends a connection to each call that waits; the others go on."""
    first, second = pool.blpop(["q1", "q2"], timeout=20), pool.brpoplpush("q3", "q4", timeout=20)
    yield until(lambda: rc.info("clients").addCallback(lambda info: int(info["blocked_clients"]) == 2))
    yield rc.rpush("q2", "two")
    yield rc.rpush("q3", "three")
    assert (yield first) == ["q2", "two"]
    assert (yield second) == "three"
    assert (yield pool.brpop(["q1", "q4"], timeout=20)) == ["q4", "three"]
    assert (yield pool.blpop("q1", timeout=1)) is None


class Listener(redis.SubscriberProtocol):
    received: ClassVar[list[tuple[Any, Any, Any]]] = []

    def connectionMade(self) -> None:
        self.subscribe("news")
        self.psubscribe("sport.*")

    def messageReceived(self, pattern: Any, channel: Any, message: Any) -> None:
        self.received.append((pattern, channel, message))


class ListenerFactory(redis.SubscriberFactory):
    protocol = Listener
    maxDelay = 0.1


@inlineCallbacks
def channels(rc: Any) -> Any:
    Listener.received.clear()
    yield until(lambda: rc.publish("news", "ready?"))
    yield rc.publish("sport.golf", "hole in one")
    yield rc.publish("other", "nobody hears it")
    yield until(lambda: ("sport.*", "sport.golf", "hole in one") in Listener.received)
    assert set(Listener.received) == {(None, "news", "ready?"), ("sport.*", "sport.golf", "hole in one")}


@inlineCallbacks
def main(reactor: Any, port: str) -> Any:
    rc = yield redis.Connection("127.0.0.1", int(port))
    pool = yield redis.ConnectionPool("127.0.0.1", int(port), poolsize=3)
    for handler in (rc, pool):
        handler._factory.maxDelay = 0.1  # seconds between attempts to connect again; ten are the default
    listeners = ListenerFactory()
    listeners.startConnecting(TCP4ClientEndpoint(reactor, "127.0.0.1", int(port)))
    yield rc.flushall()
    for part in (lists, hashes, sets, sorted_sets, transactions, channels):
        yield part(rc).addTimeout(TIMEOUT_S, reactor)
    yield waits(rc, pool).addTimeout(TIMEOUT_S, reactor)
    yield rc.expire("h", 1000)

    print("restart", flush=True)
    yield threads.deferToThread(sys.stdin.readline)
    # The first call may still meet the connection that was lost.
    yield until(lambda: rc.ping().addErrback(lambda failure: failure.trap(redis.ConnectionError) and None))
    assert (yield rc.hgetall("h")) == {"name": "Ada", "age": 39}
    assert 900 < (yield rc.ttl("h")) <= 1000
    assert (yield rc.lrange("long", 0, -1)) == list(range(500))
    assert (yield rc.zrank("ranks", "m321")) == 321
    assert (yield rc.smembers("s")) == {"b", "c"}
    yield channels(rc).addTimeout(TIMEOUT_S, reactor)
    yield waits(rc, pool).addTimeout(TIMEOUT_S, reactor)
    for connections in (rc, pool, listeners):
        yield connections.disconnect()
    print("done")


if __name__ == "__main__":
    task.react(main, sys.argv[1:])
