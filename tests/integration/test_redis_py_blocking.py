"""redis-py's calls that wait: workers in threads, queues handed on, a queue that goes on when the server is back.

redis-py's Lock gives back what it holds by a script (EVALSHA), which Keyp does not have: a lock can be taken and runs
out by its deadline, but `release` is refused. The manual's simple lock, SET with NX and PX, is tested instead.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.exceptions import LockError
from redis.retry import Retry

from tests.integration.conftest import Connect, StartServer
from tests.integration.daemon import wait_until


def blocked(r: Any) -> int:
    return int(r.info("clients")["blocked_clients"])


def meanwhile(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Runs `work` in a thread; its result, when it is there, is the list's only item."""
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread, results


def test_every_call_that_waits(connect: Connect) -> None:
    """Each waits in a thread of its own until another client brings what it wants."""
    r = connect(decode_responses=True)
    waiting = [
        meanwhile(lambda: list(r.blpop(["a"], timeout=20))),
        meanwhile(lambda: list(r.brpop(["none", "b"], timeout=20))),
        meanwhile(lambda: r.blmove("c", "c2", 20, "LEFT", "RIGHT")),
        meanwhile(lambda: r.brpoplpush("d", "d2", 20)),
        meanwhile(lambda: r.blmpop(20, 2, "none", "e", direction="LEFT", count=2)),
        meanwhile(lambda: list(r.bzpopmin("f", 20))),
        meanwhile(lambda: list(r.bzpopmax(["none", "g"], 20))),
        meanwhile(lambda: str(r.bzmpop(20, 2, ["none", "h"], min=True, count=2))),
    ]
    wait_until(lambda: blocked(r) == len(waiting), "all of them wait")
    for name in "abcde":
        r.rpush(name, f"1{name}", f"2{name}")
    for name in "fgh":
        r.zadd(name, {"low": 1, "high": 2})
    for thread, _ in waiting:
        thread.join(20)
    assert [results for _, results in waiting[:-1]] == [
        [["a", "1a"]],
        [["b", "2b"]],
        ["1c"],
        ["2d"],
        [["e", ["1e", "2e"]]],
        [["f", "low", 1.0]],
        [["g", "high", 2.0]],
    ]
    text = str(waiting[-1][1][0])
    assert text.index("'h'") < text.index("'low'") < text.index("'high'")
    assert (r.lrange("c2", 0, -1), r.lrange("d2", 0, -1)) == (["1c"], ["2d"])
    assert r.exists("e", "h") == 0


def test_nothing_comes(r: Any) -> None:
    started = time.monotonic()
    assert r.blpop(["none"], timeout=0.1) is None
    assert r.brpop("none", timeout=0.1) is None
    assert r.blmove("none", "other", 0.1) is None
    assert r.bzpopmin("none", 0.1) is None
    assert r.blmpop(0.1, 1, "none", direction="LEFT") is None
    assert 0.5 <= time.monotonic() - started < 10


def test_the_longest_waiter_is_served_first(connect: Connect) -> None:
    r = connect()
    served: list[tuple[int, bytes]] = []
    threads = []

    def start_to_wait(number: int) -> None:
        threads.append(threading.Thread(target=lambda: served.append((number, r.blpop(["queue"], timeout=20)[1]))))
        threads[-1].start()
        wait_until(lambda: blocked(r) == number + 1, "the next one waits")

    for number in range(5):
        start_to_wait(number)
    r.rpush("queue", *range(5))
    for thread in threads:
        thread.join(20)
    assert sorted(served) == [(number, b"%d" % number) for number in range(5)]


def test_workers_share_a_queue(connect: Connect) -> None:
    """A thousand jobs and four workers, each job on its worker's own list until it is done: none lost, none twice."""
    r = connect(decode_responses=True)
    producer = connect()

    def work(name: int) -> None:
        while (job := r.blmove("jobs", f"busy:{name}", 20, "LEFT", "RIGHT")) != "end":
            with r.pipeline() as pipe:
                pipe.lrem(f"busy:{name}", 1, job).sadd("done", job).incr("count").execute()
        r.delete(f"busy:{name}")

    workers = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for worker in workers:
        worker.start()
    for start in range(0, 1000, 10):
        producer.rpush("jobs", *range(start, start + 10))
    producer.rpush("jobs", *["end"] * 4)
    for worker in workers:
        worker.join(30)
    assert r.get("count") == "1000"
    assert r.smembers("done") == {str(number) for number in range(1000)}
    assert sorted(r.keys()) == ["count", "done"]


def test_a_wait_is_ended_by_others(connect: Connect) -> None:
    r, waiter = connect(), connect()
    thread, results = meanwhile(lambda: waiter.blpop(["none"], timeout=20))
    wait_until(lambda: blocked(r) == 1, "it waits")
    (client,) = [client for client in r.client_list() if client["cmd"] == "blpop"]
    assert "b" in client["flags"]
    assert r.client_unblock(client["id"]) in (1, True)
    thread.join(20)
    assert results == [None]
    assert blocked(r) == 0


def test_a_lock_by_hand(connect: Connect) -> None:
    r, other = connect(), connect()
    assert r.set("lock", "mine", nx=True, px=60) is True
    assert other.set("lock", "theirs", nx=True, px=60_000) is None
    wait_until(lambda: other.set("lock", "theirs", nx=True, px=60_000), "the lock has run out", seconds=5)
    assert r.get("lock") == b"theirs"


def test_the_lock_of_the_library(r: Any) -> None:
    """Which it gives back by a script."""
    lock, other = r.lock("lock", timeout=20), r.lock("lock", timeout=20)
    assert lock.acquire(blocking=False) is True
    assert other.acquire(blocking=False) is False
    assert lock.owned() is True
    lock.release()
    assert other.acquire(blocking=False) is True
    with pytest.raises(LockError):
        lock.release()


def test_a_queue_goes_on_when_the_server_is_back(server: StartServer) -> None:
    """A worker waits while the server ends; what was queued is there, and the worker finds it."""
    daemon = server()
    patient = Retry(ConstantBackoff(0.05), 200)
    r: Any = redis.Redis(port=daemon.port, retry=patient)
    done: list[bytes] = []

    def work() -> None:
        with redis.Redis(port=daemon.port, retry=patient) as mine:
            while (entry := mine.blpop(["jobs"], timeout=20)) and entry[1] != b"end":
                done.append(entry[1])

    r.rpush("kept", "waits for nobody")
    worker = threading.Thread(target=work)
    worker.start()
    r.rpush("jobs", "first")
    wait_until(lambda: done == [b"first"] and blocked(r) == 1, "the worker waits again")
    daemon.stop()
    daemon.start()
    r.rpush("jobs", "second", "end")
    worker.join(30)
    assert done == [b"first", b"second"]
    assert r.lrange("kept", 0, -1) == [b"waits for nobody"]
    assert r.exists("jobs") == 0
    r.close()
