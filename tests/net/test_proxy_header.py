"""A proxy's header: what it says, whole, byte by byte and with something behind it; and that nothing else passes."""

from __future__ import annotations

import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyp.net.endpoints.proxy_header import LINE_MAX, SIGNATURE, NoHeader, read_header

V4 = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2") + b"\x04\x57\x18\xe9"
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1") + socket.inet_pton(socket.AF_INET6, "::1") + b"\x04\x57\x18\xe9"
TLV = b"\x03\0\4abcd"  # a checksum, which says nothing about whom the proxy speaks for


def two(command: int, stream: int, rest: bytes) -> bytes:
    return SIGNATURE + bytes((command, stream)) + len(rest).to_bytes(2) + rest


HEADERS = [
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 6377\r\n", ("192.0.2.1", 1111), ("192.0.2.2", 6377), False),
    (b"PROXY TCP6 2001:DB8::1 ::1 1111 0\r\n", ("2001:db8::1", 1111), ("::1", 0), False),
    (b"PROXY UNKNOWN\r\n", None, None, False),
    (b"PROXY UNKNOWN ffff::1 what ever\r\n", None, None, False),
    (two(0x21, 0x11, V4), ("192.0.2.1", 1111), ("192.0.2.2", 6377), False),
    (two(0x21, 0x11, V4 + TLV), ("192.0.2.1", 1111), ("192.0.2.2", 6377), False),
    (two(0x21, 0x21, V6), ("2001:db8::1", 1111), ("::1", 6377), False),
    (two(0x21, 0x31, bytes(216)), None, None, False),
    (two(0x21, 0x00, b""), None, None, False),
    (two(0x20, 0x00, b""), None, None, True),
    (two(0x20, 0x11, V4), None, None, True),
]
NONE = [
    b"PING\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PROXY\r\n",
    b"PROXY TCP4\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1111\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 65536\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 +1\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 1 1\r\n",
    b"PROXY TCP4 192.0.2.300 192.0.2.2 1111 1\r\n",
    b"PROXY TCP4 ::1 ::1 1111 1\r\n",
    b"PROXY TCP4 \xff\xfe 192.0.2.2 1111 1\r\n",
    b"PROXY UDP4 192.0.2.1 192.0.2.2 1111 1\r\n",
    b"proxy TCP4 192.0.2.1 192.0.2.2 1111 1\r\n",
    b"PROXY UNKNOWN " + b"x" * LINE_MAX,
    two(0x11, 0x11, V4),
    two(0x22, 0x11, V4),
    two(0x21, 0x12, V4),
    two(0x21, 0x41, V4),
    two(0x21, 0x11, V4[:-1]),
    two(0x21, 0x21, V4),
    SIGNATURE[:-1] + b"\r" + bytes(20),
]


@pytest.mark.parametrize(("data", "source", "destination", "is_local"), HEADERS)
@pytest.mark.parametrize("behind", [b"", b"PING\r\n", b"PROXY "])
def test_what_it_says(
    data: bytes, source: tuple[str, int] | None, destination: tuple[str, int] | None, is_local: bool, behind: bytes
) -> None:
    for size in range(len(data)):
        assert read_header(data[:size]) is None
    header = read_header(data + behind)
    assert header is not None
    assert (header.size, header.source, header.destination) == (len(data), source, destination)
    assert header.is_local == is_local


@pytest.mark.parametrize("data", NONE)
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(NoHeader):
        read_header(data)


@given(
    st.sampled_from(
        [b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ", SIGNATURE, SIGNATURE + b"\x21\x11", SIGNATURE + b"\x21\x21"]
    ),
    st.binary(),
)
@example(b"", b"")
def test_any_bytes_are_a_header_or_its_beginning_or_none(start: bytes, rest: bytes) -> None:
    data = start + rest
    try:
        header = read_header(data)
    except NoHeader:
        return
    if header is None:
        assert len(data) < 16 + 65535 if data.startswith(SIGNATURE) else len(data) < LINE_MAX
    else:
        assert header.size <= len(data)
