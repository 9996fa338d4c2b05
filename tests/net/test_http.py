"""HTTP where Redis has commands: the connection ends without a word, and the log warns now and then."""

from __future__ import annotations

import pytest

from keyp.execution.limited_log import SAME_EVERY_NS
from tests import wire
from tests.fakes import Lab


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(
        "keyp.execution.limited_log.log.warn", lambda form, text, left_out: told.append(text + left_out)
    )
    return told


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\n",
        b"host: x\r\n",
        wire.request(b"pOsT"),
        wire.request(b"HOST:", b"x"),
        b"PING\r\nSET a 1\r\nPOST\r\n",
        b"MULTI\r\nSET a 1\r\nHost:\r\n",
        b"SUBSCRIBE a\r\nPOST\r\n",
        b"CLIENT REPLY OFF\r\nPOST\r\n",
    ],
)
def test_it_ends_the_connection_and_nothing_behind_it_runs(lab: Lab, warnings: list[str], data: bytes) -> None:
    client, other = lab.connect(), lab.connect()
    assert client.send(data + b"SET pwned 1\r\nEXEC\r\n") == b""
    assert client.transport.disconnecting
    assert client.send(b"SET pwned 1\r\n") == b""
    before = b":1\r\n" if b"PING" in data else b":0\r\n"
    assert other.call("EXISTS a", "EXISTS pwned") == before + b":0\r\n"
    assert len(warnings) == 1
    assert client.connection.client.address in warnings[0]


def test_what_was_answered_before_stays_answered(lab: Lab, warnings: list[str]) -> None:
    lab.writer_thread.held = True
    client = lab.connect()
    client.send(b"SET a 1\r\n")
    client.send(b"GET a\r\nPOST\r\n")
    lab.writer_thread.work()
    lab.settle()
    assert client.transport.sent == b"+OK\r\n"
    assert client.transport.disconnecting


def test_the_words_mean_nothing_elsewhere(lab: Lab, warnings: list[str]) -> None:
    client = lab.connect()
    assert client.call("ECHO POST", "SET a Host:", "EXISTS post").endswith(b"\r\n+OK\r\n:0\r\n")
    assert client.call("POSTS").startswith(b"-ERR unknown command 'POSTS'")
    assert warnings == []


def test_the_log_warns_once_a_minute(lab: Lab, warnings: list[str]) -> None:
    for _ in range(10):
        lab.connect().call("POST")
    assert len(warnings) == 1
    lab.clock.ns += SAME_EVERY_NS
    lab.connect().call("POST")
    assert len(warnings) == 2
    assert warnings[1].endswith(" (9 times more since it was last told)")
