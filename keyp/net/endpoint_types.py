"""Which of Twisted's endpoints a server can have: those whose connections are sockets with nothing between, or TLS.

A connection sends its replies straight to its socket (`connection.py`), or to what stands for one (`tls.py`). Where
anything else would have to change the bytes, the client could not read them. A proxy's header, which comes before the
first request, does no harm.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final

from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory

NO_OPENSSL: Final = "TLS needs more than is installed: pip install 'keyp[tls]'"
BEHIND_A_PROXY: Final = "TLS behind a proxy's header cannot be had"
NO_SOCKET: Final = "that is one stream and no address that clients can connect to"
NOTHING_HANDED_OVER: Final = "no socket was handed over; systemd does so for a .socket unit"
NOT_PLAIN: Final = "it puts something between the socket and the server, which sends its replies straight to the socket"


def endpoint_refusal(description: str) -> str:
    """Why an endpoint of this type cannot be listened on; empty where it can, as far as its type shows."""
    parts = [part.strip() for part in description.split(":")]
    if parts[0] == "haproxy":
        parts = parts[1:]
        if parts[:1] in (["ssl"], ["tls"]):
            return BEHIND_A_PROXY
    if parts[:1] == ["ssl"] and find_spec("OpenSSL") is None:
        return NO_OPENSSL
    if parts[:1] == ["stdio"]:
        return NO_SOCKET
    return ""


def has_plain_connections(port: Any, factory: object) -> bool:
    """Whether the bytes of a port's connections reach `factory` unchanged, or by TLS, which is made Keyp's own."""
    found: Any = getattr(port, "factory", None)
    if isinstance(found, HAProxyWrappingFactory):
        found = found.wrappedFactory
    elif getattr(port, "_type", "") == "TLS":  # what `listenSSL` makes
        from keyp.net.tls import TlsProtocol

        found.protocol = TlsProtocol
        found = found.wrappedFactory
    return found is factory
