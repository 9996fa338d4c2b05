"""Clients that do not read their replies, and have nothing more to say: they do not stay for ever."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import wire
from tests.commands.conftest import listed
from tests.fakes import Connection, Lab

VALUE = bytes(600_000)


def silent(lab: Lab, *behind: bytes) -> Connection:
    """A client for which a reply waits; `behind` is what it has sent with its request."""
    client = lab.connect()
    client.send(wire.request(b"SET", b"k", VALUE))
    client.transport.socket.room = 0
    client.send(wire.request(b"GET", b"k") + b"".join(behind))
    return client


def seconds_pass(lab: Lab, count: int) -> None:
    for _ in range(count):
        lab.advance_ms(1000)
        lab.server.close_idle_clients()
        lab.server.close_slow_clients()


@pytest.mark.parametrize("behind", [b"", b"QUIT\r\n", b"*x\r\n"])
def test_who_neither_asks_nor_reads_is_gone_in_time(lab: Lab, behind: bytes) -> None:
    admin, client = lab.connect(), silent(lab, behind)
    admin.call("CONFIG SET timeout 10")
    seconds_pass(lab, 9)
    assert not client.transport.aborted
    seconds_pass(lab, 4)
    assert client.transport.aborted
    client.lose()


def test_who_reads_slowly_is_not_silent(lab: Lab) -> None:
    admin, client = lab.connect(), silent(lab)
    admin.call("CONFIG SET timeout 10")
    for _ in range(10):
        client.transport.read_some(1000)
        seconds_pass(lab, 8)
    assert not client.transport.aborted
    client.transport.drain()
    assert len(client.transport.sent) > len(VALUE)
    seconds_pass(lab, 12)
    assert client.transport.disconnecting
    client.lose()


def killed(admin: Connection) -> None:
    number = listed(admin)[1]["id"]
    assert admin.call(f"CLIENT KILL ID {number}") == b":1\r\n"


def evicted(admin: Connection) -> None:
    admin.call("CONFIG SET maxmemory-clients 300kb")
    assert admin.lab.server.state.metrics.evicted_clients == 1


def over_the_hard_limit(admin: Connection) -> None:
    admin.call('CONFIG SET client-output-buffer-limit "normal 300000 0 0"')
    seconds_pass(admin.lab, 1)


def over_the_soft_limit(admin: Connection) -> None:
    admin.call('CONFIG SET client-output-buffer-limit "normal 0 300000 2"')
    seconds_pass(admin.lab, 4)


@pytest.mark.parametrize("behind", [b"QUIT\r\n", b"*x\r\n"])
@pytest.mark.parametrize("end", [killed, evicted, over_the_hard_limit, over_the_soft_limit])
def test_who_is_about_to_leave_is_still_there(lab: Lab, behind: bytes, end: Callable[[Connection], None]) -> None:
    """It keeps what it does not read."""
    admin, client = lab.connect(), silent(lab, behind)
    assert not client.transport.aborted
    assert int(listed(admin)[1]["omem"]) >= len(VALUE)
    end(admin)
    assert client.transport.aborted
    assert len(listed(admin)) == 1
    client.lose()


def test_who_has_been_cut_off_is_cut_off_once(lab: Lab) -> None:
    admin, client = lab.connect(), silent(lab, b"QUIT\r\n")
    evicted(admin)
    admin.call("CONFIG SET maxmemory-clients 200kb")
    assert client.transport.aborted
    assert lab.server.state.metrics.evicted_clients == 1
    client.lose()
