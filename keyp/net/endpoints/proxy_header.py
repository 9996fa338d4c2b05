"""The PROXY protocol's header, by which a proxy says for whom it has connected: versions 1 and 2.

https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt has the bytes. Whatever the bytes are, they are the
beginning of a header, a header, or `NoHeader`.
"""

from __future__ import annotations

import socket
from typing import Final

# Version 1 is a line.
LINE_START: Final = b"PROXY "
LINE_MAX: Final = 107  # bytes, the line break included

# Version 2 is binary.
SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
FIXED_BYTES: Final = 16  # before the addresses
LOCAL: Final = 0x20  # the proxy speaks for itself
PROXY: Final = 0x21
IPV4_BYTES: Final = 4
IPV6_BYTES: Final = 16
STREAMS: Final = {0x11: IPV4_BYTES, 0x21: IPV6_BYTES}  # families and protocols that we could have been reached by
UNNAMED: Final = (0x00, 0x31)  # nothing is known of the client, or it has a Unix socket, which says nothing here


class NoHeader(Exception):
    """The bytes are not, and do not become, a header."""


class Header:
    """One header: its length in bytes, and whom the proxy speaks for.

    `source` and `destination` are a host and a port each; None where the header has none. `is_local` says that the
    proxy speaks for itself.
    """

    def __init__(
        self,
        size: int,
        source: tuple[str, int] | None = None,
        destination: tuple[str, int] | None = None,
        is_local: bool = False,
    ) -> None:
        self.size = size
        self.source = source
        self.destination = destination
        self.is_local = is_local


def read_header(data: bytes) -> Header | None:
    """The header that `data` begins with; None where it is not whole yet. Raises `NoHeader`."""
    if data.startswith(LINE_START[: len(data)]):
        return _read_one(data)
    if data.startswith(SIGNATURE[: len(data)]):
        return _read_two(data)
    raise NoHeader("it does not begin with a proxy's header")


def _read_one(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, LINE_MAX)
    if end < 0:
        if len(data) >= LINE_MAX:
            raise NoHeader("the header's line is too long")
        return None
    words = data[:end].split(b" ")
    if words[1:2] == [b"UNKNOWN"]:
        return Header(end + 2)
    if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):
        raise NoHeader("the header's line is none of the protocol's")
    family = socket.AF_INET if words[1] == b"TCP4" else socket.AF_INET6
    source, destination = (_host(family, words[2]), _port(words[4])), (_host(family, words[3]), _port(words[5]))
    return Header(end + 2, source, destination)


def _host(family: int, text: bytes) -> str:
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, text.decode("ascii")))
    except (OSError, ValueError):
        raise NoHeader("the header has an address that is none") from None


def _port(text: bytes) -> int:
    if not text.isdigit() or len(text) > 5 or int(text) > 65535:
        raise NoHeader("the header has a port that is none")
    return int(text)


def _read_two(data: bytes) -> Header | None:
    if len(data) < FIXED_BYTES:
        return None
    command, stream, length = data[12], data[13], int.from_bytes(data[14:16])
    size = FIXED_BYTES + length
    if command not in (LOCAL, PROXY):
        raise NoHeader("the header is of a version or a command that is not known")
    if command == PROXY and stream not in STREAMS and stream not in UNNAMED:
        raise NoHeader("the header is for another protocol")
    width = STREAMS.get(stream, 0) if command == PROXY else 0
    if length < 2 * width + (4 if width else 0):
        raise NoHeader("the header is too short for its addresses")
    if len(data) < size:
        return None
    if command == LOCAL:
        return Header(size, is_local=True)
    if not width:
        return Header(size)
    ports = FIXED_BYTES + 2 * width
    family = socket.AF_INET if width == IPV4_BYTES else socket.AF_INET6
    hosts = [socket.inet_ntop(family, data[at : at + width]) for at in (FIXED_BYTES, FIXED_BYTES + width)]
    numbers = [int.from_bytes(data[at : at + 2]) for at in (ports, ports + 2)]
    return Header(size, (hosts[0], numbers[0]), (hosts[1], numbers[1]))
