"""redis-py as its users use it: nothing patched, default options, both protocols, threads, pools and lost servers."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import ExecAbortError, ResponseError, WatchError
from redis.retry import Retry

from tests.integration.conftest import NEVER_AGAIN, Connect, StartServer
from tests.integration.daemon import Daemon, wait_until


def test_defaults(daemon: Daemon) -> None:
    """No option but the port: the client chooses the protocol and introduces itself."""
    with redis.Redis(port=daemon.port) as r:
        assert r.ping() is True
        assert r.set("a", 1) is True
        assert r.get("a") == b"1"
        us = r.client_info()
        assert (us["lib-name"], us["lib-ver"]) == ("redis-py", redis.__version__)
        assert int(us["resp"]) == 3


def test_handshake_options(connect: Connect) -> None:
    r = connect(db=5, client_name="tester", health_check_interval=1)
    r.set("there", "x")
    us = r.client_info()
    assert (us["name"], us["db"]) == ("tester", 5)
    assert us["lib-name"] == "redis-py"
    assert connect(db=0).exists("there") == 0


def test_from_url_and_unix_socket(daemon: Daemon, connect: Connect) -> None:
    connect(db=3).set("k", "v")
    with redis.Redis.from_url(f"redis://127.0.0.1:{daemon.port}/3") as r:
        assert r.get("k") == b"v"
    with redis.Redis.from_url(f"unix://{daemon.directory}/socket?db=3") as r:
        assert r.get("k") == b"v"
        assert r.client_info()["addr"].startswith(str(daemon.directory))


@pytest.mark.parametrize("transaction", [True, False])
def test_pipeline(connect: Connect, transaction: bool) -> None:
    r = connect(decode_responses=True)
    with r.pipeline(transaction=transaction) as pipe:
        pipe.set("a", 5).incr("a").get("a").expire("a", 100).ttl("a").mget("a", "x").exists("x")
        assert pipe.execute() == [True, 6, "6", True, 100, ["6", None], 0]
    with r.pipeline(transaction=transaction) as pipe:
        for number in range(5000):
            pipe.set(f"n:{number}", number)
            pipe.get(f"n:{number}")
        replies = pipe.execute()
    assert replies[0::2] == [True] * 5000
    assert replies[1::2] == [str(number) for number in range(5000)]
    with r.pipeline(transaction=transaction) as pipe:
        pipe.set("word", "abc").incr("word").set("after", 1)
        replies = pipe.execute(raise_on_error=False)
    assert replies[0] is True
    assert isinstance(replies[1], ResponseError)
    assert replies[2] is True
    assert r.get("after") == "1"


def test_transaction_with_an_unknown_command(r: Any) -> None:
    with r.pipeline() as pipe:
        pipe.set("a", 1).execute_command("NOSUCHCOMMAND", "x").set("b", 1)
        with pytest.raises((ExecAbortError, ResponseError), match="unknown command"):
            pipe.execute()
    assert r.exists("a", "b") == 0


def test_watch(connect: Connect) -> None:
    r, other = connect(), connect()
    r.set("a", 1)
    with r.pipeline() as pipe:
        pipe.watch("a", "b")
        other.set("b", "now there")
        pipe.multi()
        pipe.set("a", 2)
        with pytest.raises(WatchError):
            pipe.execute()
        assert other.get("a") == b"1"
        pipe.watch("a")
        assert pipe.get("a") == b"1"
        pipe.unwatch()
        other.set("a", 5)
        pipe.multi()
        pipe.incr("a")
        assert pipe.execute() == [6]


def test_optimistic_counter(connect: Connect) -> None:
    """Four threads each raise a counter a hundred times, reading it and writing it back under WATCH."""
    r = connect(max_connections=8)
    r.set("counter", 0)
    conflicts: list[int] = []

    def raise_once(pipe: Any) -> None:
        value = int(pipe.get("counter"))
        pipe.multi()
        pipe.set("counter", value + 1)

    def raise_by_hand() -> None:
        for _ in range(100):
            with r.pipeline() as pipe:
                while True:
                    try:
                        pipe.watch("counter")
                        raise_once(pipe)
                        pipe.execute()
                    except WatchError:
                        conflicts.append(1)
                    else:
                        break

    threads = [threading.Thread(target=raise_by_hand) for _ in range(3)]
    threads.append(threading.Thread(target=lambda: [r.transaction(raise_once, "counter") for _ in range(100)]))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert r.get("counter") == b"400"
    assert conflicts, "the threads never met: the test shows nothing"


def test_binary_keys_and_values(r: Any) -> None:
    everything = bytes(range(256))
    noise = random.Random(7)
    names = [b"", everything, b"\r\n$3\r\n", b"\0", noise.randbytes(479), noise.randbytes(480), noise.randbytes(70_000)]
    for number, name in enumerate(names):
        assert r.set(name, everything + name) is True
        assert r.dbsize() == number + 1
    for name in names:
        assert r.get(name) == everything + name
    assert sorted(r.scan_iter(count=3)) == sorted(names)
    assert sorted(r.keys()) == sorted(names)
    assert r.delete(*names) == len(names)


def test_large_values(r: Any) -> None:
    large = random.Random(1).randbytes(10_000_000)
    assert r.set("large", large) is True
    assert r.get("large") == large
    assert r.strlen("large") == len(large)
    assert r.append("large", b"tail") == len(large) + 4
    assert r.getrange("large", len(large) - 3, -1) == large[-3:] + b"tail"
    assert r.setrange("large", 5_000_000, b"middle") == len(large) + 4
    patched = large[4_999_999:5_000_000] + b"middle" + large[5_000_006:5_000_007]
    assert r.getrange("large", 4_999_999, 5_000_006) == patched
    assert r.copy("large", "copy") is True
    with r.pipeline() as pipe:
        assert [len(value) for value in pipe.get("copy").get("large").execute()] == [len(large) + 4] * 2
    assert r.rename("copy", "large") is True
    assert r.unlink("large") == 1


def test_connection_pool(daemon: Daemon, connect: Connect) -> None:
    pool = redis.BlockingConnectionPool(port=daemon.port, max_connections=5, timeout=20)
    r: Any = redis.Redis(connection_pool=pool)
    watcher = connect()

    def work(name: int) -> None:
        for number in range(50):
            r.set(f"{name}:{number}", name)
            assert r.get(f"{name}:{number}") == str(name).encode()

    threads = [threading.Thread(target=work, args=(name,)) for name in range(15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert watcher.dbsize() == 750
    assert 2 <= len(watcher.client_list()) <= 6 + 5  # this test's, and perhaps those of the last one still going
    pool.disconnect()
    wait_until(lambda: len(watcher.client_list()) <= 2, "the pool's connections are gone")


def test_health_check(connect: Connect) -> None:
    """With an interval so short that each command is preceded by a PING."""
    r = connect(health_check_interval=0.000001)
    for number in range(20):
        assert r.set("a", number) is True
        assert r.get("a") == str(number).encode()


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_server_restarts_under_a_client(server: StartServer, protocol: int, ending: str) -> None:
    """What was acknowledged is still there, deadlines too, and the client finds its way back by itself."""
    daemon = server()
    r: Any = redis.Redis(port=daemon.port, protocol=protocol, retry=Retry(ConstantBackoff(0.05), 200), db=2)
    deadline = int(time.time() * 1000) + 600_000
    r.mset({f"key:{number}": number for number in range(1000)})
    r.set("mortal", "x", pxat=deadline)
    r.set("gone by then", "x", px=1)
    r.set("large", b"l" * 300_000)
    getattr(daemon, ending)()
    with pytest.raises(NoConnection):
        redis.Redis(port=daemon.port, retry=NEVER_AGAIN).ping()
    starting = threading.Thread(target=daemon.start)
    starting.start()
    try:
        assert r.get("key:500") == b"500"  # waits and tries again until the server is back
    finally:
        starting.join()
    assert r.mget([f"key:{number}" for number in range(1000)]) == [b"%d" % number for number in range(1000)]
    assert r.pexpiretime("mortal") == deadline
    assert r.get("large") == b"l" * 300_000
    assert r.exists("gone by then") == 0
    wait_until(lambda: r.dbsize() == 1002, "the dead key is removed")
    r.close()


def test_writers_go_on_across_a_crash(server: StartServer) -> None:
    """Four writers and a server killed in the middle: every number acknowledged is there afterwards."""
    daemon = server()
    acknowledged: list[list[int]] = [[] for _ in range(4)]
    stop = threading.Event()

    def write(name: int) -> None:
        r: Any = redis.Redis(port=daemon.port, retry=Retry(ConstantBackoff(0.05), 200))
        number = 0
        while not stop.is_set():
            r.set(f"{name}:{number}", number)
            acknowledged[name].append(number)
            number += 1
        r.close()

    writers = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(2):
            before = [len(numbers) for numbers in acknowledged]
            wait_until(
                lambda: all(len(a) > b + 20 for a, b in zip(acknowledged, before, strict=True)),  # noqa: B023
                "all writers have written",
            )
            daemon.kill()
            daemon.start()
    finally:
        stop.set()
        for writer in writers:
            writer.join(60)
    with redis.Redis(port=daemon.port) as r:
        for name, numbers in enumerate(acknowledged):
            values = r.mget([f"{name}:{number}" for number in numbers])
            assert values == [b"%d" % number for number in numbers]


def test_shutdown(server: StartServer) -> None:
    daemon = server()
    with redis.Redis(port=daemon.port, retry=NEVER_AGAIN) as r:
        r.set("a", "kept")
        r.shutdown()
        daemon.wait_for_exit()
        daemon.start()
        assert r.get("a") == b"kept"
