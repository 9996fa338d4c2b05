"""What settings do to a server that runs: who may call DEBUG, how often the sweeper looks, what TCP is asked for."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock, LoopingCall

from keyp.net.service import follow_frequency
from keyp.server.config import Settings
from tests.fakes import FakeTransport, Lab

NOT_ALLOWED = (
    b'-ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a'
    b" local connection, otherwise you need to set this option in the configuration file, and then restart the"
    b" server.\r\n"
)


@pytest.mark.parametrize(
    ("setting", "host", "allowed"),
    [
        ("no", "127.0.0.1", False),
        ("local", "127.0.0.1", True),
        ("local", "127.9.9.9", True),
        ("local", "::1", True),
        ("local", "10.0.0.9", False),
        ("local", "::ffff:10.0.0.9", False),
        ("yes", "10.0.0.9", True),
    ],
)
def test_who_may_call_debug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, host: str, allowed: bool
) -> None:
    lab = Lab(tmp_path, enable_debug_command=setting)
    monkeypatch.setattr(FakeTransport, "getPeer", lambda _: IPv4Address("TCP", host, 50000))
    client = lab.connect()
    assert client.call("DEBUG SET-ACTIVE-EXPIRE 1") == (b"+OK\r\n" if allowed else NOT_ALLOWED)
    if not allowed:
        assert client.call("DEBUG") == b"-ERR wrong number of arguments for 'debug' command\r\n"
        assert client.call("MULTI", "DEBUG HELP") == b"+OK\r\n" + NOT_ALLOWED
        aborted = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
        assert client.call("EXEC") == aborted
        assert lab.server.state.metrics.commands["debug"].calls == 0
    lab.close()


def test_the_sweeper_looks_as_often_as_hz_says() -> None:
    clock: Any = Clock()
    settings, calls = Settings(), [0]

    def look() -> None:
        calls[0] += 1

    loop = LoopingCall(look)
    loop.clock = clock
    loop.start(1 / settings.hz, now=False)
    follow_frequency(loop, settings)
    clock.pump([0.05] * 20)
    assert calls == [10]
    settings.set_many([(b"hz", b"50")])
    clock.pump([0.01] * 110)
    assert 60 <= calls[0] <= 65
    settings.set_many([(b"hz", b"0")])  # which is 1
    before = calls[0]
    clock.pump([0.1] * 30)
    assert 3 <= calls[0] - before <= 4
    loop.stop()


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="the system does not tell TCP when")
def test_tcp_looks_whether_clients_are_there(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    first = lab.connect()
    assert _asked(first.transport) == (True, 300, 100, 3)
    first.call("CONFIG SET tcp-keepalive 7")
    assert _asked(lab.connect().transport) == (True, 7, 2, 3)
    first.call("CONFIG SET tcp-keepalive 100000")
    assert _asked(lab.connect().transport) == (True, 32767, 32767, 3)
    first.call("CONFIG SET tcp-keepalive 0")
    assert _asked(lab.connect().transport) == (False, None, None, None)
    lab.close()


def _asked(transport: FakeTransport) -> tuple[bool, int | None, int | None, int | None]:
    found = [
        transport.socket.options.get((socket.IPPROTO_TCP, option))
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    ]
    return transport.keep_alive, found[0], found[1], found[2]


def test_slow_commands_are_latency_events(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    client = lab.connect()
    client.call("SET a 1", "GET a")
    assert client.call("LATENCY LATEST") == b"*0\r\n"
    client.call("CONFIG SET latency-monitor-threshold 1")
    lab.clock.step_ns = 2_500_000
    client.call("SET a 1")
    client.call("GET a")
    now = lab.clock.us // 1_000_000
    assert client.call("LATENCY HISTORY command") == b"*1\r\n*2\r\n:%d\r\n:2\r\n" % now
    assert client.call("LATENCY HISTORY fast-command") == b"*1\r\n*2\r\n:%d\r\n:2\r\n" % now
    assert client.call("LATENCY HISTORY nosuch") == b"*0\r\n"
    client.call("CONFIG SET latency-monitor-threshold 0")
    assert client.call("LATENCY RESET fast-command nosuch") == b":1\r\n"
    assert client.call("LATENCY LATEST").startswith(b"*1\r\n*4\r\n$7\r\ncommand\r\n")
    assert client.call("SLOWLOG LEN") == b":0\r\n"
    lab.close()


def test_latencies_are_counted_where_they_are_tracked(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    client = lab.connect()
    client.call("CONFIG SET latency-tracking no", "CONFIG RESETSTAT")
    client.call("GET a")
    assert b"latency_percentiles" not in client.call("INFO latencystats")
    assert b"cmdstat_get:calls=1" in client.call("INFO commandstats")
    assert client.call("LATENCY HISTOGRAM get") == b"*0\r\n"
    client.call("CONFIG SET latency-tracking yes latency-tracking-info-percentiles '0 99.99'")
    client.call("GET a")
    assert b"latency_percentiles_usec_get:p0=" in client.call("INFO latencystats")
    assert b",p99.99=" in client.call("INFO latencystats")
    lab.close()


def test_reads_and_writes_of_sockets_are_counted(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    client = lab.connect()
    client.call("PING", "PING", "PING")
    client.call("CONFIG RESETSTAT")
    client.call("PING", "PING", "PING")
    client.call("PING")
    found = client.call("INFO stats")
    assert b"total_reads_processed:3\r\n" in found
    assert b"total_writes_processed:3\r\n" in found
    lab.close()
