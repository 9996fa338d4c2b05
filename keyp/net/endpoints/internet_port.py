"""Ports for TCP as Redis has them: one of IPv6 is of IPv6 alone, so `::` leaves room for `0.0.0.0` on the same port."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp


class InternetPort(tcp.Port):
    """A port of Twisted's that takes no connections of the other family, whatever `net.ipv6.bindv6only` says."""

    def createInternetSocket(self) -> Any:
        """Called by Twisted: makes the socket, which is bound next."""
        port: Any = super()
        made: socket.socket = port.createInternetSocket()
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return made


def listen_tcp(reactor: Any, number: int, factory: Any, backlog: int, address: str) -> Any:
    """Listens on an address of IPv4 or IPv6. The port. Raises `CannotListenError`."""
    make: Any = InternetPort
    port = make(number, factory, backlog, address, reactor)
    port.startListening()
    return port
