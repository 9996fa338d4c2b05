"""Connections that come through a proxy: its header first, then what the client sends, in TLS or not.

Until the header is whole there is no client. Then the socket gets the protocol that it would have had from the start,
and says of its peer what the header says: so nothing stands between them. Who may connect to such a port may call
himself whatever he likes; so no client behind a proxy counts as a program on this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

from keyp.net.endpoints.proxy_header import Header, NoHeader, read_header

if TYPE_CHECKING:
    from keyp.net.server import Server

HEADER_S: Final = 10.0  # that a proxy has to send its header


class ProxiedFactory(ServerFactory):
    """Has `behind` make the protocols of connections that begin with a proxy's header.

    `server` gives the server that they are for.
    """

    noisy = False

    def __init__(self, behind: Any, server: Callable[[], Server], reactor: Any) -> None:
        self.behind = behind
        self.server = server
        self.reactor = reactor
        self.awaited = 0  # connections whose header is not whole

    def buildProtocol(self, address: IAddress | None) -> ProxyProtocol:
        """Called by Twisted: somebody has connected."""
        return ProxyProtocol(self)


class ProxyProtocol(Protocol):
    """A connection until its header is whole."""

    transport: Any
    _deadline: Any

    def __init__(self, factory: ProxiedFactory) -> None:
        self._factory = factory
        self._received = b""

    def connectionMade(self) -> None:
        """Called by Twisted: the connection is made. As many may be without a header as clients may be connected."""
        factory = self._factory
        factory.awaited += 1
        self._deadline = factory.reactor.callLater(HEADER_S, self._refuse, "it did not come in time")
        state = factory.server().state
        if factory.awaited + len(state.clients) > state.settings.maxclients:
            state.metrics.connections_rejected += 1
            self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted: bytes have come, of the header or with the end of it."""
        self._received += data
        try:
            header = read_header(self._received)
        except NoHeader as error:
            self._refuse(str(error))
            return
        if header is not None:
            self._hand_on(header)

    def _hand_on(self, header: Header) -> None:
        """Another protocol takes the socket over."""
        self._forget()
        transport = self.transport
        _introduce(transport, header)
        protocol = self._factory.behind.buildProtocol(transport.getPeer())
        transport.protocol = protocol
        protocol.makeConnection(transport)
        rest = self._received[header.size :]
        if rest and transport.connected:
            protocol.dataReceived(rest)

    def _refuse(self, reason: str) -> None:
        peer = self.transport.getPeer()
        warn = self._factory.server().dispatcher.limited_log.warn
        warn("PROXY", f"{getattr(peer, 'host', peer)} sent no proxy's header: {reason}")
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted: the connection is lost before its header was whole."""
        self._forget()

    def _forget(self) -> None:
        self._factory.awaited -= 1
        if self._deadline.active():
            self._deadline.cancel()


def _introduce(transport: Any, header: Header) -> None:
    """Has a transport say whom the proxy speaks for. A Unix socket is still one, to which nobody has an address."""
    transport.is_proxied = not header.is_local
    if header.source is None or header.destination is None:
        return
    source, destination = _address(header.source), _address(header.destination)
    transport.getPeer = lambda: source
    if not isinstance(transport.getHost(), UNIXAddress):
        transport.getHost = lambda: destination


def _address(of: tuple[str, int]) -> IPv4Address | IPv6Address:
    host, port = of
    return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)
