"""The ports of a server: opened before there is a store to serve from, and by root where it is root that starts it."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Final

from twisted.internet.defer import inlineCallbacks, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python.failure import Failure

from keyp.net.endpoints.accepting import Refusals
from keyp.net.endpoints.endpoint_types import (
    NO_OPENSSL,
    NOT_PLAIN,
    NOTHING_HANDED_OVER,
    EndpointType,
    has_plain_connections,
    listen,
)
from keyp.net.endpoints.internet_port import listen_tcp
from keyp.net.endpoints.privileges import Privileges
from keyp.net.endpoints.proxied import ProxiedFactory
from keyp.net.options import Options
from keyp.net.server import RedisFactory

log = Logger(__name__)

EVERYWHERE: Final = {"*": "0.0.0.0", "::*": "::"}  # what `bind` calls all addresses


class StartupError(Exception, SystemExit):
    """The server cannot start; the text says why.

    As an exception it makes twistd tidy up and, when daemonizing, tell the parent process; as a SystemExit it ends
    the process with status 1 and the bare text on standard error, without a traceback.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = f"keyp: {text}"


class Ports:
    """What a server listens on, as its options say. The connections wait in the kernel until it accepts them.

    `plain_port` is the port for TCP that the option `port` stands for, 0 where there is none; `certificates` are those
    of `keyp.net.tls`, where there is a port for TLS.
    """

    def __init__(self, options: Options, privileges: Privileges, reactor: Any) -> None:
        self._options = options
        self._reactor = reactor
        self._privileges = privileges
        self._ports: list[Any] = []  # IListeningPort, of which the type checker has the wrong idea
        self.factory = RedisFactory()
        self.refusals = Refusals()
        self.certificates: Any = None
        self.plain_port = 0

    @property
    def are_open(self) -> bool:
        """Whether there are any."""
        return bool(self._ports)

    def listen(self) -> None:
        """Opens all ports, or none. Raises `StartupError`."""
        options = self._options
        try:
            if options["wants-tcp"]:
                self.plain_port = self._listen_on_hosts(options["port"], self.factory)
            if options["tls-port"]:
                self._listen_on_hosts(options["tls-port"], self._with_tls())
            if options.settings.unix_socket:
                self._listen_unix(options.settings.unix_socket)
            for description in options["endpoint"]:
                self._listen_endpoint(description)
        except BaseException:
            for port in self._ports:
                port.stopListening()
            raise

    def _listen_on_hosts(self, number: int, factory: Any) -> int:
        """Listens on all that the setting `bind` names, on the same port. That port, 0 where it names nothing."""
        hosts = self._options["host"].split()
        for host in hosts:
            number = self._listen_tcp(host, number, factory)
        return number if hosts else 0

    def _with_tls(self) -> Any:
        """What makes connections with TLS, all with the certificate that the options name."""
        try:
            from keyp.net.tls import Certificates, TlsError, TlsFactory
        except ImportError:
            raise StartupError(NO_OPENSSL) from None
        if self.certificates is None:
            self.certificates = Certificates()
            try:
                self.certificates.load(self._options.settings.get)
            except TlsError as error:
                raise StartupError(f"cannot listen for TLS: {error}") from None
        factory: Any = self.factory
        return TlsFactory(self.certificates, False, factory, self._reactor)

    def _listen_unix(self, path: str) -> None:
        """Listens on a Unix socket. Without `unixsocketperm` its mode is what the umask leaves, as in Redis."""
        mode = self._options.settings.value("unixsocketperm") or None
        try:
            port = self._reactor.listenUNIX(path, self.factory, self._backlog(), mode, True)
        except CannotListenError as error:
            raise StartupError(f"cannot listen on {path}: {_reason(error)}") from None
        self._hold(port)

    def _backlog(self) -> Any:
        return self._options.settings.value("tcp-backlog")

    def _listen_tcp(self, host: str, number: int, factory: Any) -> int:
        """Listens on every address that `host` stands for; an IPv6 one that the machine lacks is left out.

        As in Redis `*` is all of IPv4 and `::*` all of IPv6, and with a `-` in front the machine may lack it. The port.
        """
        may_lack = host.startswith("-")
        host = host.removeprefix("-")
        host = EVERYWHERE.get(host, host)
        try:
            found = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise StartupError(f"cannot listen on {host}: {error.strerror}") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if host == "localhost":
            addresses = ["127.0.0.1", "::1"]
        for index, address in enumerate(addresses):
            try:
                port = listen_tcp(self._reactor, number, factory, self._backlog(), address)
            except CannotListenError as error:
                can_lack = may_lack or (index > 0 and ":" in address)
                if can_lack and getattr(error.socketError, "errno", 0) != errno.EADDRINUSE:
                    continue
                raise StartupError(f"cannot listen on {address} port {number}: {_reason(error)}") from None
            self._hold(port)
            number = port.getHost().port  # port 0 means any, but the same one on all addresses
        return number

    def _listen_endpoint(self, description: str) -> None:
        endpoint = EndpointType(description)
        if endpoint.refusal:
            raise StartupError(f"cannot listen on {description!r}: {endpoint.refusal}")
        factory: Any = self._with_tls() if endpoint.is_tls else self.factory
        if endpoint.is_proxied:
            factory = ProxiedFactory(factory, lambda: self.factory.server, self._reactor)
        outcome: list[Any] = []
        try:
            listening = listen(self._reactor, endpoint.rest, factory)
        except LookupError:  # what systemd's sockets are looked up by
            raise StartupError(f"cannot listen on {description!r}: {NOTHING_HANDED_OVER}") from None
        except Exception as error:
            raise StartupError(f"cannot make sense of the endpoint {description!r}: {error}") from None
        listening.addBoth(outcome.append)
        result = outcome[0] if outcome else None
        if result is None or isinstance(result, Failure):
            reason = result.value if result is not None else "it does not listen at once"
            raise StartupError(f"cannot listen on {description!r}: {_reason(reason)}")
        self._hold(result)
        if not has_plain_connections(result, factory):
            raise StartupError(f"cannot listen on {description!r}: {NOT_PLAIN}")

    def _hold(self, port: Any) -> None:
        """Keeps a port, and the kernel's queue of its connections, until there is a store to serve them from."""
        port.stopReading()
        self.refusals.watch(port)
        self._privileges.give(port)
        self._ports.append(port)

    def accept(self) -> None:
        """There is a store: connections are taken from now on."""
        for port in self._ports:
            port.startReading()

    @inlineCallbacks
    def close(self) -> Any:
        """Listens no more. Fires when no port is open."""
        for port in self._ports:
            yield maybeDeferred(port.stopListening).addErrback(_say_what_stays, port)

    def addresses(self) -> list[str]:
        """Where it listens, for the log."""
        return [_address_text(port) for port in self._ports]

    def tcp_port(self) -> int:
        """The TCP port that is listened on, 0 where there is none."""
        return next((host.port for host in map(_host, self._ports) if hasattr(host, "port")), 0)


def _host(port: Any) -> Any:
    return port.getHost()


def _address_text(port: Any) -> str:
    host = port.getHost()
    if hasattr(host, "port"):
        return f"{host.host}:{host.port}"
    name = getattr(host, "name", None)
    return str(host) if name is None else os.fsdecode(name)


def _say_what_stays(failure: Failure, port: Any) -> None:
    """A Unix socket may be gone already, or be in a directory that only root can write to."""
    log.warn("{address} stays: {reason}", address=_address_text(port), reason=failure.getErrorMessage())


def _reason(error: Any) -> str:
    cause = getattr(error, "socketError", error)
    return str(getattr(cause, "strerror", None) or cause)
