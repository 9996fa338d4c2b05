"""Clients that have to log in: what they may send before, and that nothing runs for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import wire
from tests.fakes import Connection, Lab

NOAUTH = b"-NOAUTH Authentication required.\r\n"
WRONG = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
AUTH = wire.request(b"AUTH", b"secret")
MANY = wire.request(b"MSET", *[b"k", b"v"] * 10)
LONG = wire.request(b"SET", b"k", b"v" * 20_000)


@pytest.fixture
def client(tmp_path: Path) -> Connection:
    return Lab(tmp_path, password="secret").connect()


def test_nothing_runs_before(client: Connection) -> None:
    assert client.call("SET k v", "PING", "nosuch") == NOAUTH + NOAUTH + client.call("nosuch")
    assert client.call("AUTH wrong", "GET k") == WRONG + NOAUTH
    assert client.call("AUTH secret", "GET k") == b"+OK\r\n$-1\r\n"
    assert client.call("RESET", "GET k") == b"+RESET\r\n" + NOAUTH
    assert client.call("AUTH default secret", "GET k") == b"+OK\r\n$-1\r\n"


def test_hello(client: Connection) -> None:
    assert client.call("HELLO 3").startswith(b"-NOAUTH HELLO must be called with the client already authenticated")
    assert client.call("HELLO 3 AUTH default wrong") == WRONG
    assert client.call("PING") == NOAUTH
    assert client.call("HELLO 3 AUTH default secret").startswith(b"%7\r\n")
    assert client.call("PING") == b"+PONG\r\n"


def test_exec_and_subscribers(client: Connection) -> None:
    assert client.call("MULTI", "EXEC") == NOAUTH + b"-EXECABORT Transaction discarded because of: " + NOAUTH[1:]
    assert client.call("SUBSCRIBE c") == NOAUTH


@pytest.mark.parametrize(
    ("request_", "error"), [(MANY, b"multibulk length"), (LONG, b"bulk length")], ids=["many", "long"]
)
def test_requests_are_short_before(client: Connection, request_: bytes, error: bytes) -> None:
    assert client.send(request_) == b"-ERR Protocol error: unauthenticated " + error + b"\r\n"
    assert client.transport.disconnecting


@pytest.mark.parametrize("request_", [MANY, LONG], ids=["many", "long"])
@pytest.mark.parametrize("cut", [0, 1, 10, len(AUTH)])
def test_requests_behind_a_log_in_are_not(client: Connection, request_: bytes, cut: int) -> None:
    """They may come in one chunk with it, or while it is under way."""
    data = AUTH + request_ + wire.request(b"GET", b"k")
    got = client.send(data[:cut]) + client.send(data[cut:])
    assert got.startswith(b"+OK\r\n+OK\r\n$")


def test_requests_behind_one_that_fails_are(client: Connection) -> None:
    got = client.send(wire.request(b"AUTH", b"wrong") + wire.request(b"PING") + MANY)
    assert got == WRONG + NOAUTH + b"-ERR Protocol error: unauthenticated multibulk length\r\n"


def test_who_needs_no_password_has_no_limit(tmp_path: Path) -> None:
    assert Lab(tmp_path).connect().send(MANY + LONG) == b"+OK\r\n+OK\r\n"


def test_a_password_given_later(tmp_path: Path) -> None:
    """Who is there stays; who comes has to log in. Without the password everybody may."""
    lab = Lab(tmp_path)
    before = lab.connect()
    assert before.call("CONFIG SET requirepass secret", "SET k v") == b"+OK\r\n+OK\r\n"
    after = lab.connect()
    assert after.call("GET k") == NOAUTH
    assert before.call("CONFIG GET requirepass") == b"*2\r\n$11\r\nrequirepass\r\n$6\r\nsecret\r\n"
    assert before.call("CONFIG SET requirepass ''") == b"+OK\r\n"
    assert after.send(MANY) == b"+OK\r\n"


def test_a_pipeline_before_a_log_in_is_answered_in_order(client: Connection) -> None:
    requests = [wire.request(b"AUTH", b"wrong"), AUTH] + [wire.request(b"INCR", b"n")] * 3
    assert client.send(b"".join(requests)) == WRONG + b"+OK\r\n:1\r\n:2\r\n:3\r\n"


def test_only_this_machine_is_served_without_a_password(tmp_path: Path) -> None:
    lab = Lab(tmp_path, protected_mode="yes")
    refused = lab.connect()
    assert refused.transport.sent.startswith(b"-DENIED Redis is running in protected mode")
    assert refused.transport.disconnecting
    assert lab.server.state.clients.count == 1
    lab.server.state.settings.set_many([(b"protected-mode", b"no")])
    assert lab.connect().call("PING") == b"+PONG\r\n"


def test_a_password_ends_the_protection(tmp_path: Path) -> None:
    lab = Lab(tmp_path, protected_mode="yes", password="secret")
    assert lab.connect().call("AUTH secret") == b"+OK\r\n"


def test_a_million_wrong_passwords_leave_nothing(client: Connection) -> None:
    """Each is counted, and none is kept."""
    log = client.lab.server.state.acl_log
    for number in range(500):
        client.call(f"AUTH user{number} wrong", f"AUTH user{number} wrong")
    assert len(log.entries) == 128
    assert log.counts["auth"] == 1000
    assert b"wrong" not in b"".join([entry.last.client for entry in log.entries])


def test_users_that_two_change_in_one_commit(tmp_path: Path) -> None:
    """Neither change is lost. One that is wrong by then is answered with its error, and changes nothing."""
    lab = Lab(tmp_path)
    one, other = lab.connect(), lab.connect()
    one.call("ACL SETUSER ann on >old")
    lab.writer_thread.held = True
    assert one.send(b"SET k 1\r\nACL SETUSER ann <old\r\nGET k\r\n") == b""
    assert other.send(b"SET k 2\r\nACL SETUSER ann +get ~k\r\nACL SETUSER ann <old\r\nGET k\r\n") == b""
    lab.writer_thread.held = False
    lab.writer_thread.work()
    lab.settle()
    assert one.transport.sent.endswith(b"+OK\r\n+OK\r\n$1\r\n1\r\n")
    error = b"-ERR Error in ACL SETUSER modifier '<old': The password you are trying to remove from the user does not"
    assert other.transport.sent == b"+OK\r\n+OK\r\n" + error + b" exist\r\n$1\r\n2\r\n"
    assert b"user ann on sanitize-payload ~k resetchannels -@all +get\r\n" in one.call("ACL LIST")


@pytest.mark.parametrize(
    ("request_", "change"),
    [("AUTH ann x", "ACL DELUSER ann"), ("SUBSCRIBE c", "ACL SETUSER default resetchannels")],
)
def test_a_user_changed_while_a_client_logs_in_or_subscribes(tmp_path: Path, request_: str, change: str) -> None:
    """The client was not yet among those whose connections the change ends."""
    lab = Lab(tmp_path)
    admin, client = lab.connect(), lab.connect()
    admin.call("ACL SETUSER ann on nopass +@all ~*")
    lab.writer_thread.held = True
    client.call("SET k v", request_)
    function, argument, result = lab.writer_thread.line.pop()
    lab.writer_thread.held = False
    outcome = function(argument)
    assert admin.call(change).endswith((b":1\r\n", b"+OK\r\n"))
    result.callback(outcome)
    lab.settle()
    assert client.transport.sent.startswith(b"+OK\r\n")
    assert client.transport.disconnecting
    assert not admin.transport.disconnecting


def test_what_has_waited_is_looked_at(tmp_path: Path) -> None:
    """The users have changed during a pause of clients."""
    lab = Lab(tmp_path)
    admin, client = lab.connect(), lab.connect()
    assert admin.call("SET k v", "CLIENT PAUSE 1000") == b"+OK\r\n+OK\r\n"
    assert client.call("GET k") == b""
    users = lab.server.state.users
    user = users.default.copy()
    user.apply(b"resetkeys", users.index, True)
    users.take_over({user.name: user})
    lab.advance_ms(1001)
    assert client.transport.sent == b"-NOPERM No permissions to access a key\r\n"


def test_two_save_users_one_after_the_other(tmp_path: Path) -> None:
    """Each has the new file to itself; what was answered OK is in the file."""
    path = tmp_path / "users.acl"
    path.write_text("")
    lab = Lab(tmp_path, acl_file=str(path))
    one, other = lab.connect(), lab.connect()
    lab.reader_threads.held = True
    assert one.call("ACL SAVE") == b""
    assert other.call("ACL SETUSER ann on", "ACL SAVE") == b""
    assert len(lab.reader_threads.line) == 1
    lab.reader_threads.work()
    lab.settle()
    assert one.transport.sent == b"+OK\r\n"
    assert b"ann" not in path.read_bytes()
    lab.reader_threads.work()
    lab.settle()
    assert other.transport.sent == b"+OK\r\n+OK\r\n"
    assert b"user ann on" in path.read_bytes()


class Listed(dict[bytes, None]):
    """Names that know how often all of them were looked at."""

    looks = 0

    def __iter__(self) -> Iterator[bytes]:
        self.looks += 1
        return super().__iter__()

    def keys(self) -> Any:
        self.looks += 1
        return super().keys()


def test_what_a_subscriber_has_is_not_looked_at_for_each_it_takes_up(tmp_path: Path) -> None:
    """It may have a hundred thousand, and send as many requests."""
    lab = Lab(tmp_path)
    admin, client = lab.connect(), lab.connect()
    admin.call("ACL SETUSER ann on nopass +@all &c:*")
    client.call("AUTH ann x", "SUBSCRIBE c:1")
    channels = Listed(client.connection.client.subscribed[0])
    client.connection.client.subscribed = (channels, {}, {})
    client.call("SUBSCRIBE c:2 c:3")
    assert list(channels) == [b"c:1", b"c:2", b"c:3"]
    assert channels.looks == 1
