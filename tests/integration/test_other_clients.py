"""Other clients: valkey-py, redis-py without its C parser, a plain socket."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import redis
from redis.connection import Connection, ConnectionPool

from tests.integration.daemon import DEADLINE_S, Daemon


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_with_its_own_parser(daemon: Daemon, protocol: int) -> None:
    """Where hiredis is installed redis-py uses that, and its own parser is not tested by the other modules."""
    from redis._parsers import _RESP2Parser, _RESP3Parser

    pool = ConnectionPool(Connection, port=daemon.port, protocol=protocol)
    pool.connection_kwargs["parser_class"] = {2: _RESP2Parser, 3: _RESP3Parser}[protocol]
    use(redis.Redis(connection_pool=pool))


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_with_hiredis(daemon: Daemon, protocol: int) -> None:
    pytest.importorskip("hiredis")
    from redis._parsers import _HiredisParser

    pool = ConnectionPool(Connection, port=daemon.port, protocol=protocol, parser_class=_HiredisParser)
    use(redis.Redis(connection_pool=pool))


@pytest.mark.parametrize("protocol", [2, 3])
def test_valkey_py(daemon: Daemon, protocol: int) -> None:
    valkey = pytest.importorskip("valkey")
    use(valkey.Valkey(port=daemon.port, protocol=protocol))


def use(r: Any) -> None:
    """What every client can do: replies of each type, small and large, in and out of transactions."""
    r.flushall()
    large = bytes(range(256)) * 10_000
    assert r.set("a", "1", ex=100) is True
    assert r.mset({"b": large, "": b"empty name"}) is True
    assert r.mget("a", "b", "", "nothing") == [b"1", large, b"empty name", None]
    assert r.incrbyfloat("a", 1.5) == 2.5
    assert 95 < r.ttl("a") <= 100
    with r.pipeline() as pipe:
        assert pipe.get("a").exists("b", "c").get("nothing").execute() == [b"2.5", 1, None]
    with r.pipeline(transaction=False) as pipe:
        for number in range(2000):
            pipe.set(f"key:{number}", number)
        assert pipe.execute() == [True] * 2000
    assert len(set(r.scan_iter("key:*", count=50))) == 2000
    assert r.info("keyspace")["db0"]["keys"] == 2003
    assert r.config_get("appendonly") in ({"appendonly": "yes"}, {b"appendonly": b"yes"})
    assert len(r.client_list()) >= 1
    assert r.command()["get"]["arity"] == 2
    with pytest.raises(Exception, match="value is not an integer or out of range"):
        r.incr("b")
    assert r.flushdb() is True
    r.close()


def test_telnet(daemon: Daemon) -> None:
    """A person at a plain socket: words on a line, in any case, with quotes."""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=DEADLINE_S) as connection:
        connection.sendall(b"flushall\r\n")
        replies = connection.makefile("rb")
        assert replies.readline() == b"+OK\r\n"
        connection.sendall(b'Set "my key" \'my value\'\nGET "my\\x20key"\r\n\r\nnonsense\r\nquit\r\n')
        assert replies.read() == (
            b"+OK\r\n$8\r\nmy value\r\n-ERR unknown command 'nonsense', with args beginning with: \r\n+OK\r\n"
        )
