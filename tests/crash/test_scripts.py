"""The server is killed while scripts run: of each all is there or nothing, and of those that were answered all."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from random import Random
from typing import Any

import pytest
import redis

from tests.integration.conftest import NEVER_AGAIN, StartServer

KEYS = 50
TEXT = f"for i = 1, {KEYS} do redis.call('set', KEYS[1] .. i, ARGV[1]) end return tonumber(ARGV[1])"
LIBRARY = (
    "#!lua name=lib\nredis.register_function('f', function(keys, args)"
    f" for i = 1, {KEYS} do redis.call('set', keys[1] .. i, args[1]) end return tonumber(args[1]) end)"
)
CLIENTS = 3
LIFE_S = 0.3


class Client(threading.Thread):
    """Runs the script, or the function, with growing numbers, until the server dies."""

    def __init__(self, port: int, name: str, number: int) -> None:
        super().__init__(daemon=True)
        self.port, self.name, self.answered = port, name, number
        self.start()

    def run(self) -> None:
        with suppress(redis.ConnectionError), redis.Redis(port=self.port, retry=NEVER_AGAIN) as r:
            while True:
                number = self.answered + 1
                if number % 2:
                    self.answered = int(r.eval(TEXT, 1, self.name, number))
                else:
                    self.answered = int(r.fcall("f", 1, self.name, number))


@pytest.mark.parametrize("mode", ["always", "everysec", "no"])
def test_a_script_is_all_or_nothing(server: StartServer, mode: str, seed: str, rounds: int) -> None:
    random = Random(f"{seed}/scripts/{mode}")
    daemon = server(f"--fsync={mode}", "--journal-size=256kb")
    with redis.Redis(port=daemon.port) as r:
        r.function_load(LIBRARY)
    numbers = [0] * CLIENTS
    for _ in range(-(-rounds // 3)):
        clients = [Client(daemon.port, f"c{index}:", number) for index, number in enumerate(numbers)]
        threading.Event().wait(random.uniform(0.05, LIFE_S))
        daemon.kill()
        for client in clients:
            client.join()
        daemon.start()
        with redis.Redis(port=daemon.port) as r:
            assert r.function_list()
            for index, client in enumerate(clients):
                values = set(r.mget([f"{client.name}{number}" for number in range(1, KEYS + 1)]))
                assert len(values) == 1, "a script is there in part"
                found = int(values.pop() or 0)
                assert found in (client.answered, client.answered + 1), "a script that was answered is lost"
                numbers[index] = found
    assert sum(numbers) > CLIENTS


def test_no_message_of_a_queue_is_lost(server: StartServer, seed: str, rounds: int) -> None:
    """dramatiq enqueues by a script, which the death of the server may meet anywhere."""
    dramatiq = pytest.importorskip("dramatiq")
    from dramatiq.brokers.redis import RedisBroker

    random = Random(f"{seed}/queue")
    daemon = server("--journal-size=256kb")
    enqueued: set[str] = set()
    for _ in range(-(-rounds // 3)):
        broker = RedisBroker(client=redis.Redis(port=daemon.port, retry=NEVER_AGAIN))
        broker.declare_queue("work")

        def produce(broker: Any = broker) -> None:
            with suppress(redis.RedisError):
                while True:
                    message = dramatiq.Message(queue_name="work", actor_name="work", args=(), kwargs={}, options={})
                    broker.enqueue(message)
                    enqueued.add(message.message_id)

        producer = threading.Thread(target=produce, daemon=True)
        producer.start()
        threading.Event().wait(random.uniform(0.05, LIFE_S))
        daemon.kill()
        producer.join()
        daemon.start()
    with redis.Redis(port=daemon.port) as r:
        kept = {json.loads(data)["message_id"] for data in r.hvals("dramatiq:work.msgs")}
        assert len(kept) == r.llen("dramatiq:work"), "a message is there in part"
    assert enqueued
    assert enqueued <= kept, "a message that was enqueued is lost"
