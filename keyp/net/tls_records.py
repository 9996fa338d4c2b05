"""The bytes of a TLS connection once its handshake is done: from OpenSSL to a socket and back, in few calls.

pyOpenSSL's own calls serve every use: each looks at its arguments, and where no more has come they raise an error. For
a small request they cost as much as all else together. Here OpenSSL's functions are called as pyOpenSSL calls them,
through cryptography's binding (`cryptography.hazmat.bindings.openssl`).

Both sides of OpenSSL are memory: `incoming` is what the socket has received, `outgoing` what it is to send. This file
is compiled, so it imports neither library: `tls.py` hands them over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

RECORD_BYTES: Final = 1 << 14  # the most that TLS encrypts in one piece
AT_ONCE: Final = 4 * RECORD_BYTES  # that is encrypted before the socket is asked whether it takes it
OWN_MAX: Final = 4 * RECORD_BYTES  # of OpenSSL's own messages, that may wait for a peer that does not read
MEMORY_BYTES: Final = 2 * AT_ONCE
RECEIVE_BYTES: Final = RECORD_BYTES + 512  # of a socket at once: a record


class OpenSSL:
    """OpenSSL's functions, and the memory that it reads and writes; one for all connections of the reactor's thread."""

    def __init__(self, lib: Any, ffi: Any) -> None:
        self.read = lib.SSL_read
        self.write = lib.SSL_write
        self.get_error = lib.SSL_get_error
        self.clear_error = lib.ERR_clear_error
        self.bio_read = lib.BIO_read
        self.bio_write = lib.BIO_write
        self.bio_waiting = lib.BIO_get_mem_data
        self.null = ffi.NULL
        self.want_read: int = lib.SSL_ERROR_WANT_READ
        self.zero_return: int = lib.SSL_ERROR_ZERO_RETURN
        self.memory = ffi.new("char[]", MEMORY_BYTES)
        self.bytes = ffi.buffer(self.memory)


class Owner(Protocol):
    """The protocol that a connection's records belong to."""

    def ended(self) -> None:
        """The peer has said that it sends no more."""

    def failed(self) -> None:
        """What has come is no TLS, or OpenSSL has failed."""

    def flooded(self) -> None:
        """The peer asks for more and more answers of OpenSSL's own, and reads none."""


class Records:
    """One connection. For the protocol above it is its socket: what is sent is encrypted and leaves at once.

    `is_open` says that bytes can be sent and received by it: from the end of the handshake to that of TLS. `is_waiting`
    says that the transport has bytes which the socket did not take: what is sent must wait behind.
    """

    def __init__(self, openssl: OpenSSL, connection: Any, transport: Any, owner: Owner) -> None:
        self._openssl = openssl
        self._ssl = connection._ssl
        self._incoming = connection._into_ssl
        self._outgoing = connection._from_ssl
        self._transport = transport
        self._socket = transport.getHandle()
        self._socket_send: Callable[[bytes], int] = self._socket.send
        self._owner = owner
        self._deliver: Callable[[bytes], object] | None = None
        self.is_open = False
        self.is_waiting = False

    def open(self, deliver: Callable[[bytes], object], is_open: bool) -> None:
        """The handshake is done: what comes is for `deliver`."""
        self._deliver = deliver
        self.is_open = is_open

    def received(self, data: bytes) -> None:
        """Encrypted bytes have come: what they hold is delivered."""
        openssl = self._openssl
        deliver = self._deliver
        assert deliver is not None
        openssl.bio_write(self._incoming, data, len(data))
        while self.is_open:
            count: int = openssl.read(self._ssl, openssl.memory, RECEIVE_BYTES)
            if count <= 0:
                self._nothing_read(count)
                return
            deliver(openssl.bytes[:count])
            if not openssl.bio_waiting(self._incoming, openssl.null):
                return  # a read takes all that a record has

    def _nothing_read(self, count: int) -> None:
        error: int = self._openssl.get_error(self._ssl, count)
        if error == self._openssl.want_read:
            self._answer()
            return
        self._openssl.clear_error()  # else the next connection would take it for its own
        if error == self._openssl.zero_return:
            self._owner.ended()
        else:
            self._owner.failed()

    def _answer(self) -> None:
        """Sends what OpenSSL itself has to say: to a change of keys, to a renegotiation.

        What the socket does not take waits in OpenSSL, where it is seen how much it is.
        """
        openssl = self._openssl
        if not self.is_waiting:
            self.flush()
        elif openssl.bio_waiting(self._outgoing, openssl.null) > OWN_MAX:
            self._owner.flooded()

    def send(self, data: bytes) -> int:
        """Encrypts and sends; how many bytes have been taken. The others are for the transport's `write`."""
        if not self.is_open or self.is_waiting:
            return 0
        size = len(data)
        sent = 0
        if size <= RECORD_BYTES:
            sent = self._encrypt(data)
            self.flush()
            return sent
        while sent < size and not self.is_waiting:
            stop = min(sent + AT_ONCE, size)
            while sent < stop:
                taken = self._encrypt(data[sent : sent + RECORD_BYTES])
                if not taken:
                    return sent
                sent += taken
            self.flush()
        return sent

    def _encrypt(self, data: bytes) -> int:
        """How many bytes OpenSSL has taken: all, or none. `write` of Twisted's meets the error again, and ends."""
        count: int = self._openssl.write(self._ssl, data, len(data))
        if count > 0:
            return count
        self._openssl.clear_error()
        return 0

    def flush(self) -> None:
        """Sends what OpenSSL wants to be sent: a burst of records, and what belongs to handshakes and to the end."""
        count = MEMORY_BYTES
        while count == MEMORY_BYTES:
            count = self._openssl.bio_read(self._outgoing, self._openssl.memory, MEMORY_BYTES)
            if count <= 0:
                return
            data: bytes = self._openssl.bytes[:count]
            sent = 0
            if not self.is_waiting:
                try:
                    sent = self._socket_send(data)
                except OSError:
                    sent = 0  # the transport meets it again, and handles it
            if sent < count:
                self.is_waiting = True
                self._transport.write(data[sent:] if sent else data)

    def drained(self) -> None:
        """The transport's buffer is empty: what has waited in OpenSSL leaves."""
        self.is_waiting = False
        if self.is_open:
            self.flush()

    # What the protocol above asks its socket as well.

    def fileno(self) -> int:
        """The socket's descriptor."""
        return int(self._socket.fileno())

    def setsockopt(self, *arguments: Any) -> None:
        """Sets an option of the socket."""
        self._socket.setsockopt(*arguments)

    def recv(self, size: int) -> bytes:
        """What has come to the socket and has not been read; `size` bytes of it at once, encrypted.

        Nothing at the end of what can be read. Raises `OSError` as a socket does.
        """
        openssl = self._openssl
        while self.is_open:
            data: bytes = self._socket.recv(size)
            openssl.bio_write(self._incoming, data, len(data))
            pieces: list[bytes] = []
            count: int = openssl.read(self._ssl, openssl.memory, RECEIVE_BYTES)
            while count > 0:
                pieces.append(openssl.bytes[:count])
                count = openssl.read(self._ssl, openssl.memory, RECEIVE_BYTES)
            if pieces:
                return b"".join(pieces)
            if not data or openssl.get_error(self._ssl, count) != openssl.want_read:
                openssl.clear_error()
                break
        return b""
