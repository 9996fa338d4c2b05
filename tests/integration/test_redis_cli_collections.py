"""redis-cli on lists, hashes, sets and sorted sets: tables, walks, waits, and a restart under a terminal."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, Daemon, program, wait_until
from tests.integration.test_redis_cli import Cli, Terminal, request, run


@pytest.fixture
def cli(daemon: Daemon) -> Cli:
    """redis-cli on the module's server, which is empty."""
    assert run(daemon, "FLUSHALL") == "OK\n"
    return lambda *arguments, **more: run(daemon, *arguments, **more)


@pytest.fixture
def loaded(cli: Cli) -> Cli:
    """Some of each type, loaded as RESP; the largest of each is named so."""
    load = [request("RPUSH", "large list", *map(str, range(900))), request("RPUSH", "list", "a")]
    load += [request("HSET", "large hash", *(word for n in range(800) for word in (f"f{n}", "v")))]
    load += [request("SADD", "large set", *(f"m{n}" for n in range(700))), request("SADD", "set", "a", "b")]
    load += [request("ZADD", "large sorted set", *(word for n in range(600) for word in (str(n), f"m{n}")))]
    load += [request("SET", f"text {n}", "x") for n in range(100)]
    assert "errors: 0, replies: 106\n" in cli("--pipe", stdin=b"".join(load))
    return cli


@pytest.mark.parametrize("protocol", ["-2", "-3"])
def test_formatted_collections(cli: Cli, protocol: str) -> None:
    """With -3 a hash is a map, a set a set, and a score a double."""
    cli("RPUSH", "l", "a", "b")
    cli("HSET", "h", "name", "Ada")
    cli("SADD", "s", "one")
    cli("ZADD", "z", "1.5", "low", "inf", "high")
    formatted = ["--no-raw", protocol]
    assert cli(*formatted, "LRANGE", "l", "0", "-1") == '1) "a"\n2) "b"\n'
    assert cli(*formatted, "LRANGE", "none", "0", "-1") == "(empty array)\n"
    if protocol == "-3":
        assert cli(*formatted, "HGETALL", "h") == '1# "name" => "Ada"\n'
        assert cli(*formatted, "HGETALL", "none") == "(empty hash)\n"
        assert cli(*formatted, "SMEMBERS", "s") == '1~ "one"\n'
        assert cli(*formatted, "SMEMBERS", "none") == "(empty set)\n"
        assert cli(*formatted, "ZSCORE", "z", "low") == "(double) 1.5\n"
        assert cli(*formatted, "ZPOPMAX", "z") == '1) "high"\n2) (double) inf\n'
    else:
        assert cli(*formatted, "HGETALL", "h") == '1) "name"\n2) "Ada"\n'
        assert cli(*formatted, "HGETALL", "none") == "(empty array)\n"
        assert cli(*formatted, "SMEMBERS", "s") == '1) "one"\n'
        assert cli(*formatted, "ZSCORE", "z", "low") == '"1.5"\n'
        assert cli(*formatted, "ZPOPMAX", "z") == '1) "high"\n2) "inf"\n'
    assert cli(*formatted, "ZRANGE", "z", "0", "-1") == '1) "low"\n'


def test_json(cli: Cli) -> None:
    cli("HSET", "h", "name", "Ada", "city", "London")
    cli("ZADD", "z", "1.5", "low")
    assert json.loads(cli("--json", "HGETALL", "h")) == {"name": "Ada", "city": "London"}
    assert json.loads(cli("--json", "ZRANGE", "z", "0", "-1", "WITHSCORES")) == [["low", 1.5]]


def test_big_keys_of_each_type(loaded: Cli) -> None:
    output = loaded("--bigkeys")
    assert "Sampled 106 keys in the keyspace!" in output
    biggest = {
        kind: int(count) for kind, count in re.findall(r'Biggest +(\w+) found ["\']+large.*?["\']+ has (\d+)', output)
    }
    assert biggest == {"list": 900, "hash": 800, "set": 700, "zset": 600}
    assert "2 lists with 901 items" in output
    assert "2 sets with 702 members" in output
    assert "0 streams with 0 entries" in output


def test_scan_by_type(loaded: Cli) -> None:
    if "--quoted-pattern" in loaded("--help"):
        assert set(loaded("--scan", "--quoted-pattern", '"large *"').splitlines()) == {
            "large list",
            "large hash",
            "large set",
            "large sorted set",
        }
    found = loaded("SCAN", "0", "COUNT", "1000", "TYPE", "zset").splitlines()
    assert [line for line in found if line] == ["0", "large sorted set"]


def test_a_wait_at_the_command_line(daemon: Daemon, cli: Cli) -> None:
    command = [program("redis-cli"), "-p", str(daemon.port), "BLPOP", "none", "queue", "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        wait_until(lambda: "blocked_clients:1" in cli("INFO", "clients"), "it waits")
        cli("LPUSH", "queue", "job")
        output, _ = waiting.communicate(timeout=DEADLINE_S)
    assert (waiting.returncode, output) == (0, "queue\njob\n")
    started = time.monotonic()
    assert cli("BLPOP", "none", "0.2") == "\n"
    assert time.monotonic() - started >= 0.2


def test_subscribed_at_the_command_line(daemon: Daemon, cli: Cli) -> None:
    command = [program("redis-cli"), "-p", str(daemon.port), "SUBSCRIBE", "news"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
        try:
            wait_until(lambda: cli("PUBLISH", "news", "hello") == "1\n", "it listens")
            assert listener.stdout is not None
            assert [listener.stdout.readline() for _ in range(6)] == [
                "subscribe\n",
                "news\n",
                "1\n",
                "message\n",
                "news\n",
                "hello\n",
            ]
        finally:
            listener.kill()


@pytest.fixture
def terminal(server: StartServer) -> Iterator[Terminal]:
    """redis-cli at a terminal on a server that only this test has."""
    terminal = Terminal(server())
    terminal.expect(terminal.address + "> ")
    yield terminal
    terminal.close()


def test_a_restart_under_a_terminal(terminal: Terminal) -> None:
    """The first line after it learns that the connection is gone; the second has a new one."""
    terminal.enter("rpush queue first second", "(integer) 2")
    terminal.enter("zadd board 10 ada 20 bob", "(integer) 2")
    terminal.enter("expire queue 1000", "(integer) 1")
    terminal.daemon.stop()
    terminal.daemon.start()
    terminal.type("ping\r")
    terminal.expect("Error: Server closed the connection\r\nnot connected> ")
    terminal.enter("zrange board 0 -1 rev withscores", '1) "bob"\r\n2) "20"\r\n3) "ada"\r\n4) "10"')
    terminal.enter("blpop queue 1", '1) "queue"\r\n2) "first"')
    terminal.enter("ttl queue", "(integer) ")
    terminal.enter("blpop none 0.6", "(nil)\r\n(0.")


def test_a_subscriber_at_a_terminal(terminal: Terminal) -> None:
    terminal.type("subscribe news\r")
    terminal.expect('1) "subscribe"\r\n2) "news"\r\n3) (integer) 1\r\n')
    assert run(terminal.daemon, "PUBLISH", "news", "hello") == "1\n"
    terminal.expect('1) "message"\r\n2) "news"\r\n3) "hello"\r\n')
