"""Caches, limiters of web frameworks, locks and counters that send scripts, as users call them.

Each scenario is one function of a client's port: what it asserts holds on Keyp and on a real server.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis
import redis.asyncio


@pytest.fixture
def r(port: int) -> Iterator[Any]:
    with redis.Redis(port=port) as r:
        yield r


def url(port: int) -> str:
    return f"redis://127.0.0.1:{port}"


def test_django_redis(port: int, r: Any) -> None:
    settings = pytest.importorskip("django.conf").settings
    if not settings.configured:
        settings.configure()
    cache = pytest.importorskip("django_redis.cache").RedisCache(f"{url(port)}/0", {})
    with cache.lock("lock", timeout=100, blocking_timeout=0) as lock:
        assert not cache.lock("lock", timeout=100, blocking_timeout=0).acquire()
        assert lock.extend(100)
        assert 100 < r.ttl(":1:lock") <= 200
        r.script_flush()
    assert r.keys() == []
    lock = cache.lock("lock", timeout=100)
    assert lock.acquire()
    r.set(":1:lock", "another's")
    with pytest.raises(redis.exceptions.LockNotOwnedError):
        lock.release()
    cache.set("counter", 1, timeout=100)
    assert [cache.incr("counter"), cache.incr("counter", 5), cache.decr("counter")] == [2, 7, 6]
    assert 0 < r.ttl(":1:counter") <= 100
    with pytest.raises(ValueError, match="not found"):
        cache.incr("nothing")
    cache.set_many({"a": [1], "b": {"c": 2}})
    assert cache.get_many(["a", "b", "c"]) == {"a": [1], "b": {"c": 2}}
    assert cache.delete_pattern("?") == 2


def test_dogpile(port: int, r: Any) -> None:
    """Of several threads that want what is not there, one makes it: the others wait for its lock."""
    region = pytest.importorskip("dogpile.cache").make_region()
    arguments = {"url": url(port), "distributed_lock": True, "thread_local_lock": False, "lock_timeout": 100}
    region.configure("dogpile.cache.redis", expiration_time=100, arguments={**arguments, "lock_sleep": 0.001})
    made, got = [], []

    def make() -> int:
        made.append(r.exists("_lockvalue"))
        return 42

    def want() -> None:
        got.append(region.get_or_create("value", make))

    threads = [threading.Thread(target=want) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (made, got) == ([1], [42] * 6)
    assert r.keys("_lock*") == []
    region.delete("value")
    assert region.get_or_create("value", make) == 42
    assert made == [1, 1]


def test_aiocache(port: int, r: Any) -> None:
    aiocache = pytest.importorskip("aiocache")
    from aiocache.lock import OptimisticLock, OptimisticLockError, RedLock

    async def use() -> None:
        async with aiocache.RedisCache(endpoint="127.0.0.1", port=port, namespace="n") as cache:
            made: list[str] = []

            async def want() -> str:
                async with RedLock(cache, "key", lease=100):
                    found = await cache.get("key")
                    if found is None:
                        made.append("value")
                        await cache.set("key", found := "value")
                    return str(found)

            assert await asyncio.gather(*(want() for _ in range(5))) == ["value"] * 5
            assert made == ["value"]
            assert not r.exists("n:key-lock", "nkey-lock")
            async with OptimisticLock(cache, "key") as lock:
                await lock.cas("new")
            assert await cache.get("key") == "new"
            async with OptimisticLock(cache, "key") as lock:
                await cache.set("key", "another's")
                with pytest.raises(OptimisticLockError):
                    await lock.cas("mine")
            assert await cache.clear(namespace="n")

    asyncio.run(use())


def test_cashews(port: int, r: Any) -> None:
    cashews = pytest.importorskip("cashews")

    async def use() -> None:
        cache = cashews.Cache()
        cache.setup(url(port), suppress=False)

        @cache.rate_limit(limit=3, period="1h", key="fixed:{user}")
        async def fixed(user: str) -> str:
            return user

        @cache.slice_rate_limit(limit=3, period="1h", key="sliding:{user}")
        async def sliding(user: str) -> str:
            return user

        inside, seen = [0], []

        @cache.locked(key="lock", ttl="1h", check_interval=0.001)
        async def alone() -> None:
            inside[0] += 1
            seen.append(inside[0])
            await cache.get("anything")
            inside[0] -= 1

        for limited in (fixed, sliding):
            for _ in range(3):
                assert await limited("ada") == "ada"
            with pytest.raises(cashews.RateLimitError):
                await limited("ada")
            assert await limited("bob") == "bob"
        await asyncio.gather(*(alone() for _ in range(5)))
        assert seen == [1] * 5
        async with cache.lock("by hand", expire=100):
            assert await cache.is_locked("by hand")
        assert not await cache.is_locked("by hand")
        assert await cache.incr("number", expire=100) == 1
        assert 0 < r.ttl("number") <= 100
        await cache.delete_match("n*")
        assert not r.exists("number")
        await cache.close()

    asyncio.run(use())


def test_fastapi_cache(port: int, r: Any) -> None:
    FastAPICache = pytest.importorskip("fastapi_cache").FastAPICache
    from fastapi_cache.backends.redis import RedisBackend
    from fastapi_cache.decorator import cache

    async def use() -> None:
        made: list[int] = []

        @cache(expire=100, namespace="numbers")
        async def number(n: int) -> int:
            made.append(n)
            return n

        async with redis.asyncio.Redis(port=port) as client:
            FastAPICache.init(RedisBackend(client), prefix="site")
            r.set("another", "stays")
            for _ in range(2):
                assert [await number(1), await number(2)] == [1, 2]
            assert made == [1, 2]
            assert len(r.keys("site:numbers:*")) == 2
            await FastAPICache.clear(namespace="numbers")
            assert r.keys() == [b"another"]
            assert await number(1) == 1
            assert made == [1, 2, 1]
            FastAPICache.reset()

    asyncio.run(use())


@pytest.mark.parametrize("strategy", ["fixed-window", "moving-window", "sliding-window-counter"])
def test_flask_limiter(port: int, r: Any, strategy: str) -> None:
    flask_limiter = pytest.importorskip("flask_limiter")
    from flask import Flask, request

    app = Flask("site")
    limiter = flask_limiter.Limiter(
        lambda: request.args["user"],
        app=app,
        storage_uri=url(port),
        strategy=strategy,
        default_limits=["3/hour"],
        headers_enabled=True,
    )

    @app.route("/")
    def page() -> str:
        return "page"

    @app.route("/free")
    @limiter.exempt
    def free() -> str:
        return "free"

    visitor = app.test_client()
    assert [visitor.get("/?user=ada").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    answer = visitor.get("/?user=bob")
    assert (answer.status_code, answer.headers["X-RateLimit-Remaining"]) == (200, "2")
    assert [visitor.get("/free?user=ada").status_code for _ in range(5)] == [200] * 5
    assert r.dbsize() > 0
    limiter.reset()
    assert r.dbsize() == 0
    assert visitor.get("/?user=ada").status_code == 200


Asgi = Callable[[Any, Any, Any], Awaitable[None]]


async def visit(app: Asgi, path: str) -> int:
    """The status of what an ASGI application answers to a GET."""
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async with AsyncExitStack() as stack:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "fastapi_inner_astack": stack,
            "fastapi_function_astack": stack,
        }
        await app(scope, receive, send)
    return statuses[0]


@pytest.mark.parametrize("strategy", ["fixed-window", "moving-window"])
def test_slowapi(port: int, r: Any, strategy: str) -> None:
    slowapi = pytest.importorskip("slowapi")
    from slowapi.errors import RateLimitExceeded
    from slowapi.util import get_remote_address
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    limiter = slowapi.Limiter(key_func=get_remote_address, storage_uri=url(port), strategy=strategy)

    @limiter.limit("3/hour")
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("page")

    async def free(request: Request) -> PlainTextResponse:
        return PlainTextResponse("free")

    app = Starlette(routes=[Route("/", page), Route("/free", free)])
    app.state.limiter = limiter
    app.add_exception_handler(RateLimitExceeded, slowapi._rate_limit_exceeded_handler)

    async def use() -> None:
        assert [await visit(app, "/") for _ in range(5)] == [200, 200, 200, 429, 429]
        assert await visit(app, "/free") == 200
        assert r.dbsize() > 0
        limiter.reset()
        assert await visit(app, "/") == 200

    asyncio.run(use())


def test_pottery(port: int, r: Any) -> None:
    """All of it that sends scripts: its lock, which extends itself by one, and its counter."""
    pottery = pytest.importorskip("pottery")
    lock = pottery.Redlock(key="lock", masters={r}, auto_release_time=100)
    assert lock.acquire(blocking=False)
    assert 90 < lock.locked() <= 100
    assert not pottery.Redlock(key="lock", masters={r}).acquire(blocking=False)
    lock.extend()
    assert 90 < r.ttl("redlock:lock") <= 100
    lock.release()
    assert lock.locked() == 0
    with pytest.raises(pottery.ReleaseUnlockedLock):
        lock.release()
    with pottery.Redlock(key="lock", masters={r}):
        assert r.exists("redlock:lock")

    made: list[int] = []

    @pottery.synchronize(key="alone", masters={r}, auto_release_time=100)
    def alone() -> None:
        made.append(r.exists("redlock:alone"))

    alone()
    assert made == [1]
    ids = [pottery.NextID(key="ids", masters={r}) for _ in range(2)]
    assert [next(ids[number % 2]) for number in range(6)] == [1, 2, 3, 4, 5, 6]
    ids[0].reset()
    assert next(ids[1]) == 1


def test_pottery_asyncio(port: int, r: Any) -> None:
    pottery = pytest.importorskip("pottery")

    async def use() -> None:
        async with redis.asyncio.Redis(port=port) as master:
            lock = pottery.AIORedlock(key="lock", masters={master}, auto_release_time=100)
            assert await lock.acquire(blocking=False)
            assert await lock.locked() > 90
            await lock.extend()
            await lock.release()
            assert await lock.locked() == 0
            ids = pottery.AIONextID(key="ids", masters={master})
            assert [await anext(ids) for _ in range(3)] == [1, 2, 3]

    asyncio.run(use())
