"""TLS: Twisted's protocol over OpenSSL, with a shorter way for the bytes once the handshake is done.

Twisted's own hands what is encrypted to the transport, which sends it in the next iteration of the reactor, and asks
OpenSSL twice more for each request. Here a burst of replies is encrypted and sent at once, as without TLS, and what has
come goes straight to the connection (`tls_records.py`). Handshakes, closing and errors are Twisted's.

Needs `pip install keyp[tls]`: this module is imported only where TLS is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IPullProducer
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from keyp.net.tls_records import RECEIVE_BYTES, OpenSSL, Records

OPENSSL: Final = OpenSSL(Binding.lib, Binding.ffi)
HANDSHAKE_S: Final = 10.0  # that a client has to prove that it speaks TLS

VERSIONS: Final = {
    "tlsv1": SSL.OP_NO_TLSv1,
    "tlsv1.1": SSL.OP_NO_TLSv1_1,
    "tlsv1.2": SSL.OP_NO_TLSv1_2,
    "tlsv1.3": SSL.OP_NO_TLSv1_3,
}
VERIFIED: Final = {
    "no": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER,
    "yes": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}
NEEDS_AUTHORITY: Final = (
    "clients cannot be authenticated (tls-auth-clients) without tls-ca-cert-file or tls-ca-cert-dir"
)


class TlsError(Exception):
    """TLS cannot be had as the settings say; the text says why."""


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """The server's certificate and what it asks of clients, for connections to come. `load` it first."""

    def __init__(self) -> None:
        self._context: SSL.Context | None = None

    def load(self, get: Callable[[str], str]) -> None:
        """Reads the files that the settings `tls-…` name; `get` gives the text of one. Raises `TlsError`.

        Where that fails, all is as before. Connections that stand keep what they began with.
        """
        try:
            self._context = _context(get)
        except (SSL.Error, OSError, ValueError) as error:
            raise TlsError(_reason(error)) from None

    def serverConnectionForTLS(self, protocol: object) -> SSL.Connection:
        """Called by Twisted for each connection."""
        assert self._context is not None
        return SSL.Connection(self._context, None)


def _context(get: Callable[[str], str]) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection takes 29 KB with it, 54 without
    wanted = get("tls-protocols").lower().split() or ["tlsv1.2", "tlsv1.3"]
    unknown = set(wanted) - set(VERSIONS)
    if unknown:
        raise TlsError(f"tls-protocols: {' '.join(sorted(unknown))} is no version of TLS")
    for version, option in VERSIONS.items():
        if version not in wanted:
            context.set_options(option)
    if get("tls-prefer-server-ciphers") == "yes":
        context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
    if get("tls-ciphers"):
        context.set_cipher_list(get("tls-ciphers").encode())
    if get("tls-ciphersuites"):
        context.set_tls13_ciphersuites(get("tls-ciphersuites").encode())
    _set_sessions(context, get)
    _set_certificate(context, get)
    _set_authority(context, get)
    return context


def _set_sessions(context: SSL.Context, get: Callable[[str], str]) -> None:
    context.set_session_id(b"keyp")
    caches = get("tls-session-caching") == "yes"
    context.set_session_cache_mode(SSL.SESS_CACHE_SERVER if caches else SSL.SESS_CACHE_OFF)
    context.set_timeout(int(get("tls-session-cache-timeout")))


def _set_certificate(context: SSL.Context, get: Callable[[str], str]) -> None:
    certificate, key = get("tls-cert-file"), get("tls-key-file") or get("tls-cert-file")
    if not certificate:
        raise TlsError("tls-cert-file is needed")
    password = get("tls-key-file-pass").encode("utf-8", "surrogateescape")
    context.set_passwd_cb(lambda size, verify, data: password)
    for path in (certificate, key):
        _look_at(path)
    try:
        context.use_certificate_chain_file(certificate)
        context.use_privatekey_file(key)
        context.check_privatekey()
    except SSL.Error as error:
        raise TlsError(f"{certificate} and {key}: {_reason(error)}") from None
    if get("tls-dh-params-file"):
        _look_at(get("tls-dh-params-file"))
        context.load_tmp_dh(get("tls-dh-params-file"))


def _set_authority(context: SSL.Context, get: Callable[[str], str]) -> None:
    verified = VERIFIED[get("tls-auth-clients")]
    context.set_verify(verified)
    if verified == SSL.VERIFY_NONE:
        return
    file, directory = get("tls-ca-cert-file"), get("tls-ca-cert-dir")
    if not file and not directory:
        raise TlsError(NEEDS_AUTHORITY)
    if file:
        _look_at(file)
        context.load_client_ca(file.encode())
    context.load_verify_locations(file or None, directory or None)


def _look_at(path: str) -> None:
    with open(path, "rb"):
        pass  # the system says best what is wrong with a file


def _reason(error: BaseException | None) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    arguments = error.args if error is not None else ()
    errors = arguments[0] if arguments and isinstance(arguments[0], list) else []
    return ", ".join([str(each[-1]) for each in errors if each]) or str(error) or "OpenSSL gives no reason"


@implementer(IPullProducer)
class _Drain:
    """What the socket's transport tells that all has left: the protocol, and whoever sends through it."""

    def __init__(self, protocol: TlsProtocol, producer: Any) -> None:
        self._protocol = protocol
        self._producer = producer

    def resumeProducing(self) -> None:
        """Called by Twisted: the transport's buffer is empty."""
        self._protocol.records.drained()
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """Called by Twisted: the connection is about to be lost."""
        self._producer.stopProducing()


class TlsProtocol(TLSMemoryBIOProtocol):
    """One connection. To the protocol above it is the transport, and its `records` are the socket."""

    # Twisted's own, without annotations or with narrower ones.
    factory: Any
    transport: Any
    wrappedProtocol: Any
    _tlsConnection: Any
    _appSendBuffer: list[bytes]
    _deadline: Any
    records: Records

    def makeConnection(self, transport: Any) -> None:
        """Called by Twisted: the connection is made, and the handshake may begin."""
        self.bufferSize = 0  # what the protocol above would like to read at once; records decide
        transport.bufferSize = RECEIVE_BYTES
        self._deadline = self.factory._clock.callLater(HANDSHAKE_S, self._too_slow)
        TLSMemoryBIOProtocol.makeConnection(self, transport)

    def connectionMade(self) -> None:
        """Called by Twisted: OpenSSL's side is there, and the protocol above does not know of the connection yet."""
        self.records = Records(OPENSSL, self._tlsConnection, self.transport, self)

    def _checkHandshakeStatus(self) -> None:
        TLSMemoryBIOProtocol._checkHandshakeStatus(self)
        if self._handshakeDone and self._deadline.active():
            self._deadline.cancel()
            self.records.open(self.wrappedProtocol.dataReceived, not self._appSendBuffer)
            certificate = self._tlsConnection.get_peer_certificate()
            if certificate is not None:
                self.wrappedProtocol.certified(certificate.get_subject().CN or "")

    def _too_slow(self) -> None:
        self._complain("no handshake in time")
        TLSMemoryBIOProtocol.abortConnection(self)

    def _complain(self, reason: str) -> None:
        server = self.factory.wrappedFactory.server
        peer = self.transport.getPeer()
        server.dispatcher.limited_log.warn("TLS", f"TLS with {getattr(peer, 'host', peer)} failed: {reason}")

    def getHandle(self) -> Records:
        """What the protocol above takes for its socket."""
        return self.records

    def _flushSendBIO(self) -> None:
        self.records.flush()

    # What it takes from the transport below.

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Called by the protocol above: who is to be told that all has left."""
        self.transport.registerProducer(_Drain(self, producer), False)

    def unregisterProducer(self) -> None:
        """Nobody is to be told."""
        self.transport.unregisterProducer()

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted: bytes have come, and the handshake has not been done."""
        TLSMemoryBIOProtocol.dataReceived(self, data)
        if self._handshakeDone:
            self.__dict__["dataReceived"] = self.records.received

    def _flushReceiveBIO(self) -> None:
        if not self._handshakeDone:
            TLSMemoryBIOProtocol._flushReceiveBIO(self)
            return
        self.records.received(b"")  # with the end of the handshake requests have come, and perhaps the goodbye
        self.records.flush()

    def ended(self) -> None:
        """Called by `Records`: the peer sends no more. It may still read its replies. Nothing behind counts."""
        self.transport.stopReading()
        self.wrappedProtocol.readConnectionLost()

    def failed(self) -> None:
        """Called by `Records`: the connection cannot go on."""
        self._tlsShutdownFinished(Failure(SSL.Error([])))

    def flooded(self) -> None:
        """Called by `Records`: the peer has OpenSSL answer, and does not read."""
        TLSMemoryBIOProtocol.abortConnection(self)

    def _unbufferPendingWrites(self) -> None:
        TLSMemoryBIOProtocol._unbufferPendingWrites(self)
        self.records.is_open = not self._lostTLSConnection and not self._appSendBuffer

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        if reason is not None and not self._handshakeDone:
            self._complain(_reason(reason.value))
        self.records.is_open = False
        self.unregisterProducer()  # with one the transport would wait for more to send, and never close
        TLSMemoryBIOProtocol._tlsShutdownFinished(self, reason)

    def _shutdownTLS(self) -> None:
        TLSMemoryBIOProtocol._shutdownTLS(self)
        self.transport.loseConnection()  # whether or not the peer says goodbye as well

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted: the connection is lost; or by the protocol above, which has no more to say: it ends."""
        if self.transport.connected:
            self.unregisterProducer()
            self.disconnecting = True
            self._shutdownTLS()
            return
        if self._deadline.active():
            self._deadline.cancel()
        self.records.is_open = False
        TLSMemoryBIOProtocol.connectionLost(self, reason)


class TlsFactory(TLSMemoryBIOFactory):
    """Puts TLS between the sockets of a port and a factory of protocols."""

    protocol = TlsProtocol
