"""redis-benchmark runs to its end, and the server has counted each of its calls. Times are not tested."""

from __future__ import annotations

import re
import subprocess

import pytest
import redis

from tests.integration.daemon import Daemon, program


def bench(daemon: Daemon, *arguments: str) -> dict[str, float]:
    """Runs it quietly; the requests per second of each of its tests. Fails on anything else it has to say."""
    command = [program("redis-benchmark"), "-p", str(daemon.port), "-q", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    output = done.stdout.decode().replace("\r", "\n")
    assert done.returncode == 0, output + done.stderr.decode()
    complaints = [line for line in done.stderr.decode().splitlines() if "Keepalive disabled" not in line]
    assert complaints == []
    assert "rror" not in output
    assert "WARNING" not in output, output
    rates: dict[str, float] = {}
    for line in output.split("\n"):
        found = re.match(r"(.+): ([\d.]+) requests per second", line)
        if found:
            rates[found[1]] = float(found[2])
    return rates


def calls(daemon: Daemon) -> dict[str, int]:
    """What the server has counted since `reset`, by command; none of it may have failed."""
    with redis.Redis(port=daemon.port) as r:
        stats = r.info("commandstats")
    assert all(entry["failed_calls"] == entry["rejected_calls"] == 0 for entry in stats.values()), stats
    return {name.removeprefix("cmdstat_"): entry["calls"] for name, entry in stats.items()}


def reset(daemon: Daemon) -> None:
    with redis.Redis(port=daemon.port) as r:
        r.flushall()
        r.config_resetstat()


# redis-benchmark ends when it has what it wants: the last requests of a pipeline may be counted beyond `-n`.
@pytest.mark.parametrize(
    ("options", "requests"),
    [
        (["-c", "50", "-P", "16", "-n", "20000"], 20_000),
        (["-c", "50", "-n", "3000"], 3000),
        (["-3", "-c", "10", "-n", "2000", "-d", "1024", "-r", "1000"], 2000),
        (["-c", "8", "-P", "50", "-n", "8000", "-d", "1024", "-r", "100000", "--threads", "2"], 8000),
    ],
    ids=["pipelines", "one by one", "RESP3", "threads"],
)
def test_strings(daemon: Daemon, options: list[str], requests: int) -> None:
    reset(daemon)
    rates = bench(daemon, "-t", "set,get,incr,mset", *options)
    assert set(rates) == {"SET", "GET", "INCR", "MSET (10 keys)"}
    assert all(rate > 0 for rate in rates.values())
    counted = calls(daemon)
    for command in ("set", "get", "incr", "mset"):
        assert requests <= counted[command] <= requests * 1.1, counted


def test_ping(daemon: Daemon) -> None:
    reset(daemon)
    rates = bench(daemon, "-t", "ping_inline,ping_mbulk", "-c", "50", "-P", "10", "-n", "10000")
    assert set(rates) == {"PING_INLINE", "PING_MBULK"}
    assert calls(daemon)["ping"] >= 20_000


def test_a_command_of_ones_own(daemon: Daemon) -> None:
    reset(daemon)
    bench(daemon, "-n", "2000", "-r", "500", "-P", "20", "SET", "key:__rand_int__", "__rand_int__", "EX", "1000")
    with redis.Redis(port=daemon.port) as r:
        keyspace = r.info("keyspace")["db0"]
    assert 400 < keyspace["keys"] <= 500
    assert keyspace["keys"] == keyspace["expires"]


def test_scripts(daemon: Daemon) -> None:
    reset(daemon)
    script = "return redis.call('incrby', KEYS[1], ARGV[1])"
    bench(daemon, "-n", "2000", "-r", "500", "-P", "20", "EVAL", script, "1", "key:__rand_int__", "2")
    counted = calls(daemon)
    assert counted["eval"] >= 2000
    assert counted["incrby"] == counted["eval"]
    with redis.Redis(port=daemon.port) as r:
        assert sum(int(value) for value in r.mget(r.keys())) == 2 * counted["eval"]


def test_a_connection_for_each_request(daemon: Daemon) -> None:
    reset(daemon)
    bench(daemon, "-t", "set", "-k", "0", "-n", "1000", "-c", "20")
    assert calls(daemon)["set"] >= 1000
