"""redis-py as its users use it: nothing patched, default options, both protocols, threads, pools and lost servers."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.exceptions import AuthenticationError, ExecAbortError, ResponseError, WatchError
from redis.exceptions import ConnectionError as NoConnection
from redis.retry import Retry

from tests.integration.conftest import StartServer
from tests.integration.daemon import Daemon, wait_until

Connect = Callable[..., "redis.Redis"]

NEVER_AGAIN = Retry(ConstantBackoff(0), 0)  # the client's default tries for seconds


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def connect(daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Clients of the module's server, which is empty; closed after the test."""
    clients: list[redis.Redis] = []

    def connect(**options: Any) -> redis.Redis:
        client = redis.Redis(**{"port": daemon.port, "protocol": request.param, **options})
        clients.append(client)
        return client

    connect().flushall()
    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def r(connect: Connect) -> redis.Redis:
    return connect()


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


def test_strings(r: redis.Redis) -> None:
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


def test_counters(r: redis.Redis) -> None:
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


def test_lcs(r: redis.Redis) -> None:
    r.mset({"one": "ohmytext", "two": "mynewtext"})
    assert r.lcs("one", "two") == b"mytext"
    assert r.lcs("one", "two", len=True) == 6
    found = r.lcs("one", "two", idx=True, minmatchlen=4, withmatchlen=True)
    matches = found[b"matches"] if isinstance(found, dict) else found[1]
    assert matches == [[[4, 7], [5, 8], 4]]


def test_keys(r: redis.Redis) -> None:
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
def test_expiry(r: redis.Redis) -> None:
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


def test_object(r: redis.Redis) -> None:
    r.mset({"i": 1, "e": "short", "w": "w" * 1000})
    assert [r.object("encoding", key) for key in "iew"] == [b"int", b"embstr", b"raw"]
    assert r.object("refcount", "e") == 1
    assert r.object("idletime", "e") == 0
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


def test_transaction_with_an_unknown_command(r: redis.Redis) -> None:
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


def test_binary_keys_and_values(r: redis.Redis) -> None:
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


def test_large_values(r: redis.Redis) -> None:
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


def test_decoded_replies(connect: Connect) -> None:
    r = connect(decode_responses=True)
    r.set("größe", "zwölf ☃")
    assert r.get("größe") == "zwölf ☃"
    assert r.keys("gr*") == ["größe"]
    assert r.type("größe") == "string"
    assert r.echo("ß") == "ß"
    assert r.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_connection_pool(daemon: Daemon, connect: Connect) -> None:
    pool = redis.BlockingConnectionPool(port=daemon.port, max_connections=5, timeout=20)
    r = redis.Redis(connection_pool=pool)
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


def test_errors_are_told_apart(r: redis.Redis) -> None:
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
    thread = threading.Thread(target=lambda: (other.set("a", 1), written.set()))
    thread.start()
    assert not written.wait(0.05)
    assert r.client_unpause() in (True, b"OK")
    thread.join(30)
    assert written.is_set()


def test_server_facts(r: redis.Redis) -> None:
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


def test_config(r: redis.Redis) -> None:
    assert r.config_get("timeout") in ({"timeout": "0"}, {b"timeout": b"0"})
    everything = {_text(name) for name in r.config_get("*")}
    assert everything >= {"save", "appendonly", "maxmemory", "databases"}
    assert r.config_set("slowlog-max-len", 64) is True
    assert list(map(_text, r.config_get("slowlog-max-*").values())) == ["64"]
    assert r.config_set("slowlog-max-len", 128) is True
    with pytest.raises(ResponseError, match="CONFIG SET"):
        r.config_set("no-such-setting", 1)
    assert r.config_resetstat() is True


def test_slow_log(r: redis.Redis) -> None:
    r.config_set("slowlog-log-slower-than", 0)
    r.slowlog_reset()
    r.set("slow", "x")
    r.config_set("slowlog-log-slower-than", 10_000)
    assert r.slowlog_len() >= 1
    entry = next(entry for entry in r.slowlog_get() if b"slow" in entry["command"])
    assert entry["command"] == b"SET slow x"
    assert entry["duration"] >= 0
    assert r.slowlog_reset() is True


def test_command_tables(r: redis.Redis) -> None:
    assert r.command_count() > 50
    commands = r.command()
    assert commands["get"]["arity"] == 2
    assert "readonly" in commands["get"]["flags"]
    assert commands["set"]["first_key_pos"] == 1
    assert list(map(_text, r.command_getkeys("MSET", "a", 1, "b", 2))) == ["a", "b"]
    assert "get" in set(map(_text, r.command_list()))


def test_what_is_not_there_says_so(r: redis.Redis) -> None:
    """Commands that Keyp does not have are unknown, which clients can tell from a failure."""
    with pytest.raises(ResponseError, match="unknown command"):
        r.execute_command("PSYNC2", "somewhere")
    assert r.ping() is True


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_server_restarts_under_a_client(server: StartServer, protocol: int, ending: str) -> None:
    """What was acknowledged is still there, deadlines too, and the client finds its way back by itself."""
    daemon = server()
    r = redis.Redis(port=daemon.port, protocol=protocol, retry=Retry(ConstantBackoff(0.05), 200), db=2)
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
        r = redis.Redis(port=daemon.port, retry=Retry(ConstantBackoff(0.05), 200))
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
