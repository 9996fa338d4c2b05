"""Which endpoints a server can have: Twisted's whose connections are sockets with nothing between, or TLS; and two
words of ours before them.

A connection sends its replies straight to its socket (`connection.py`), or to what stands for one (`tls.py`). Where
anything else would have to change the bytes, the client could not read them. So a proxy's header (`haproxy:`) is read
by Keyp itself (`proxied.py`), and `tls:` puts Keyp's own TLS on whatever socket an endpoint has: systemd's, one of a
proxy, a Unix socket.
"""

from __future__ import annotations

import os
import socket
from importlib.util import find_spec
from typing import Any, Final

from twisted.internet import endpoints, unix
from twisted.internet.defer import Deferred, succeed

NO_OPENSSL: Final = "TLS needs more than is installed: pip install 'keyp[tls]'"
BEHIND_A_PROXY: Final = "a proxy's header comes before TLS: haproxy:tls:tcp:…, with the options of TLS, does that"
HEADER_FIRST: Final = "a proxy's header comes first, and once: haproxy:tls:tcp:… has TLS behind it"
TWICE: Final = "TLS in TLS cannot be had"
NO_SOCKET: Final = "that is one stream and no address that clients can connect to"
NOTHING_HANDED_OVER: Final = "no socket was handed over; systemd does so for a .socket unit"
NOT_PLAIN: Final = "it puts something between the socket and the server, which sends its replies straight to the socket"


class EndpointType:
    """What a description of an endpoint begins with: `haproxy:`, `tls:`, both or neither; `rest` is for Twisted.

    `refusal` is why such an endpoint cannot be listened on; empty where it can, as far as its type shows.
    """

    def __init__(self, description: str) -> None:
        self.is_proxied, rest = _without("haproxy", description)
        self.is_tls, self.rest = _without("tls", rest)
        self.refusal = self._refusal(self.rest.partition(":")[0].strip())

    def _refusal(self, name: str) -> str:
        if name == "stdio":
            return NO_SOCKET
        if name == "haproxy":
            return HEADER_FIRST
        if name == "ssl" and self.is_tls:
            return TWICE
        if name == "ssl" and self.is_proxied:
            return BEHIND_A_PROXY
        if (name == "ssl" or self.is_tls) and find_spec("OpenSSL") is None:
            return NO_OPENSSL
        return ""


def _without(word: str, description: str) -> tuple[bool, str]:
    """Whether a description begins with a word, and what comes behind it."""
    first, colon, rest = description.partition(":")
    return (True, rest) if colon and first.strip() == word else (False, description)


def listen(reactor: Any, description: str, factory: Any) -> Deferred[Any]:
    """Listens on one of Twisted's endpoints; fires with the port. Raises and fails as these do.

    A Unix socket that systemd has made keeps its mode, and stays when the server stops: it is systemd's.
    """
    endpoint: Any = endpoints.serverFromString(reactor, description)
    if isinstance(endpoint, endpoints.AdoptedStreamServerEndpoint) and endpoint.addressFamily == socket.AF_UNIX:
        os.set_blocking(endpoint.fileno, False)
        port: Any = unix.Port._fromListeningDescriptor(reactor, endpoint.fileno, factory)
        port._bindPath = b"\0"  # Twisted changes and removes what has a name
        port.startListening()
        os.close(endpoint.fileno)
        return succeed(port)
    listening: Deferred[Any] = endpoint.listen(factory)
    return listening


def has_plain_connections(port: Any, factory: object) -> bool:
    """Whether the bytes of a port's connections reach `factory` unchanged, or by TLS, which is made Keyp's own."""
    found: Any = getattr(port, "factory", None)
    if getattr(port, "_type", "") == "TLS":  # what `listenSSL` makes
        from keyp.net.tls import TlsProtocol

        found.protocol = TlsProtocol
        found = found.wrappedFactory
    return found is factory
