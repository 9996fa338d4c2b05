"""The service: everything that lives from start to stop, in the order in which it must start and stop.

Before privileges are dropped: listen. After that, and after any fork: open the store, start the threads, begin to
sweep. To stop: listen no more, let what is under way finish and its replies leave, end the threads, sync and close
the store. Twisted's `MultiService` would stop all of these at once, which is why it is not used.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from random import Random
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import inlineCallbacks
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

import keyp
from keyp.errors import CommandError
from keyp.net import log_level, signals
from keyp.net.clock import keep_steady
from keyp.net.config_file import declared_users, readable_to_all
from keyp.net.endpoints.ports import Ports, StartupError
from keyp.net.endpoints.privileges import Privileges
from keyp.net.loop import ReactorLoop
from keyp.net.options import Options
from keyp.net.server import Server
from keyp.server.config import Settings
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.errors import StoreError

log = Logger(__name__)

# Objects at which garbage is looked for. Requests are no garbage, they die by themselves; but those of a pipeline are
# thousands at once, and each look at them costs as much as a command of theirs.
GARBAGE_AFTER: Final = 20_000

FAREWELL_S: Final = 5.0  # how long clients may take to read their last replies when the server stops


class KeypService(Service):
    """Keyp as a Twisted service, from the options that `twistd keyp` was given."""

    name = "keyp"

    def __init__(self, options: Options, reactor: Any = None) -> None:
        if reactor is None:
            from twisted.internet import reactor  # not sooner: importing it installs it
        keep_steady(reactor)
        self._reactor = reactor
        self._options = options
        self._privileges = Privileges(options)
        self.ports = Ports(options, self._privileges, reactor)
        self._loops: list[LoopingCall] = []
        self.server: Server | None = None

    # Start.

    def privilegedStartService(self) -> None:
        """Called by Twisted as root, if it was root: opens the ports. Clients are answered once the store is."""
        Service.privilegedStartService(self)
        try:
            self._privileges.make_directory(self._options["data-dir"])
        except OSError as error:
            raise StartupError(f"cannot make the data directory: {error.strerror}: {error.filename}") from None
        self.ports.listen()

    def startService(self) -> None:
        """Called by Twisted with the final process and user: opens the store and begins to serve."""
        Service.startService(self)
        signals.follow(self._reactor, self._hung_up)
        if not self.ports.are_open:
            self.ports.listen()
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
        self.server.certificates = self.ports.certificates
        self.server.names_by_certificate = options["tls-auth-clients-user"] == "cn"
        self.ports.factory.server = self.server
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
        self._repeat(1.0, self.ports.refusals.each_second)
        self.ports.accept()
        log.info(
            "Keyp {version} serves {path} on {addresses}, fsync {fsync}",
            version=keyp.__version__,
            path=environment.path,
            addresses=", ".join(self.ports.addresses()),
            fsync=options["fsync"],
        )

    def _settings(self, data_dir: str) -> Settings:
        """The settings as they are now that there are a store and ports: 0 is no port for TCP alone."""
        settings = self._options.settings
        settings.choose({"dir": data_dir, "port": self.ports.plain_port})
        settings.port = self.ports.tcp_port()
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
        if self.server is not None and self.ports.certificates is not None:
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

    # Stop.

    @inlineCallbacks
    def stopService(self) -> Any:
        """Called by Twisted: stops in order. Fires when the store is closed."""
        Service.stopService(self)
        yield self.ports.close()
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


def follow_frequency(loop: LoopingCall, settings: Settings) -> None:
    """Has `loop` go round as often as the setting `hz` says, from the round on that comes next."""

    def follow() -> None:
        loop.interval = 1 / settings.hz

    settings.on_change(follow)
