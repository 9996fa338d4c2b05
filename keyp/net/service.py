"""The service: everything that lives from start to stop, in the order in which it must start and stop.

Before privileges are dropped: listen. After that, and after any fork: open the store, start the threads, begin to
sweep. To stop: listen no more, let what is under way finish and its replies leave, end the threads, sync and close
the store. Twisted's `MultiService` would stop all of these at once, which is why it is not used.
"""

from __future__ import annotations

import errno
import gc
import os
import socket
from collections.abc import Callable
from random import Random
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet import endpoints
from twisted.internet.defer import inlineCallbacks
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

import keyp
from keyp.errors import CommandError
from keyp.net import log_level, signals
from keyp.net.accepting import Refusals
from keyp.net.clock import keep_steady
from keyp.net.config_file import declared_users, readable_to_all
from keyp.net.endpoint_types import NO_OPENSSL, NOT_PLAIN, NOTHING_HANDED_OVER, endpoint_refusal, has_plain_connections
from keyp.net.loop import ReactorLoop
from keyp.net.options import Options
from keyp.net.server import RedisFactory, Server
from keyp.server.config import Settings
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.errors import StoreError

log = Logger()

EVERYWHERE: Final = {"*": "0.0.0.0", "::*": "::"}  # what `bind` calls all addresses
# Objects at which garbage is looked for. Requests are no garbage, they die by themselves; but those of a pipeline are
# thousands at once, and each look at them costs as much as a command of theirs.
GARBAGE_AFTER: Final = 20_000

FAREWELL_S: Final = 5.0  # how long clients may take to read their last replies when the server stops


class StartupError(Exception, SystemExit):
    """The server cannot start; the text says why.

    As an exception it makes twistd tidy up and, when daemonizing, tell the parent process; as a SystemExit it ends
    the process with status 1 and the bare text on standard error, without a traceback.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = f"keyp: {text}"


class KeypService(Service):
    """Keyp as a Twisted service, from the options that `twistd keyp` was given."""

    name = "keyp"

    def __init__(self, options: Options, reactor: Any = None) -> None:
        if reactor is None:
            from twisted.internet import reactor  # not sooner: importing it installs it
        keep_steady(reactor)
        self._reactor = reactor
        self._options = options
        self._plain_port = 0  # for TCP as `port` says it; 0 where there is none
        self._ports: list[Any] = []  # IListeningPort, of which the type checker has the wrong idea
        self._loops: list[LoopingCall] = []
        self._refusals = Refusals()
        self._certificates: Any = None  # of `keyp.net.tls`, where there is a port for TLS
        self.server: Server | None = None

    # Start.

    def privilegedStartService(self) -> None:
        """Called by Twisted as root, if it was root: opens the ports. Clients are answered once the store is."""
        Service.privilegedStartService(self)
        self._listen()

    def startService(self) -> None:
        """Called by Twisted with the final process and user: opens the store and begins to serve."""
        Service.startService(self)
        signals.follow(self._reactor, self._hung_up)
        if not self._ports:
            self._listen()
        options = self._options
        self._loop = ReactorLoop(self._reactor)
        environment = self._open_store()
        settings = self._settings(environment.path)
        try:
            _fit_clients(settings)
        except StartupError:
            environment.close()
            raise
        log_level.follow(settings)
        self._reactor.callWhenRunning(log_level.follow, settings)  # twist begins its log late
        self.server = Server(self._loop, environment, settings, Random(), self._reactor.stop)
        try:
            self._say_who_may_what(self.server)
        except StartupError:
            environment.close()
            raise
        self._loop.start()
        self.server.certificates = self._certificates
        self.server.names_by_certificate = options["tls-auth-clients-user"] == "cn"
        self._factory.server = self.server
        self._warn_of_configuration()
        for notice in environment.notices:
            log.warn("{notice}", notice=notice)
        if environment.replayed:
            log.info(
                "replayed {count} records of the journal in {seconds:.2f} s",
                count=environment.replayed,
                seconds=environment.replay_ns / 1e9,
            )
        gc.set_threshold(GARBAGE_AFTER, 20, 20)
        gc.freeze()  # what is there now stays: a look for garbage need not stop everybody to go through it again
        follow_frequency(self._repeat(1 / settings.hz, self.server.dispatcher.sweep_if_due), settings)
        self._repeat(1.0, self.server.each_second)
        self._repeat(1.0, self._refusals.each_second)
        for port in self._ports:
            port.startReading()
        log.info(
            "Keyp {version} serves {path} on {addresses}, fsync {fsync}",
            version=keyp.__version__,
            path=environment.path,
            addresses=", ".join(map(_address_text, self._ports)),
            fsync=options["fsync"],
        )

    def _settings(self, data_dir: str) -> Settings:
        """The settings as they are now that there are a store and ports: 0 is no port for TCP alone."""
        settings = self._options.settings
        settings.choose({"dir": data_dir, "port": self._plain_port})
        settings.port = self.tcp_port()
        return settings

    def _say_who_may_what(self, server: Server) -> None:
        """Takes the users from their file, and gives commands their other names."""
        try:
            configuration = self._options.configuration
            users = server.state.users
            declared = {}
            if configuration is not None:
                declared = declared_users(configuration, users.index, server.state.settings.acl_all_channels)
            server.dispatcher.performer.users_file.start(declared)
            for old, new in self._options["rename-command"]:
                server.state.registry.rename(old, new)
        except (CommandError, ValueError) as error:
            raise StartupError(str(error).removeprefix("ERR ")) from None

    def _warn_of_configuration(self) -> None:
        """Logs what the administrator may not expect of the configuration file."""
        configuration, settings = self._options.configuration, self._options.settings
        if configuration is None:
            return
        for path in readable_to_all(configuration):
            log.warn("{path} has secrets and everybody on this machine can read it: chmod o-r", path=path)
        if settings.without_effect:
            names = ", ".join(dict.fromkeys(settings.without_effect))
            log.info("{path}: of no effect in Keyp: {names}", path=configuration.path, names=names)
        if settings.get("aclfile") and settings.get("requirepass"):
            log.warn("requirepass is of no effect: the ACL file has the passwords")

    def _hung_up(self) -> None:
        """A SIGHUP has come: certificates are read again, which may have been renewed."""
        if self.server is not None and self._certificates is not None:
            self.server.reload_certificates().addCallbacks(
                lambda ignored: log.info("SIGHUP: the certificate was read again"), lambda failure: None
            )

    def _open_store(self) -> Environment:
        options = self._options
        try:
            return Environment(
                options["data-dir"],
                options["databases"],
                options["fsync"],
                options["max-size"],
                note_crashes=True,
                journal_bytes=options["journal-size"],
                nanoseconds=self._loop.nanoseconds,
                writes_back=True,
            )
        except StoreError as error:
            raise StartupError(str(error)) from None

    def _repeat(self, seconds: float, function: Callable[[], None]) -> LoopingCall:
        def once() -> None:
            try:
                function()
            except Exception:  # an exception would end the loop for good
                log.failure("a repeated task failed; it goes on")

        loop = LoopingCall(once)
        loop.clock = self._reactor
        loop.start(seconds, now=False)
        self._loops.append(loop)
        return loop

    # Ports.

    def _listen(self) -> None:
        self._factory = RedisFactory()
        options = self._options
        try:
            if options["wants-tcp"]:
                self._plain_port = self._listen_on_hosts(options["port"], self._factory)
            if options["tls-port"]:
                self._listen_tls(options["tls-port"])
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
        for host in self._options["host"].split():
            number = self._listen_tcp(host, number, factory)
        return number if self._options["host"].split() else 0

    def _listen_tls(self, number: int) -> None:
        """Listens for TLS, with the certificate that the options name."""
        try:
            from keyp.net.tls import Certificates, TlsError, TlsFactory
        except ImportError:
            raise StartupError(NO_OPENSSL) from None
        self._certificates = Certificates()
        try:
            self._certificates.load(self._options.settings.get)
        except TlsError as error:
            raise StartupError(f"cannot listen for TLS: {error}") from None
        factory: Any = self._factory
        self._listen_on_hosts(number, TlsFactory(self._certificates, False, factory, self._reactor))

    def _listen_unix(self, path: str) -> None:
        """Listens on a Unix socket. Without `unixsocketperm` its mode is what the umask leaves, as in Redis."""
        mode = self._options.settings.value("unixsocketperm") or None
        try:
            port = self._reactor.listenUNIX(path, self._factory, self._backlog(), mode, True)
        except CannotListenError as error:
            raise StartupError(f"cannot listen on {path}: {_reason(error)}") from None
        self._hold(port)

    def _backlog(self) -> Any:
        return self._options.settings.value("tcp-backlog")

    def _listen_tcp(self, host: str, number: int, factory: Any) -> int:
        """Listens on every address that `host` stands for; an IPv6 one that the machine lacks is left out.

        As in Redis `*` is all of IPv4 and `::*` all of IPv6, and with a `-` in front the machine may lack it. The port.
        """
        may_lack, host = host.startswith("-"), EVERYWHERE.get(host.removeprefix("-"), host.removeprefix("-"))
        try:
            found = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise StartupError(f"cannot listen on {host}: {error.strerror}") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if host == "localhost":
            addresses = ["127.0.0.1", "::1"]
        for index, address in enumerate(addresses):
            try:
                port = self._reactor.listenTCP(number, factory, self._backlog(), address)
            except CannotListenError as error:
                can_lack = may_lack or (index > 0 and ":" in address)
                if can_lack and getattr(error.socketError, "errno", 0) != errno.EADDRINUSE:
                    continue
                raise StartupError(f"cannot listen on {address} port {number}: {_reason(error)}") from None
            self._hold(port)
            number = port.getHost().port  # port 0 means any, but the same one on all addresses
        return number

    def _listen_endpoint(self, description: str) -> None:
        refusal = endpoint_refusal(description)
        if refusal:
            raise StartupError(f"cannot listen on {description!r}: {refusal}")
        outcome: list[Any] = []
        try:
            listening = endpoints.serverFromString(self._reactor, description).listen(self._factory)
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
        if not has_plain_connections(result, self._factory):
            raise StartupError(f"cannot listen on {description!r}: {NOT_PLAIN}")

    def _hold(self, port: Any) -> None:
        """Keeps a port, and the kernel's queue of its connections, until there is a store to serve them from."""
        port.stopReading()
        self._refusals.watch(port)
        self._ports.append(port)

    def tcp_port(self) -> int:
        """The TCP port that is listened on, 0 where there is none."""
        return next((host.port for host in map(_host, self._ports) if hasattr(host, "port")), 0)

    # Stop.

    @inlineCallbacks
    def stopService(self) -> Any:
        """Called by Twisted: stops in order. Fires when the store is closed."""
        Service.stopService(self)
        for port in self._ports:
            yield port.stopListening()
        server = self.server
        if server is None:
            return
        yield server.saver.stop()
        for loop in self._loops:
            loop.stop()
        everybody_gone = server.finish_clients()
        yield server.dispatcher.when_idle()
        impatient = self._reactor.callLater(FAREWELL_S, server.abort_clients)
        yield everybody_gone
        if impatient.active():
            impatient.cancel()
        yield server.dispatcher.when_idle()
        server.recovery.stop()
        yield server.when_unused()
        self._loop.stop()
        self.server = None
        if server.close_store():
            log.info("Keyp has stopped, everything is on the disk")
        else:
            self._options["lost"] = True


def make_service(options: Options) -> KeypService:
    """The service for options that have been parsed; nothing is opened yet."""
    return KeypService(options)


makeService = make_service


def _host(port: Any) -> Any:
    return port.getHost()


def _address_text(port: Any) -> str:
    host = port.getHost()
    if hasattr(host, "port"):
        return f"{host.host}:{host.port}"
    name = getattr(host, "name", host)
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def _fit_clients(settings: Settings) -> None:
    """Sees that there are descriptors for as many clients as may connect. Raises `StartupError` where there are none.

    Redis calls this `adjustOpenFilesLimit`.
    """
    wanted = settings.maxclients
    possible = settings.fit_clients()
    if possible < 1:
        raise StartupError("too few files may be open for even one client (ulimit -n)")
    if possible < wanted:
        log.warn(
            "maxclients is {possible}, not {wanted}: no more descriptors are allowed (ulimit -n)",
            possible=possible,
            wanted=wanted,
        )


def _reason(error: Any) -> str:
    cause = getattr(error, "socketError", error)
    return str(getattr(cause, "strerror", None) or cause)


def follow_frequency(loop: LoopingCall, settings: Settings) -> None:
    """Has `loop` go round as often as the setting `hz` says, from the round on that comes next."""

    def follow() -> None:
        loop.interval = 1 / settings.hz

    settings.on_change(follow)
