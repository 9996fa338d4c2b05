"""redis-py's asyncio client: nothing patched, both protocols, many tasks at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import BlockingConnectionPool, Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ResponseError, WatchError

from tests.integration.conftest import StartServer
from tests.integration.daemon import Daemon

Scenario = Callable[[Redis], Awaitable[None]]
Play = Callable[..., None]


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def play(daemon: Daemon, request: pytest.FixtureRequest) -> Play:
    """Runs a scenario in an event loop of its own with a client of the module's server, which is empty."""

    def play(scenario: Scenario, **options: Any) -> None:
        async def run() -> None:
            async with Redis(**{"port": daemon.port, "protocol": request.param, **options}) as client:
                await client.flushall()
                await scenario(client)

        asyncio.run(asyncio.wait_for(run(), 60))

    return play


def test_commands(play: Play) -> None:
    async def scenario(r: Any) -> None:
        assert await r.ping() is True
        assert await r.set("a", "x", ex=100) is True
        assert await r.get("a") == b"x"
        assert 98 <= await r.ttl("a") <= 100
        assert await r.incr("n") == 1
        assert await r.incrbyfloat("n", 1.5) == 2.5
        assert await r.mget("a", "none") == [b"x", None]
        assert await r.append("a", "yz") == 3
        assert await r.rename("a", "b") is True
        assert await r.copy("b", "c") is True
        assert await r.exists("a", "b", "c") == 2
        assert sorted(await r.keys()) == [b"b", b"c", b"n"]
        assert await r.delete("b", "c") == 2
        assert await r.dbsize() == 1
        assert (await r.info("server"))["redis_version"].startswith("7.")
        assert (await r.client_info())["lib-name"] == "redis-py"
        with pytest.raises(ResponseError, match="not an integer"):
            await r.set("w", "x") and await r.incr("w")

    play(scenario)


def test_scan_iter(play: Play) -> None:
    async def scenario(r: Any) -> None:
        await r.mset({f"key:{number}": number for number in range(500)})
        assert len({name async for name in r.scan_iter("key:*", count=20)}) == 500

    play(scenario, decode_responses=True)


@pytest.mark.parametrize("transaction", [True, False])
def test_pipeline(play: Play, transaction: bool) -> None:
    async def scenario(r: Any) -> None:
        async with r.pipeline(transaction=transaction) as pipe:
            for number in range(1000):
                pipe.incrby("sum", number)
            replies = await pipe.execute()
        assert replies[-1] == sum(range(1000))

    play(scenario)


def test_many_tasks_watch_one_counter(play: Play) -> None:
    async def scenario(r: Any) -> None:
        conflicts = 0

        async def increment() -> None:
            nonlocal conflicts
            for _ in range(10):
                async with r.pipeline() as pipe:
                    while True:
                        try:
                            await pipe.watch("counter")
                            value = int(await pipe.get("counter") or 0)
                            pipe.multi()
                            pipe.set("counter", value + 1)
                            await pipe.execute()
                        except WatchError:
                            conflicts += 1
                        else:
                            break

        await asyncio.gather(*(increment() for _ in range(10)))
        assert await r.get("counter") == b"100"
        assert conflicts

    play(scenario)


def test_two_hundred_tasks_on_twenty_connections(daemon: Daemon, play: Play) -> None:
    async def scenario(_: Redis) -> None:
        pool = BlockingConnectionPool(port=daemon.port, max_connections=20, timeout=30)
        async with Redis(connection_pool=pool) as r:

            async def work(name: int) -> None:
                for number in range(10):
                    await r.set(f"{name}:{number}", number)
                    assert await r.get(f"{name}:{number}") == b"%d" % number

            await asyncio.gather(*(work(name) for name in range(200)))
            assert await r.dbsize() == 2000
            assert len(await r.client_list()) <= 21
        await pool.disconnect()

    play(scenario)


def test_large_value(play: Play) -> None:
    async def scenario(r: Any) -> None:
        large = bytes(range(256)) * 40_000
        assert await r.set("large", large) is True
        assert await r.get("large") == large

    play(scenario)


def test_server_restarts_under_a_client(server: StartServer) -> None:
    daemon = server()

    async def scenario() -> None:
        from redis.asyncio.retry import Retry

        async with Redis(port=daemon.port, retry=Retry(ConstantBackoff(0.05), 200)) as r:
            await r.set("a", "kept", ex=1000)
            await asyncio.to_thread(daemon.kill)
            value, _ = await asyncio.gather(r.get("a"), asyncio.to_thread(daemon.start))
            assert value == b"kept"
            assert await r.ttl("a") > 900

    asyncio.run(asyncio.wait_for(scenario(), 60))
