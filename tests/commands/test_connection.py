"""PING, ECHO, SELECT, AUTH, HELLO, RESET, QUIT: replies, and what they change of the connection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyp import REDIS_VERSION
from tests import wire
from tests.fakes import Connection, Lab

WRONG_PASSWORD = "WRONGPASS invalid username-password pair or user is disabled."
BAD_NAME = "ERR Client names cannot contain spaces, newlines or special characters."


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


@pytest.fixture
def client(lab: Lab) -> Connection:
    return lab.connect()


def answer(client: Connection, line: str) -> Any:
    """The reply to one command."""
    return wire.parse(client.call(line))


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("PING", "PONG"),
        ("PING hello", b"hello"),
        ('PING ""', b""),
        ("PING a b", "ERR wrong number of arguments for 'ping' command"),
        ("ECHO hello", b"hello"),
        ("ECHO", "ERR wrong number of arguments for 'echo' command"),
        ("SELECT 15", "OK"),
        ("SELECT 16", "ERR DB index is out of range"),
        ("SELECT -1", "ERR DB index is out of range"),
        ("SELECT x", "ERR value is not an integer or out of range"),
        ("SELECT 9223372036854775808", "ERR value is not an integer or out of range"),
        ("SELECT 2147483648", "ERR value is out of range, value must between -2147483648 and 2147483647"),
        ("SELECT 01", "ERR value is not an integer or out of range"),
        ("AUTH default anything", "OK"),
        ("AUTH nobody anything", WRONG_PASSWORD),
        ("AUTH Default anything", WRONG_PASSWORD),
        ("AUTH a b c", "ERR syntax error"),
        (
            "AUTH anything",
            "ERR AUTH <password> called without any password configured for the default user. "
            "Are you sure your configuration is correct?",
        ),
        ("RESET", "RESET"),
        ("RESET now", "ERR wrong number of arguments for 'reset' command"),
        ("HELLO x", "ERR Protocol version is not an integer or out of range"),
        ("HELLO 2.0", "ERR Protocol version is not an integer or out of range"),
        ("HELLO AUTH default x", "ERR Protocol version is not an integer or out of range"),
        ("HELLO 1", "NOPROTO unsupported protocol version"),
        ("HELLO 4", "NOPROTO unsupported protocol version"),
        ("HELLO 3 FOO", "ERR Syntax error in HELLO option 'FOO'"),
        ("HELLO 3 auth default", "ERR Syntax error in HELLO option 'auth'"),
        ("HELLO 3 SETNAME", "ERR Syntax error in HELLO option 'SETNAME'"),
        ('HELLO 3 SETNAME "a b"', BAD_NAME),
        ("HELLO 3 AUTH nobody x", WRONG_PASSWORD),
        ('HELLO 3 AUTH nobody x SETNAME "a b"', BAD_NAME),
        ("HELLO 3 AUTH nobody x FOO", "ERR Syntax error in HELLO option 'FOO'"),
        ("HELLO 3 AUTH default x AUTH nobody x", WRONG_PASSWORD),
    ],
)
def test_replies(client: Connection, line: str, reply: Any) -> None:
    assert answer(client, line) == reply
    assert answer(client, "GET nosuch") is None


def test_hello_tells_of_the_server(client: Connection) -> None:
    assert answer(client, "HELLO 3") == {
        b"server": b"redis",
        b"version": REDIS_VERSION.encode(),
        b"proto": 3,
        b"id": client.connection.client.id,
        b"mode": b"standalone",
        b"role": b"master",
        b"modules": [],
    }
    assert client.call("GET nosuch") == b"_\r\n"
    assert answer(client, "HELLO")[b"proto"] == 3
    assert answer(client, "HELLO 2")[4:6] == [b"proto", 2]
    assert client.call("GET nosuch") == b"$-1\r\n"


def test_hello_logs_in_and_names(client: Connection) -> None:
    answer(client, "HELLO 2 AUTH nobody x AUTH default y SETNAME jo SETNAME joe")
    assert answer(client, "CLIENT GETNAME") == b"joe"
    answer(client, "HELLO 2")
    assert answer(client, "CLIENT GETNAME") == b"joe"


@pytest.mark.parametrize("wrong", ["FOO", "AUTH nobody x", 'SETNAME "a b"'])
def test_hello_that_fails_changes_nothing(client: Connection, wrong: str) -> None:
    assert isinstance(answer(client, f"HELLO 3 SETNAME joe {wrong}"), wire.Error)
    assert answer(client, "CLIENT GETNAME") is None
    assert client.call("GET nosuch") == b"$-1\r\n"


def test_select_counts_for_what_follows(client: Connection) -> None:
    assert wire.split(client.call("SELECT 1", "SET k one", "SELECT 0", "GET k", "SELECT 1", "GET k"))[3:] == [
        b"$-1\r\n",
        b"+OK\r\n",
        b"$3\r\none\r\n",
    ]
    assert answer(client, "SELECT 99") == "ERR DB index is out of range"
    assert answer(client, "GET k") == b"one"


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
    assert answer(client, "EXEC") == "ERR EXEC without MULTI"
    assert client.call("SELECT 2", "GET k") == b"+OK\r\n$-1\r\n"


def test_reset_turns_replies_on(client: Connection) -> None:
    assert client.call("CLIENT REPLY OFF", "PING") == b""
    assert client.call("RESET", "PING") == b"+RESET\r\n+PONG\r\n"


def test_reset_may_be_the_reply_that_is_skipped(client: Connection) -> None:
    assert client.call("CLIENT REPLY SKIP", "RESET", "PING") == b"+PONG\r\n"


def test_quit_is_the_last_that_is_answered(client: Connection) -> None:
    assert client.call("PING", "QUIT whatever", "SET k v") == b"+PONG\r\n+OK\r\n"
    assert client.transport.disconnecting
    assert answer(client.lab.connect(), "GET k") is None


def test_quit_is_not_queued(client: Connection) -> None:
    assert client.call("MULTI", "QUIT") == b"+OK\r\n+OK\r\n"
    assert client.transport.disconnecting
