"""An endpoint of somebody else's that changes bytes on their way is refused, whatever its name."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import defer, endpoints
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.policies import WrappingFactory

from keyp.net.endpoints.ports import StartupError
from keyp.net.options import Options
from keyp.net.service import KeypService


class Wrapping:
    """An endpoint of a plugin: it listens with a factory of its own, around the one it was given."""

    def listen(self, factory: Any) -> defer.Deferred[Any]:
        return defer.succeed(Port(WrappingFactory(factory)))


class Plain:
    def listen(self, factory: Any) -> defer.Deferred[Any]:
        return defer.succeed(Port(factory))


class Port:
    stopped = False

    def __init__(self, factory: object) -> None:
        self.factory = factory

    def stopReading(self) -> None:
        pass

    def stopListening(self) -> None:
        Port.stopped = True


def listen(monkeypatch: pytest.MonkeyPatch, endpoint: object) -> None:
    monkeypatch.setattr(endpoints, "serverFromString", lambda reactor, description: endpoint)
    monkeypatch.setattr(Port, "stopped", False)
    options = Options()
    options.parseOptions(["--endpoint=theirs:1"])
    KeypService(options, MemoryReactorClock()).privilegedStartService()


def test_what_is_between_socket_and_server_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StartupError, match=r"theirs:1.*between the socket"):
        listen(monkeypatch, Wrapping())
    assert Port.stopped


def test_what_only_listens_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    listen(monkeypatch, Plain())
    assert not Port.stopped
