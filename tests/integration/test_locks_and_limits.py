"""Locks, rate limiters, queues and channel layers that send scripts, as users call them, on Keyp and a real server.

Each scenario is one function of a client's port: what it asserts holds on both.
"""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import redis

from tests.integration.daemon import wait_until


def test_lock_of_redis_py(port: int) -> None:
    with redis.Redis(port=port) as r, redis.Redis(port=port) as other:
        lock = r.lock("lock", timeout=10)
        assert lock.acquire(blocking=False)
        assert not other.lock("lock", timeout=10).acquire(blocking=False)
        assert lock.extend(20)
        assert 20 < r.ttl("lock") <= 30
        assert lock.reacquire()
        assert r.ttl("lock") <= 10
        r.script_flush()
        lock.release()
        assert not r.exists("lock")
        lock.acquire()
        r.set("lock", "another's")
        with pytest.raises(redis.exceptions.LockNotOwnedError):
            lock.release()
        assert r.get("lock") == b"another's"


def test_a_lock_excludes(port: int) -> None:
    inside, seen = [0], []

    def work() -> None:
        with redis.Redis(port=port) as r:
            for _ in range(20):
                with r.lock("mutex", timeout=10, sleep=0.001):
                    inside[0] += 1
                    seen.append(inside[0])
                    inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == [1] * 80


def test_registered_scripts_and_functions_of_redis_py(port: int) -> None:
    with redis.Redis(port=port) as r:
        script = r.register_script("return {KEYS[1], redis.call('incrby', KEYS[1], ARGV[1])}")
        assert script(keys=["n"], args=[5]) == [b"n", 5]
        r.script_flush()
        assert script(keys=["n"], args=[5]) == [b"n", 10]
        pipe = r.pipeline()
        script(keys=["n"], args=[1], client=pipe)
        pipe.get("n")
        assert pipe.execute() == [[b"n", 11], b"11"]
        code = "#!lua name=lib\nredis.register_function('f', function(keys, args) return args[1] .. #keys end)"
        assert r.function_load(code, replace=True) == b"lib"
        assert r.fcall("f", 1, "k", "x") == b"x1"
        dump = r.function_dump()
        r.function_flush()
        assert r.function_restore(dump)
        assert r.fcall("f", 0, "x") == b"x0"
        with pytest.raises(redis.exceptions.NoScriptError):
            r.evalsha("f" * 40, 0)


def test_redlock(port: int) -> None:
    redlock = pytest.importorskip("redlock")
    manager = redlock.Redlock([{"host": "127.0.0.1", "port": port}], retry_count=1)
    lock = manager.lock("resource", 10_000)
    assert lock
    assert manager.lock("resource", 10_000) is False
    manager.unlock(lock)
    assert manager.lock("resource", 10_000)


def test_python_redis_lock(port: int) -> None:
    redis_lock = pytest.importorskip("redis_lock")
    with redis.Redis(port=port) as r:
        lock = redis_lock.Lock(r, "name", expire=10)
        assert lock.acquire(blocking=False)
        assert not redis_lock.Lock(r, "name", expire=10).acquire(blocking=False)
        lock.extend(20)
        assert r.ttl("lock:name") > 10
        lock.release()
        assert redis_lock.Lock(r, "name", expire=10).acquire(blocking=False)
        redis_lock.reset_all(r)


@pytest.mark.parametrize(
    "strategy", ["FixedWindowRateLimiter", "MovingWindowRateLimiter", "SlidingWindowCounterRateLimiter"]
)
def test_limits(port: int, strategy: str) -> None:
    """The library under Flask-Limiter and slowapi."""
    limits = pytest.importorskip("limits")
    storage = limits.storage.storage_from_string(f"redis://127.0.0.1:{port}")
    limiter = getattr(limits.strategies, strategy)(storage)
    limit = limits.parse("3/hour")
    assert [limiter.hit(limit, "user") for _ in range(5)] == [True, True, True, False, False]
    assert limiter.test(limit, "another")
    assert limiter.get_window_stats(limit, "user").remaining == 0
    limiter.clear(limit, "user")
    assert limiter.hit(limit, "user")
    storage.reset()


def test_pyrate_limiter(port: int) -> None:
    pyrate = pytest.importorskip("pyrate_limiter")
    with redis.Redis(port=port) as r:
        bucket = pyrate.RedisBucket.init([pyrate.Rate(3, 10_000)], r, "bucket")
        now = int(time.time() * 1000)
        assert [bucket.put(pyrate.RateItem("x", now + number)) for number in range(5)] == [True] * 3 + [False] * 2
        assert bucket.count() == 3
        bucket.leak(now + 20_000)
        assert bucket.put(pyrate.RateItem("x", now + 20_000))


def test_dramatiq(port: int) -> None:
    dramatiq = pytest.importorskip("dramatiq")
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(host="127.0.0.1", port=port)
    done: list[int] = []
    failed: list[int] = []

    @dramatiq.actor(broker=broker, max_retries=3, min_backoff=10, max_backoff=20)
    def work(number: int) -> None:
        if number == 3 and not failed:
            failed.append(number)
            raise ValueError("once")
        done.append(number)

    for number in range(10):
        work.send(number)
    work.send_with_options(args=(99,), delay=100)
    worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=50)
    worker.start()
    try:
        wait_until(lambda: sorted(done) == [*range(10), 99], "all messages are worked on, one of them twice")
        broker.join(work.queue_name, timeout=20_000)
    finally:
        worker.stop()
        broker.close()


def test_channels(port: int) -> None:
    core = pytest.importorskip("channels_redis.core")

    async def talk() -> None:
        layer = core.RedisChannelLayer(hosts=[("127.0.0.1", port)], capacity=3)
        await layer.send("one", {"type": "a", "n": 1})
        assert await layer.receive("one") == {"type": "a", "n": 1}
        first, second = await layer.new_channel(), await layer.new_channel()
        for channel in (first, second):
            await layer.group_add("group", channel)
        await layer.group_send("group", {"type": "b"})
        assert await layer.receive(first) == {"type": "b"}
        assert await layer.receive(second) == {"type": "b"}
        for _ in range(3):
            await layer.send("full", {"type": "c"})
        with pytest.raises(core.ChannelFull):
            await layer.send("full", {"type": "c"})
        await layer.flush()
        await layer.close_pools()

    asyncio.run(talk())
