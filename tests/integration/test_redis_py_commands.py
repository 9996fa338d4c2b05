"""Every command by redis-py's own methods, which turn replies into Python's types; RESP2 and RESP3."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as NoConnection

from tests.integration.conftest import NEVER_AGAIN, Connect
from tests.integration.daemon import wait_until


def test_strings(r: Any) -> None:
    assert r.set("s", "value") is True
    assert r.set("s", "other", nx=True) is None
    assert r.set("none", "other", xx=True) is None
    assert r.set("s", "new", get=True) == b"value"
    assert r.get("none") is None
    assert r.getset("s", "newer") == b"new"
    assert r.append("s", "!") == 6
    assert r.strlen("s") == 6
    assert r.getrange("s", 1, -2) == b"ewer"
    assert r.substr("s", 0, 2) == b"new"
    assert r.setrange("s", 5, "??") == 7
    assert r.get("s") == b"newer??"
    assert r.setnx("s", "x") is False
    assert r.setnx("t", "x") is True
    assert r.mset({"a": 1, "b": b"2", "c": 3.5}) is True
    assert r.mget("a", "b", "nothing", "c") == [b"1", b"2", None, b"3.5"]
    assert r.mget(["a", "b"]) == [b"1", b"2"]
    assert r.msetnx({"a": 9, "z": 9}) is False
    assert r.msetnx({"y": 9, "z": 9}) is True
    assert r.getdel("z") == b"9"
    assert r.exists("z") == 0
    with pytest.raises(ResponseError, match="offset is out of range"):
        r.setrange("s", -1, "x")


def test_counters(r: Any) -> None:
    assert r.execute_command("INCR", "n") == 1  # the methods below say INCRBY and DECRBY
    assert r.execute_command("DECR", "n") == 0
    assert r.incr("n") == 1
    assert r.incrby("n", 41) == 42
    assert r.decr("n") == 41
    assert r.decrby("n", 51) == -10
    assert r.incrbyfloat("n", 0.5) == -9.5
    r.set("n", (1 << 63) - 1)
    with pytest.raises(ResponseError, match="increment or decrement would overflow"):
        r.incr("n")
    r.set("n", "abc")
    with pytest.raises(ResponseError, match="value is not an integer or out of range"):
        r.incr("n")


def test_lcs(r: Any) -> None:
    r.mset({"one": "ohmytext", "two": "mynewtext"})
    assert r.lcs("one", "two") == b"mytext"
    assert r.lcs("one", "two", len=True) == 6
    found = r.lcs("one", "two", idx=True, minmatchlen=4, withmatchlen=True)
    matches = found[b"matches"] if isinstance(found, dict) else found[1]
    assert matches == [[[4, 7], [5, 8], 4]]


def test_keys(r: Any) -> None:
    r.mset({"a": 1, "b": 2, "c": 3})
    assert r.exists("a", "b", "x", "a") == 3
    assert "a" in r
    assert r.type("a") == b"string"
    assert r.type("x") == b"none"
    assert r.touch("a", "x") == 1
    assert r.rename("a", "d") is True
    assert r.renamenx("d", "b") is False
    assert r.renamenx("d", "a") is True
    with pytest.raises(ResponseError, match="no such key"):
        r.rename("x", "y")
    assert r.copy("a", "e") is True
    assert r.copy("a", "e") is False
    assert r.copy("a", "e", replace=True) is True
    assert r.copy("a", "a", destination_db=2) is True
    assert r.move("b", 4) is True
    assert r.move("b", 4) is False
    assert r.dbsize() == 3
    assert sorted(r.keys()) == [b"a", b"c", b"e"]
    assert r.keys("[ab]*") == [b"a"]
    assert r.randomkey() in (b"a", b"c", b"e")
    assert r.delete("a", "x") == 1
    assert r.unlink("c", "e") == 2
    assert r.randomkey() is None


@pytest.mark.filterwarnings("ignore:Call to deprecated")  # the client would have us use SET
def test_expiry(r: Any) -> None:
    now = time.time()
    r.mset({"a": 1, "b": 2, "c": 3, "d": 4})
    assert r.ttl("a") == -1
    assert r.ttl("x") == -2
    assert r.expire("a", 100) is True
    assert r.expire("x", 100) is False
    assert r.expire("a", 50, gt=True) is False
    assert r.expire("a", 200, gt=True) is True
    assert r.expire("a", 300, lt=True) is False
    assert r.expire("a", 300, nx=True) is False
    assert r.expire("b", 300, xx=True) is False
    assert 195 <= r.ttl("a") <= 200
    assert r.pexpire("b", 50_000) is True
    assert 45_000 < r.pttl("b") <= 50_000
    assert r.expireat("c", int(now) + 1000) is True
    assert r.expiretime("c") == int(now) + 1000
    assert r.pexpireat("d", int(now) * 1000 + 500_123) is True
    assert r.pexpiretime("d") == int(now) * 1000 + 500_123
    assert r.persist("d") is True
    assert r.persist("d") is False
    assert r.pttl("d") == -1
    assert r.set("e", 1, ex=10) is True
    assert 8 <= r.ttl("e") <= 10
    assert r.set("e", 2, keepttl=True) is True
    assert 8 <= r.ttl("e") <= 10
    assert r.setex("f", 10, "x") is True
    assert r.psetex("g", 10_000, "x") is True
    assert r.getex("f", persist=True) == b"x"
    assert r.ttl("f") == -1
    assert r.getex("g", px=90_000) == b"x"
    assert r.pttl("g") > 80_000
    assert r.expireat("g", 1) is True
    assert r.exists("g") == 0
    r.set("h", "x", px=20)
    wait_until(lambda: r.get("h") is None, "a key that lives for 20 ms goes")
    wait_until(lambda: r.keys("h") == [], "and is not listed")
    with pytest.raises(ResponseError, match="invalid expire time in 'setex' command"):
        r.setex("f", 0, "x")


def test_databases(connect: Connect) -> None:
    one, two = connect(db=1), connect(db=2)
    one.mset({"a": 1, "b": 2})
    two.set("c", 3)
    assert one.swapdb(1, 2) is True
    assert sorted(two.keys()) == [b"a", b"b"]
    assert one.keys() == [b"c"]
    assert two.flushdb() is True
    assert two.dbsize() == 0
    assert one.dbsize() == 1
    assert one.flushall(asynchronous=True) is True
    assert one.dbsize() == 0
    with pytest.raises(ResponseError, match="DB index is out of range"):
        connect(db=99).ping()


def test_object(r: Any) -> None:
    r.mset({"i": 1, "e": "short", "w": "w" * 1000})
    assert [r.object("encoding", key) for key in "iew"] == [b"int", b"embstr", b"raw"]
    assert r.object("refcount", "e") == 1
    assert r.object("idletime", "e") == 0
    with pytest.raises(ResponseError, match="An LFU maxmemory policy is not selected"):
        r.object("freq", "e")
    assert r.memory_usage("w") > 1000
    assert r.memory_usage("nothing") is None


def test_scan(connect: Connect) -> None:
    r = connect(decode_responses=True)
    names = {f"key:{number}" for number in range(2000)}
    r.mset(dict.fromkeys(names, "x"))
    assert sorted(r.scan_iter()) == sorted(names)
    assert sorted(r.scan_iter(match="key:1?", count=7)) == sorted(f"key:1{digit}" for digit in range(10))
    assert set(r.scan_iter(count=5000, _type="string")) == names
    assert list(r.scan_iter(_type="list")) == []
    cursor, page = r.scan(count=100)
    assert cursor != 0
    assert set(page) <= names


def test_decoded_replies(connect: Connect) -> None:
    r = connect(decode_responses=True)
    r.set("größe", "zwölf ☃")
    assert r.get("größe") == "zwölf ☃"
    assert r.keys("gr*") == ["größe"]
    assert r.type("größe") == "string"
    assert r.echo("ß") == "ß"
    assert r.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_errors_are_told_apart(r: Any) -> None:
    with pytest.raises(ResponseError, match=r"unknown command 'NOPE', with args beginning with: 'a' 'b' "):
        r.execute_command("NOPE", "a", "b")
    with pytest.raises(ResponseError, match="wrong number of arguments for 'get' command"):
        r.execute_command("GET")
    with pytest.raises(ResponseError, match="syntax error"):
        r.execute_command("SET", "a", "b", "WHATEVER")
    assert r.ping()


def test_connection_commands(connect: Connect) -> None:
    r = connect(single_connection_client=True, retry=NEVER_AGAIN)
    assert r.echo("hello") == b"hello"
    number = r.client_id()
    assert isinstance(number, int)
    assert r.client_setname("some-name") is True
    assert r.client_getname() in (b"some-name", "some-name")
    us = r.client_info()
    assert (int(us["id"]), us["name"], us["db"]) == (number, "some-name", 0)
    assert us["cmd"] == "client|info"
    assert r.client_setinfo("LIB-NAME", "mine") is True
    assert r.client_getredir() == -1
    assert r.client_reply("ON") in (b"OK", True)
    assert r.client_unblock(number) in (0, False)
    assert r.client_no_evict("ON") in (b"OK", True, "OK")
    assert r.client_no_touch("ON") in (b"OK", True, "OK")
    assert r.select(4) is True
    assert r.client_info()["db"] == 4
    assert r.execute_command("RESET") in (b"RESET", "RESET")
    with pytest.raises((ResponseError, AuthenticationError), match="without any password configured"):
        r.auth("secret")
    assert r.quit() is True


def test_client_list_and_kill(connect: Connect) -> None:
    r = connect(single_connection_client=True)
    victim = connect(single_connection_client=True, client_name="victim", retry=NEVER_AGAIN)
    number = victim.client_id()
    listed = {entry["name"]: entry for entry in r.client_list()}
    assert listed["victim"]["id"] == str(number)
    assert listed["victim"]["addr"].startswith("127.0.0.1:")
    assert [entry["id"] for entry in r.client_list(client_id=[number])] == [str(number)]
    assert r.client_kill(listed["victim"]["addr"]) is True
    with pytest.raises(ResponseError, match="No such client"):
        r.client_kill(listed["victim"]["addr"])
    with pytest.raises(NoConnection):
        victim.ping()
    assert victim.ping() is True  # with a connection of its own again
    assert r.client_kill_filter(_id=str(victim.client_id())) == 1
    assert r.client_kill_filter(_type="normal", skipme=True) >= 0
    assert r.ping() is True


def test_client_pause(connect: Connect) -> None:
    r, other = connect(), connect()
    assert r.client_pause(100_000, all=False) is True
    assert other.get("a") is None  # reads go on
    written = threading.Event()

    def write() -> None:
        other.set("a", 1)
        written.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert not written.wait(0.05)
    assert r.client_unpause() in (True, b"OK")
    thread.join(30)
    assert written.is_set()


def test_server_facts(r: Any) -> None:
    info = r.info()
    assert info["redis_version"].startswith("7.")
    assert info["tcp_port"] == r.get_connection_kwargs()["port"]
    assert info["connected_clients"] >= 1
    assert info["role"] == "master"
    r.set("a", 1, ex=1000)
    keyspace = r.info("keyspace")["db0"]
    assert (keyspace["keys"], keyspace["expires"]) == (1, 1)
    assert r.info("commandstats")["cmdstat_set"]["calls"] >= 1
    assert r.info("server", "clients").keys() >= {"redis_version", "connected_clients"}
    seconds, microseconds = r.time()
    assert abs(seconds - time.time()) < 60
    assert 0 <= microseconds < 1_000_000
    assert abs(r.lastsave().timestamp() - time.time()) < 600
    r.bgsave()
    wait_until(lambda: r.info("persistence")["rdb_bgsave_in_progress"] == 0, "the background save is done")
    assert r.save() is True
    assert r.role()[0] in (b"master", "master")
    assert r.wait(0, 100) == 0
    assert "Redis ver." in _text(r.lolwut())


def test_error_statistics(r: Any) -> None:
    """Every error counts; a call that was refused counts for the command or subcommand it named, if there is one."""
    r.config_resetstat()
    for request in ("NOSUCHCOMMAND", "CLIENT NOSUCHWORD", "CLIENT SETNAME", "GET"):
        with pytest.raises(ResponseError):
            r.execute_command(request)
    assert r.info("errorstats") == {"errorstat_ERR": {"count": 4}}
    stats = r.info("commandstats")
    refused = {name: entry["rejected_calls"] for name, entry in stats.items() if entry["rejected_calls"]}
    assert refused == {"cmdstat_client|setname": 1, "cmdstat_get": 1}


def test_config(r: Any) -> None:
    assert r.config_get("timeout") in ({"timeout": "0"}, {b"timeout": b"0"})
    everything = {_text(name) for name in r.config_get("*")}
    assert everything >= {"save", "appendonly", "maxmemory", "databases"}
    assert r.config_set("slowlog-max-len", 64) is True
    assert list(map(_text, r.config_get("slowlog-max-*").values())) == ["64"]
    assert r.config_set("slowlog-max-len", 128) is True
    with pytest.raises(ResponseError, match="CONFIG SET"):
        r.config_set("no-such-setting", 1)
    assert r.config_resetstat() is True
    with pytest.raises(ResponseError, match="running without a config file"):
        r.config_rewrite()


def test_slow_log(r: Any) -> None:
    r.config_set("slowlog-log-slower-than", 0)
    r.slowlog_reset()
    r.set("slow", "x")
    r.config_set("slowlog-log-slower-than", 10_000)
    assert r.slowlog_len() >= 1
    entry = next(entry for entry in r.slowlog_get() if b"slow" in entry["command"])
    assert entry["command"] == b"SET slow x"
    assert entry["duration"] >= 0
    assert r.slowlog_reset() is True


def test_command_tables(r: Any) -> None:
    assert r.command_count() > 50
    commands = r.command()
    assert commands["get"]["arity"] == 2
    assert "readonly" in commands["get"]["flags"]
    assert commands["set"]["first_key_pos"] == 1
    assert list(map(_text, r.command_getkeys("MSET", "a", 1, "b", 2))) == ["a", "b"]
    assert "get" in set(map(_text, r.command_list()))


def test_command_details(r: Any) -> None:
    """What the client has no typed method for, or one that refuses: it is asked by name."""
    with_flags = r.command_getkeysandflags("COPY", "a", "b")
    assert [(key, sorted(map(_text, flags))) for key, flags in with_flags] == [
        (b"a", ["RO", "access"]),
        (b"b", ["OW", "update"]),
    ]
    assert "since" in str(r.execute_command("COMMAND DOCS", "append"))
    assert "None" in str(r.execute_command("COMMAND INFO", "incr", "nosuchcommand"))


def test_latency(r: Any) -> None:
    assert r.latency_latest() == []
    assert r.latency_reset() == 0
    r.set("a", 1)
    assert "calls" in str(r.execute_command("LATENCY HISTOGRAM", "set"))


def test_help(r: Any) -> None:
    for container in ("CLIENT", "COMMAND", "CONFIG", "LATENCY", "MEMORY", "OBJECT", "SLOWLOG"):
        lines = r.execute_command(f"{container} HELP")
        assert _text(lines[0]).startswith(f"{container} <subcommand>"), lines


def test_no_replicas(r: Any) -> None:
    assert r.slaveof() in (True, b"OK")
    assert r.replicaof("NO", "ONE") in (True, b"OK")
    assert r.role() == [b"master", 0, []]
    assert r.wait(0, 10) == 0
    r.set("a", 1)
    assert list(r.waitaof(0, 0, 10)) in ([0, 0], [1, 0])
    assert list(r.waitaof(1, 0, 1000)) == [1, 0]


def test_what_is_not_there_says_so(r: Any) -> None:
    """Commands that Keyp does not have are unknown, which clients can distinguish from a failure."""
    with pytest.raises(ResponseError, match="unknown command"):
        r.execute_command("PSYNC2", "somewhere")
    assert r.ping() is True


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value
