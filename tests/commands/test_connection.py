"""HELLO and RESET: what they tell of the server, and what they leave of the connection."""

from __future__ import annotations

from keyp import REDIS_VERSION
from tests.fakes import Connection


def test_hello_tells_of_the_server(client: Connection) -> None:
    assert client.answer("HELLO 3") == {
        b"server": b"redis",
        b"version": REDIS_VERSION.encode(),
        b"proto": 3,
        b"id": client.connection.client.id,
        b"mode": b"standalone",
        b"role": b"master",
        b"modules": [],
    }
    assert client.call("GET nosuch") == b"_\r\n"
    assert client.answer("HELLO")[b"proto"] == 3
    assert client.answer("HELLO 2")[4:6] == [b"proto", 2]
    assert client.call("GET nosuch") == b"$-1\r\n"


def test_reset_makes_the_connection_what_it_was(client: Connection) -> None:
    client.call(
        "HELLO 3 SETNAME joe", "SELECT 2", "CLIENT NO-EVICT ON", "CLIENT NO-TOUCH ON", "CLIENT SETINFO LIB-NAME py"
    )
    client.call("WATCH k", "MULTI", "SET k v")
    assert client.call("RESET") == b"+RESET\r\n"
    state = client.connection.client.state
    assert (state.database, state.protocol, state.name, state.no_evict, state.no_touch) == (0, 2, b"", False, False)
    assert (state.queue, state.watched) == (None, {})
    assert state.lib_name == b"py"
    assert client.answer("EXEC") == "ERR EXEC without MULTI"
    assert client.call("SELECT 2", "GET k") == b"+OK\r\n$-1\r\n"
