"""Connections that cannot be taken: what Twisted says of them, and what the log is told once a second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import tcp

from keyp.net.endpoints.accepting import Refusals
from tests.log import observed


class Listener:
    """What a port refuses with: one errno for each accept that is tried."""

    def __init__(self, *outcomes: int) -> None:
        self.outcomes = list(outcomes)
        self.accepts = 0

    def accept(self) -> Any:
        self.accepts += 1
        code = self.outcomes.pop(0) if self.outcomes else 11  # EAGAIN
        if code:
            raise OSError(code, "")
        return Peer(), ("10.0.0.9", 5)


class Peer:
    def close(self) -> None:
        pass


class Port(tcp.Port):
    """A port that counts how often the reactor is to look at it."""

    def __init__(self, listener: Listener) -> None:
        nobody: Any = None
        reactor: Any = object()
        super().__init__(0, nobody, reactor=reactor)
        self.socket: Any = listener
        self.numberAccepts = 10
        self.connected = True
        self.looked_at = True

    def startReading(self) -> None:
        self.looked_at = True

    def stopReading(self) -> None:
        self.looked_at = False


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """The texts of what has been logged."""
    texts: list[str] = []

    def observer(event: Any) -> None:
        texts.append(str(event.get("log_format")).format(**event))

    with observed(observer):
        yield texts


def spare(monkeypatch: pytest.MonkeyPatch, *outcomes: Any) -> tcp._FileDescriptorReservation:
    """Twisted's spare descriptor, each opening of which ends as said: with None it is there, else an errno."""
    left = list(outcomes)

    def open_it() -> Peer:
        code = left.pop(0) if left else None
        if code:
            raise OSError(code, "")
        return Peer()

    reservation = tcp._FileDescriptorReservation(open_it)
    reservation.reserve()
    monkeypatch.setattr(tcp, "_reservedFD", reservation)
    return reservation


def test_what_is_closed_for_want_of_a_descriptor_is_counted(monkeypatch: pytest.MonkeyPatch, heard: list[str]) -> None:
    spare(monkeypatch)
    refusals = Refusals()
    port = Port(Listener(24, 0, 0, 0, 11, 24, 0))
    refusals.watch(port)
    port.doRead()
    port.doRead()
    assert heard == []
    refusals.each_second()
    refusals.each_second()
    assert heard == ["4 connections were refused: no descriptor is left (ulimit -n)"]
    assert port.looked_at


@pytest.mark.parametrize(("code", "name"), [(24, "EMFILE"), (23, "ENFILE"), (105, "ENOBUFS"), (12, "ENOMEM")])
def test_a_port_that_can_take_none_rests_until_the_next_second(
    monkeypatch: pytest.MonkeyPatch, heard: list[str], code: int, name: str
) -> None:
    spare(monkeypatch)._fileDescriptor = None
    refusals = Refusals()
    listener = Listener(code)
    port = Port(listener)
    refusals.watch(port)
    port.doRead()
    assert not port.looked_at
    assert listener.accepts == 1
    refusals.each_second()
    assert port.looked_at
    assert heard == [f"connections wait that cannot be taken: {name}"]
    assert tcp._reservedFD.available()


def test_a_port_that_is_closed_meanwhile_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    spare(monkeypatch)._fileDescriptor = None
    refusals = Refusals()
    port = Port(Listener(24))
    refusals.watch(port)
    port.doRead()
    port.disconnecting = True
    refusals.each_second()
    assert not port.looked_at


def test_a_client_that_has_gone_before_it_came_is_nothing(monkeypatch: pytest.MonkeyPatch, heard: list[str]) -> None:
    refusals = Refusals()
    port = Port(Listener(103))
    refusals.watch(port)
    port.doRead()
    refusals.each_second()
    assert port.looked_at
    assert heard == []
