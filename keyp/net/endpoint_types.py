"""Which of Twisted's endpoints a server can have: those whose connections are sockets with nothing between.

A connection sends its replies straight to its socket (`connection.py`). Where Twisted would have to change the bytes,
as for TLS, the client could not read them. A proxy's header, which comes before the first request, does no harm.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory

NO_TLS: Final = (
    "there is no TLS yet; a proxy such as stunnel can take it off, in front of a Unix socket or of an address that "
    "only this machine reaches"
)
NO_SOCKET: Final = "that is one stream and no address that clients can connect to"
NOTHING_HANDED_OVER: Final = "no socket was handed over; systemd does so for a .socket unit"
NOT_PLAIN: Final = "it puts something between the socket and the server, which sends its replies straight to the socket"


def endpoint_refusal(description: str) -> str:
    """Why an endpoint of this type cannot be listened on; empty where it can, as far as its type shows."""
    parts = [part.strip() for part in description.split(":")]
    if parts[0] == "haproxy":
        parts = parts[1:]
    if parts[:1] in (["ssl"], ["tls"]):
        return NO_TLS
    if parts[:1] == ["stdio"]:
        return NO_SOCKET
    return ""


def has_plain_connections(port: Any, factory: object) -> bool:
    """Whether the bytes of a port's connections reach `factory` unchanged."""
    found = getattr(port, "factory", None)
    if isinstance(found, HAProxyWrappingFactory):
        found = found.wrappedFactory
    return found is factory
