"""What session commands may see of the server they run in: settings, counters, clients, the table of commands.

Plain attributes, owned by the reactor's thread. Commands read them and may change settings and switches; everything
with consequences outside goes through an effect (`effects.py`).
"""

from __future__ import annotations

from keyp import REDIS_VERSION
from keyp.command.blocked_clients import BlockedClients
from keyp.command.permission import command_index
from keyp.command.registry import Registry
from keyp.scripting.engine import ScriptEngine
from keyp.server import process
from keyp.server.acl.acl_log import AclLog
from keyp.server.acl.users import Users
from keyp.server.clients import ClientTable
from keyp.server.config import Settings
from keyp.server.metrics import Metrics
from keyp.server.pubsub import PubSub
from keyp.storage.lmdb.environment import Environment


class ServerState:
    """One running server. Times are seconds since 1970; those in `_ns` are of the clock that is never set."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        clients: ClientTable,
        registry: Registry,
        environment: Environment,
        run_id: str,
        started_at: float,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.clients = clients
        self.pubsub = PubSub()
        self.registry = registry
        self.users = Users(command_index(registry))
        self.acl_log = AclLog()
        self.environment = environment
        self.blocked_clients = BlockedClients()
        self.under_way = 0  # batches whose replies have not left yet
        self.run_id = run_id  # forty hexadecimal digits, new at each start
        self.started_at = started_at
        self.started_ns = 0  # what `nanoseconds` of the clock gave when the server was made
        self.memory_at_start = process.memory().private  # bytes
        self.last_sync_at = started_at  # when all commits were last known to be on the disk
        self.last_sync_ok = True
        self.sync_running = False
        self.last_checkpoint_ns = 0  # how long the last one took beside the writer
        self.last_save_at = started_at  # when SAVE or BGSAVE last wrote a copy
        self.last_save_ok = True
        self.last_save_seconds = -1  # how long the last one took; -1 before the first
        self.save_running = False
        self.save_started_ns = 0
        self.saved_changes = 0  # how many of the environment's changes the copy contains at least
        self.sweeping = True  # DEBUG SET-ACTIVE-EXPIRE
        self.write_refusal = ""  # the error for every write while the disk has failed
        self.paused_until_ns = 0  # CLIENT PAUSE; 0 where clients are not paused
        self.paused_writes_only = False
        self.scripts = ScriptEngine(REDIS_VERSION)
        self.compiled = False  # whether the hot modules run compiled
        self.reactor = ""  # which of Twisted's reactors runs
