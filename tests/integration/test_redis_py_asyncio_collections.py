"""redis-py's asyncio client: all types, many tasks that wait on queues, listeners, and a restart under all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import WatchError

from tests.integration.conftest import StartServer
from tests.integration.daemon import Daemon

Scenario = Callable[[Redis], Awaitable[None]]
Play = Callable[..., None]


@pytest.fixture(params=[{}, {"protocol": 2}, {"protocol": 3}], ids=["default", "RESP2", "RESP3"])
def play(daemon: Daemon, request: pytest.FixtureRequest) -> Play:
    """Runs a scenario with a client of the module's server, which is empty; texts are decoded."""

    def play(scenario: Scenario) -> None:
        async def run() -> None:
            async with Redis(port=daemon.port, decode_responses=True, **request.param) as client:
                await client.flushall()
                await scenario(client)

        asyncio.run(asyncio.wait_for(run(), 60))

    return play


def test_all_types(play: Play) -> None:
    async def scenario(r: Any) -> None:
        assert await r.rpush("l", "a", "b", "c") == 3
        assert await r.lrange("l", 0, -1) == ["a", "b", "c"]
        assert await r.lpop("l", 2) == ["a", "b"]
        assert await r.hset("h", mapping={"name": "Ada", "age": 36}) == 2
        assert await r.hgetall("h") == {"name": "Ada", "age": "36"}
        assert await r.hincrby("h", "age") == 37
        assert await r.sadd("s", "a", "b") == 2
        assert await r.smembers("s") == {"a", "b"}
        assert await r.zadd("z", {"a": 1, "b": 2.5}) == 2
        assert [tuple(entry) for entry in await r.zrange("z", 0, -1, withscores=True)] == [("a", 1.0), ("b", 2.5)]
        assert await r.zscore("z", "b") == 2.5
        assert sorted([name async for name in r.scan_iter()]) == ["h", "l", "s", "z"]
        assert {field async for field, _ in r.hscan_iter("h")} == {"name", "age"}
        assert {member async for member in r.sscan_iter("s")} == {"a", "b"}
        assert {tuple(entry) async for entry in r.zscan_iter("z")} == {("a", 1.0), ("b", 2.5)}
        async with r.pipeline() as pipe:
            replies = await pipe.llen("l").hlen("h").scard("s").zcard("z").delete("l", "h", "s", "z").execute()
        assert replies == [1, 2, 2, 2, 4]

    play(scenario)


def test_a_watched_collection(play: Play) -> None:
    async def scenario(r: Any) -> None:
        await r.hset("stock", "apples", 1)
        sold = 0

        async def buy() -> None:
            nonlocal sold
            async with r.pipeline() as pipe:
                while True:
                    try:
                        await pipe.watch("stock")
                        if int(await pipe.hget("stock", "apples")) == 0:
                            return
                        pipe.multi()
                        await pipe.hincrby("stock", "apples", -1).rpush("sales", "apple").execute()
                    except WatchError:
                        continue
                    sold += 1
                    return

        await asyncio.gather(*(buy() for _ in range(10)))
        assert (sold, await r.hget("stock", "apples"), await r.llen("sales")) == (1, "0", 1)

    play(scenario)


def test_fifty_tasks_wait(play: Play) -> None:
    """Each waits for a question on its own queue, and answers on one that all share."""

    async def scenario(r: Any) -> None:
        async def answer(name: int) -> None:
            _, question = await r.blpop([f"questions:{name}"], timeout=20)
            await r.zadd("answers", {question: name})
            await r.rpush("answered", name)

        tasks = [asyncio.create_task(answer(name)) for name in range(50)]
        while (await r.info("clients"))["blocked_clients"] < 50:
            await asyncio.sleep(0.01)
        for name in reversed(range(50)):
            await r.rpush(f"questions:{name}", f"question {name}")
        taken = [int((await r.brpop(["answered"], timeout=20))[1]) for _ in range(50)]
        await asyncio.gather(*tasks)
        assert sorted(taken) == list(range(50))
        assert await r.zrange("answers", 0, -1) == [f"question {name}" for name in range(50)]
        assert await r.bzpopmax("answers", 1) is not None

    play(scenario)


def test_a_task_that_is_cancelled_takes_nothing(play: Play) -> None:
    async def scenario(r: Any) -> None:
        waiting = asyncio.create_task(r.blpop(["queue"], timeout=20))
        while (await r.info("clients"))["blocked_clients"] < 1:
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        while (await r.info("clients"))["blocked_clients"]:
            await asyncio.sleep(0.01)
        await r.rpush("queue", "a")
        assert await r.lrange("queue", 0, -1) == ["a"]

    play(scenario)


@pytest.mark.parametrize("options", [{}, {"protocol": 2}, {"protocol": 3}], ids=["default", "RESP2", "RESP3"])
def test_queues_and_listeners_go_on_when_the_server_is_back(server: StartServer, options: dict[str, Any]) -> None:
    daemon = server()

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.01)

    async def scenario() -> None:
        patient = Retry(ConstantBackoff(0.05), 200)
        async with Redis(port=daemon.port, decode_responses=True, retry=patient, **options) as client:
            r: Any = client
            received: list[str] = []
            taken: list[str] = []

            async def listen() -> None:
                async with r.pubsub() as pubsub:
                    await pubsub.subscribe("news")
                    async for message in pubsub.listen():
                        received.append(str(message["data"]))
                        if received[-1] == "after":
                            return

            async def take() -> None:
                while taken[-1:] != ["two"]:
                    taken.append((await r.blpop(["queue"], timeout=20))[1])

            tasks = [asyncio.create_task(listen()), asyncio.create_task(take())]
            await r.hset("h", mapping={"f": "v"})
            await r.expire("h", 1000)
            await r.rpush("queue", "one")
            await until(lambda: taken == ["one"] and received == ["1"])
            assert await r.publish("news", "before") == 1
            await until(lambda: "before" in received)
            await asyncio.to_thread(daemon.kill)
            await asyncio.to_thread(daemon.start)
            assert await r.hgetall("h") == {"f": "v"}
            assert 900 < await r.ttl("h") <= 1000
            await r.rpush("queue", "two")
            while not await r.publish("news", "after"):
                await asyncio.sleep(0.01)
            await asyncio.gather(*tasks)
            assert taken == ["one", "two"]

    asyncio.run(asyncio.wait_for(scenario(), 60))
