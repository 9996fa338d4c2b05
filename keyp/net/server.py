"""A running server: the dispatcher, the connections it serves, and what effects do to them.

Made when the store is open, gone when it closes (`service.py` does both). Everything here runs on the reactor's thread.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Mapping
from random import Random, SystemRandom
from typing import Any, Final

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from keyp import errors
from keyp.command.context import CommandEnvironment
from keyp.command.registry import Registry
from keyp.command.server_state import ServerState
from keyp.commands.all import TABLES
from keyp.errors import CommandError
from keyp.execution import executor
from keyp.execution.dispatcher import Dispatcher
from keyp.execution.loop import Loop, Timer
from keyp.execution.recovery import Recovery
from keyp.execution.saving import Saver
from keyp.net.connection import Connection
from keyp.net.memory import SpareMemory
from keyp.net.outbox import Outbox
from keyp.net.protocol import RedisProtocol
from keyp.server.client_memory import ClientMemory
from keyp.server.clients import Client, ClientTable
from keyp.server.config import Settings
from keyp.server.metrics import Metrics
from keyp.storage.lmdb.environment import EVERYSEC, Environment
from keyp.storage.lmdb.errors import StoreError

log = Logger(__name__)

KEEP_ALIVE_MAX_S: Final = 32767  # Linux takes no more
# A checkpoint comes at the latest so long after the last one, if there is anything for it: in the mode `no`, what a
# power cut may lose is no older. With load they come by volume.
CHECKPOINT_NS: Final = 10 * 1_000_000_000

PROTECTED: Final = (
    "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the "
    "default user. In this mode connections are only accepted from the loopback interface. If you want to connect from "
    "external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending "
    "the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host "
    "the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG "
    "REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the "
    "Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If "
    "you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an "
    "authentication password for the default user. NOTE: You only need to do one of the above things in order for the "
    "server to start accepting connections from the outside."
)

READERS_LOOKED_AT_S: Final = 60  # seconds between looks for readers of other processes that have died


class RedisFactory(ServerFactory):
    """Makes a `RedisProtocol` for each connection to `server`, which is there before the first of them."""

    noisy = False
    server: Server

    def buildProtocol(self, address: IAddress | None) -> RedisProtocol:
        """Called by Twisted: a client has connected."""
        return RedisProtocol(self.server)


class Server:
    """The dispatcher on one environment, and the clients it serves.

    `stop` is called when a client asks for SHUTDOWN.
    """

    def __init__(
        self, loop: Loop, environment: Environment, settings: Settings, random: Random, stop: Callable[[], None]
    ) -> None:
        self.loop = loop
        self.stop = stop
        self.state = ServerState(
            settings, Metrics(), ClientTable(), Registry(TABLES), environment, secrets.token_hex(20), self.now()
        )
        self.state.started_ns = loop.nanoseconds()
        self.state.reactor = loop.name
        self.state.compiled = not str(executor.__file__).endswith(".py")
        self.state.metrics.follow(settings)
        self.client_memory = ClientMemory(self.state.clients, settings, self._clients_exceed_limit, self._evict)
        settings.on_change(self._settings_changed)
        self.outbox = Outbox(loop)
        self.hold_replies: Callable[[], None] = self.outbox.hold
        self.send_replies: Callable[[], None] = self.outbox.flush
        self._connections: dict[int, Connection] = {}
        now_s = loop.time_ns() // 1_000_000_000
        shared = CommandEnvironment(random, environment.databases, settings.proto_max_bulk_len, now_s)
        shared.secret = SystemRandom()
        self.dispatcher = Dispatcher(self.state, shared, loop, self)
        self.saver = Saver(self.state, self.dispatcher, loop)
        self.recovery = Recovery(self.dispatcher, self.state, loop, self.saver.interrupt)
        self.certificates: Any = None  # of TLS, where there is a port for it (`tls.py`)
        self.names_by_certificate = False  # whether the certificate of a client names its user
        self._all_gone: Deferred[None] | None = None
        self._spare_memory = SpareMemory(loop.run_on_reader)
        self._seconds = 0
        self._filling = False  # it is asked for
        self._delays: dict[Deferred[None], Timer] = {}  # those under way
        self._stopping = False
        self._modes_awaited = 0  # how many clients wait for the store to be synced in another way, …
        self._last_mode = environment.fsync  # … and how it was synced before
        self._checkpoint_ns = loop.nanoseconds()  # when the last checkpoint began
        self._checkpointing = False

    def _settings_changed(self) -> None:
        for connection in list(self._connections.values()):
            connection.follow_settings()
        if self.client_memory.follow_settings():
            self.loop.call_from_thread(self.client_memory.weigh_all)

    def _clients_exceed_limit(self) -> None:
        self.loop.call_soon(self._evict_clients)

    def _evict_clients(self) -> None:
        if not self.client_memory.evict():
            self.dispatcher.limited_log.warn("clients", "Over client maxmemory after evicting all evictable clients")

    def _evict(self, client: Client, size: int) -> None:
        """Disconnects a client, for which so many bytes are counted, because all clients together take too many."""
        connection = self._connections.get(client.id)
        if connection is None:
            return
        name = client.state.name.decode("latin-1")
        text = f"Evicting client: id={client.id} addr={client.address} name={name} tot-mem={size}"
        self.dispatcher.limited_log.warn("evicted", text)
        self.state.metrics.evicted_clients += 1
        if client.output_buffered:
            connection.abort()  # what it does not read would stay
        else:
            connection.kill()

    def now(self) -> float:
        """Seconds since 1970."""
        return self.loop.time_ns() / 1e9

    def describe(self, transport: Any) -> Client:
        """The client at the other end of a new connection."""
        client = _describe(transport, self.state.clients.next_id(), self.loop.nanoseconds())
        client.state.authenticated = self.state.users.default.is_open
        return client

    def client_came(self, connection: Connection) -> None:
        """A connection stands: its client joins the others, or is refused because there are too many."""
        state, client = self.state, connection.client
        if not client.is_unix:
            connection.transport.setTcpNoDelay(True)
            _keep_alive(connection.transport, state.settings.tcp_keepalive)
        state.metrics.connections_received += 1
        state.clients.add(client)
        if self.client_memory.limit:
            self.client_memory.notice(client)
        self._connections[client.id] = connection
        if len(state.clients) > state.settings.maxclients:
            self.loop.drop_closed()
        if len(state.clients) > state.settings.maxclients:
            state.metrics.connections_rejected += 1
            connection.refuse("ERR max number of clients reached")
        elif state.settings.protected_mode and not client.is_local and state.users.default.nopass:
            connection.refuse(PROTECTED)

    def client_certified(self, connection: Connection, name: str) -> None:
        """The client has a certificate with this common name: that of its user, if the options say so."""
        user = self.state.users.get(name.encode("utf-8", "surrogateescape")) if self.names_by_certificate else None
        if user is not None and user.enabled:
            connection.log_in(user.name)

    def client_left(self, connection: Connection) -> None:
        """A connection is gone."""
        self.state.clients.remove(connection.client)
        self.client_memory.forget(connection.client)
        self.state.pubsub.forget(connection.client)
        self._connections.pop(connection.client.id, None)
        if not self._connections and self._all_gone is not None:
            self._all_gone.callback(None)
            self._all_gone = None

    def close_idle_clients(self) -> None:
        """Disconnects the clients that have been silent for longer than the setting `timeout` allows.

        Who reads what waits for it is not silent. Subscribers may be so for ever.
        """
        timeout = self.state.settings.timeout
        if timeout == 0:
            return
        seen_last_ns = self.loop.nanoseconds() - timeout * 1_000_000_000
        for connection in list(self._connections.values()):
            client = connection.client
            if client.waiting or client.state.is_subscriber:
                continue  # it is the server that is silent
            if client.last_seen_ns < seen_last_ns:
                if client.output_buffered:
                    connection.abort()  # it does not read either
                else:
                    connection.finish()

    def close_slow_clients(self) -> None:
        """Disconnects the clients for which more has been waiting than `client-output-buffer-limit` allows.

        And the largest, if all together take more memory than `maxmemory-clients` allows.
        """
        now_s = self.loop.nanoseconds() // 1_000_000_000
        for connection in list(self._connections.values()):
            if connection.client.output_buffered or connection.output_limits.over_since:
                connection.check_output(now_s)
        if self.client_memory.limit:
            self.client_memory.weigh_all()

    def finish_clients(self) -> Deferred[None]:
        """Takes no more requests, answers what is under way and disconnects everybody; fires when all are gone.

        Replies that were to come later come now.
        """
        everybody_gone: Deferred[None] = Deferred()
        self._all_gone = everybody_gone
        for connection in list(self._connections.values()):
            connection.finish()
        self._end_delays()
        if not self._connections:
            self._all_gone = None
            everybody_gone.callback(None)
        return everybody_gone

    def abort_clients(self) -> None:
        """Disconnects at once those that `finish_clients` has not got rid of: they do not read their replies."""
        for connection in list(self._connections.values()):
            connection.abort()

    # What effects do (`keyp.execution.performer.Host`).

    @property
    def listeners(self) -> Mapping[int, Connection]:
        """What brings messages to clients, by their ids."""
        return self._connections

    def close_client(self, client_id: int) -> None:
        """Disconnects a client, if it is still there."""
        connection = self._connections.get(client_id)
        if connection is not None:
            connection.kill()

    def unblock_client(self, client_id: int, error: str) -> None:
        """Ends a client's waiting for keys, with an error or as if its time had come."""
        connection = self._connections.get(client_id)
        if connection is not None:
            connection.end_wait(error)

    def save(self) -> Deferred[None]:
        """Writes a copy of the store. Fires when it is on the disk; fails with `CommandError`."""
        return self.saver.save()

    def delay(self, seconds: float) -> Deferred[None] | None:
        """Fires in so many seconds, or when the server stops; None where it stops already."""
        if self._stopping:
            return None
        delay: Deferred[None] = Deferred()
        self._delays[delay] = self.loop.call_later(seconds, self._delay_over, delay)
        return delay

    def _delay_over(self, delay: Deferred[None]) -> None:
        timer = self._delays.pop(delay)
        if timer.active():
            timer.cancel()
        delay.callback(None)

    def _end_delays(self) -> None:
        self._stopping = True
        self.state.scripts.ends_overdue = True
        for delay in list(self._delays):
            self._delay_over(delay)

    def pause_clients(self, milliseconds: int, writes_only: bool) -> None:
        """For so long batches wait: all, or those that write."""
        state = self.state
        state.paused_writes_only = writes_only and (state.paused_until_ns == 0 or state.paused_writes_only)
        state.paused_until_ns = max(state.paused_until_ns, self.loop.nanoseconds() + milliseconds * 1_000_000)
        self._await_end_of_pause()

    def _await_end_of_pause(self) -> None:
        left_ns = self.state.paused_until_ns - self.loop.nanoseconds()
        if left_ns > 0:
            self.loop.call_later(left_ns / 1e9, self._await_end_of_pause)
        else:
            self.dispatcher.resume()

    def resume_clients(self) -> None:
        """Ends a pause."""
        self.dispatcher.resume()

    # For the dispatcher (`keyp.execution.dispatcher.Host`).

    def disk_failed(self) -> None:
        """Something on the disk has failed."""
        self.recovery.disk_failed()

    # The store as a whole.

    def each_second(self) -> None:
        """What has to be looked after once a second."""
        state = self.state
        state.metrics.tick(self.loop.nanoseconds() / 1e9)
        self.close_idle_clients()
        self.close_slow_clients()
        self._spare_memory.look()
        if self.recovery.file_is_gone():
            return
        if state.write_refusal:
            self.recovery.try_again()
            return
        self._seconds += 1
        if self._seconds % READERS_LOOKED_AT_S == 0:
            self._forget_dead_readers()
        if state.environment.reserve.may_be_filled() and not self._filling:
            self._filling = True
            self.dispatcher.exclusively(state.environment.reserve.fill).addBoth(self._reserve_filled)
        if self.loop.nanoseconds() - self._checkpoint_ns > CHECKPOINT_NS and state.environment.journal.dirty_bytes:
            self.take_checkpoint()
        if state.environment.fsync == EVERYSEC:
            if state.sync_running:
                state.metrics.delayed_syncs += 1
            else:
                self.sync().addErrback(lambda failure: None)  # `_synced` has seen to it

    def take_checkpoint(self) -> None:
        """Takes a checkpoint on a reader's thread: the writer goes on meanwhile."""
        if self._checkpointing or self.state.write_refusal:
            return
        self._checkpointing = True
        self._checkpoint_ns = self.loop.nanoseconds()
        taking = self.dispatcher.in_background(self.state.environment.journal.checkpoint)
        taking.addBoth(self._checkpoint_taken, self.now())

    def _checkpoint_taken(self, result: Failure | None, started_at: float) -> None:
        self._checkpointing = False
        if result is not None:
            log.error("a checkpoint failed: {reason}", reason=result.getErrorMessage())
            self.recovery.sync_failed()
            return
        self.state.last_checkpoint_ns = self.loop.nanoseconds() - self._checkpoint_ns
        if not self.state.write_refusal:
            self.state.last_sync_at = started_at

    def _reserve_filled(self, result: Failure | None) -> None:
        self._filling = False
        if result is not None:
            self.dispatcher.limited_log.error("the reserve could not be filled", result.getErrorMessage())

    def _forget_dead_readers(self) -> None:
        found = self.state.environment.forget_dead_readers()
        if found:
            log.info("gave free what {count} dead readers of the store held", count=found)

    def sync(self) -> Deferred[None]:
        """Brings all commits to the disk, on a reader's thread: the writer goes on meanwhile.

        While the disk is not to be trusted it fails at once: a sync after one that failed proves nothing.
        """
        if self.state.write_refusal:
            return fail(CommandError(self.state.write_refusal))
        self.state.sync_running = True
        return self.dispatcher.in_background(self.state.environment.sync).addBoth(self._synced, self.now())

    def _synced(self, result: Failure | None, started_at: float) -> Failure | None:
        state = self.state
        state.sync_running = False
        if isinstance(result, Failure):
            log.error("the store could not be synced: {reason}", reason=result.getErrorMessage())
            self.recovery.sync_failed()
            return Failure(CommandError(errors.DISK_FAILED))
        if not state.write_refusal:
            state.last_sync_ok = True
            state.last_sync_at = started_at
        return None

    def reload_certificates(self) -> Deferred[None]:
        """New connections get what the settings of TLS name now. Fails with `CommandError` where that is of no use."""
        if self.certificates is None:
            return succeed(None)
        try:
            self.certificates.load(self.state.settings.get)
        except Exception as error:
            log.error("TLS stays as it was: {reason}", reason=str(error))
            return fail(CommandError("ERR Unable to update TLS configuration. Check server logs."))
        return succeed(None)

    def follow_fsync(self) -> Deferred[None] | None:
        """Syncs from now on as the setting says. Fires when what was committed before is on the disk as well.

        Of several changes that meet, the last one counts; where the sync fails, the mode is what it was.
        """
        environment, wanted = self.state.environment, self.state.settings.appendfsync
        if not self._modes_awaited:
            if wanted == environment.fsync:
                return None
            self._last_mode = environment.fsync
        self._modes_awaited += 1
        environment.fsync = wanted
        return self.sync().addBoth(self._mode_taken_up)

    def _mode_taken_up(self, result: Failure | None) -> Failure | None:
        self._modes_awaited -= 1
        if result is not None and not self._modes_awaited:
            self.state.environment.fsync = self._last_mode
            self.state.settings.set_many([(b"appendfsync", self._last_mode.encode())])
        return result

    def when_unused(self) -> Deferred[None]:
        """Fires when the store is not used any more, and the result of its last use is known."""
        return self.dispatcher.exclusively(lambda: None).addBoth(self._next_iteration)

    def _next_iteration(self, result: object) -> Deferred[None]:
        next_iteration: Deferred[None] = Deferred()
        self.loop.call_later(0, next_iteration.callback, None)
        return next_iteration

    def close_store(self) -> bool:
        """Syncs and closes the store; whether everything is known to be on the disk."""
        environment = self.state.environment
        try:
            try:
                self.recovery.last_try()
            finally:
                environment.close()
        except StoreError as error:
            log.error("what was written last may not be on the disk: {reason}", reason=str(error))
            return False
        return True


def _describe(transport: Any, client_id: int, now_ns: int) -> Client:
    peer, host = transport.getPeer(), transport.getHost()
    is_unix = isinstance(host, UNIXAddress)
    if is_unix:
        path = (host.name or b"").decode(errors="replace")
        local_address = f"{path}:0"
    else:
        local_address = _host_and_port(host)
    address = _host_and_port(peer) if hasattr(peer, "port") else local_address
    client = Client(client_id, address, local_address, transport.getHandle().fileno(), now_ns)
    client.is_unix = is_unix
    client.is_proxied = getattr(transport, "is_proxied", False)
    return client


def _host_and_port(address: Any) -> str:
    """A socket for both families has IPv4 addresses written as IPv6 ones."""
    host = address.host.removeprefix("::ffff:") if "." in address.host else address.host
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"


def _keep_alive(transport: Any, seconds: int) -> None:
    """Has TCP look, after so many seconds of silence and three times, whether the peer is there; 0 is never."""
    transport.setTcpKeepAlive(seconds > 0)
    if seconds > 0 and hasattr(socket, "TCP_KEEPIDLE"):
        set_option = transport.getHandle().setsockopt
        for option, value in ((socket.TCP_KEEPIDLE, seconds), (socket.TCP_KEEPINTVL, max(seconds // 3, 1))):
            set_option(socket.IPPROTO_TCP, option, min(value, KEEP_ALIVE_MAX_S))
        set_option(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
