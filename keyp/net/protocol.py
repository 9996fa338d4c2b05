"""What Twisted sees of a connection: a protocol that passes events on to `Connection`, which does the work."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPullProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from keyp.net.connection import Connection, Host


@implementer(IPullProducer, IHalfCloseableProtocol)
class RedisProtocol(Protocol):
    """The protocol of one connection to `host`; `connection` is there once it is made."""

    transport: Any  # a TCP or UNIX server transport; Twisted's interface does not name all that it offers
    connection: Connection

    def __init__(self, host: Host) -> None:
        self._host = host

    def connectionMade(self) -> None:
        """Called by Twisted: the connection is made. A pull producer is called when the transport's buffer is empty."""
        self.connection = Connection(self._host, self.transport)
        # What Twisted calls when bytes have come, without a method of ours between: it is called for every request.
        self.__dict__["dataReceived"] = self.connection.received
        self.transport.registerProducer(self, False)
        self._host.client_came(self.connection)

    def certified(self, name: str) -> None:
        """Called by TLS: the client has a certificate with this common name."""
        self._host.client_certified(self.connection, name)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted: the connection is lost."""
        self.connection.lost()

    def resumeProducing(self) -> None:
        """Called by Twisted: the transport's buffer is empty."""
        self.connection.drained()

    def readConnectionLost(self) -> None:
        """Called by Twisted: the client has ended its input."""
        self.connection.ended()

    def writeConnectionLost(self) -> None:
        """Called by Twisted when we end our side alone, which we do not."""

    def stopProducing(self) -> None:
        """Called by Twisted: the connection is about to be lost, its socket is still open."""
        self.connection.leaving()
