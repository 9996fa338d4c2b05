"""INFO: Redis's sections and form, figures that are true."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from keyp.command.context import SECOND_NS, CommandEnvironment, SessionContext, WriteContext
from keyp.command.registry import Registry
from keyp.command.server_state import ServerState
from keyp.commands.info import human, info
from keyp.resp.values import Verbatim
from keyp.server import process
from keyp.server.clients import Client, ClientTable
from keyp.server.config import Settings
from keyp.server.metrics import Metrics
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.transaction import WriteTransaction
from keyp.storage.types import strings

NOW_US = 1_700_000_000_123_456
DEFAULT = [
    "Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Modules", "Errorstats", "Cluster",
    "Keyp", "Keyspace",
]  # fmt: skip


@pytest.fixture
def context(tmp_path: Path) -> Iterator[SessionContext]:
    environment = Environment(str(tmp_path), fsync=NO)
    clients = ClientTable()
    client = Client(clients.next_id(), "127.0.0.1:5", "127.0.0.1:6379", 7, 0)
    clients.add(client)
    server = ServerState(Settings(), Metrics(), clients, Registry([]), environment, "a" * 40, NOW_US / 1e6 - 7)
    transaction = WriteTransaction(environment, NOW_US // 1000)
    data = WriteContext(transaction, CommandEnvironment(Random(1), 16, 1 << 29), NOW_US)
    context = SessionContext(client, client.state, server, data)
    context.now_ns = server.started_ns + (2 * 86_400 + 5) * SECOND_NS
    yield context
    transaction.abort()
    environment.close()


def text(context: SessionContext, *sections: str) -> str:
    reply = info(context, [b"INFO", *[section.encode() for section in sections]])
    assert isinstance(reply, Verbatim)
    return reply.text.decode()


def titles(context: SessionContext, *sections: str) -> list[str]:
    return [line[2:] for line in text(context, *sections).split("\r\n") if line.startswith("# ")]


def fields(context: SessionContext, *sections: str) -> dict[str, str]:
    lines = [line for line in text(context, *sections).split("\r\n") if line and not line.startswith("#")]
    found = dict(line.split(":", 1) for line in lines)
    assert len(found) == len(lines), "a name stands twice"
    return found


def test_which_sections(context: SessionContext) -> None:
    assert titles(context) == titles(context, "default") == DEFAULT
    everything = titles(context, "everything")
    assert set(everything) - set(DEFAULT) == {"Commandstats", "Latencystats"}
    assert titles(context, "ALL") == everything
    assert titles(context, "keyspace", "SERVER", "nosuch") == ["Server", "Keyspace"]
    assert titles(context, "commandstats", "default")[7:9] == ["Modules", "Commandstats"]


def test_form(context: SessionContext) -> None:
    assert text(context, "nosuch") == ""
    assert text(context, "keyspace") == "# Keyspace\r\n"
    assert text(context, "modules", "cluster") == "# Modules\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n"
    whole = text(context, "everything")
    assert all(line.startswith("# ") or ":" in line or not line for line in whole.split("\r\n"))


def test_no_name_stands_twice(context: SessionContext) -> None:
    fields(context, "everything")


def test_server(context: SessionContext) -> None:
    server = fields(context, "server")
    assert server["redis_version"] == "7.2.5"
    assert server["process_id"] == str(os.getpid())
    assert server["run_id"] == "a" * 40
    assert server["uptime_in_seconds"] == str(2 * 86_400 + 5)
    assert server["uptime_in_days"] == "2"
    assert server["server_time_usec"] == str(NOW_US)
    assert server["listener0"] == "name=tcp,bind=localhost,port=6377"
    assert "listener1" not in server


def test_a_unix_socket_is_a_listener(context: SessionContext) -> None:
    context.server.settings = Settings({"port": 0, "unixsocket": "/run/keyp.sock"})
    server = fields(context, "server")
    assert server["tcp_port"] == "0"
    assert server["listener0"] == "name=unix,bind=/run/keyp.sock"


def test_clients(context: SessionContext) -> None:
    context.client.input_buffered = 17
    context.server.metrics.blocked_clients = 3
    clients = fields(context, "clients")
    assert clients["connected_clients"] == "1"
    assert clients["blocked_clients"] == "3"
    assert clients["client_recent_max_input_buffer"] == "17"


def test_memory_is_the_processs(context: SessionContext) -> None:
    memory = fields(context, "memory")
    assert 0 < int(memory["used_memory"]) <= int(memory["used_memory_rss"])
    assert int(memory["used_memory_peak"]) >= int(memory["used_memory"])
    assert memory["used_memory_human"] == human(int(memory["used_memory"]))
    assert memory["maxmemory"] == "0"
    assert memory["maxmemory_policy"] == "noeviction"


def test_memory_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_file(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("builtins.open", no_file)
    memory = process.memory()
    assert memory.resident == memory.private > 0


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (941048, "918.99K"), (25276510208, "23.54G"), (1 << 40, "1.00T")],
)
def test_sizes_for_people(size: int, shown: str) -> None:
    assert human(size) == shown


def test_persistence(context: SessionContext) -> None:
    server = context.server
    persistence = fields(context, "persistence")
    assert persistence["loading"] == "0"
    assert persistence["aof_enabled"] == "1"
    assert persistence["aof_last_write_status"] == "ok"
    assert persistence["rdb_last_save_time"] == str(int(server.started_at))
    assert persistence["rdb_last_bgsave_status"] == "ok"
    assert persistence["rdb_bgsave_in_progress"] == "0"
    assert persistence["rdb_last_bgsave_time_sec"] == persistence["rdb_current_bgsave_time_sec"] == "-1"
    assert persistence["rdb_changes_since_last_save"] == "0"
    assert int(persistence["aof_current_size"]) > 0


def test_persistence_tells_of_saves_and_syncs_apart(context: SessionContext) -> None:
    assert isinstance(context.data, WriteContext)
    server = context.server
    server.last_sync_ok = False
    assert fields(context, "persistence")["aof_last_write_status"] == "err"
    assert fields(context, "persistence")["rdb_last_bgsave_status"] == "ok"
    server.last_sync_ok = True
    server.last_save_at, server.last_save_ok, server.last_save_seconds = 1_600_000_000.7, False, 7
    server.save_running, server.save_started_ns = True, context.now_ns - 3 * SECOND_NS
    context.data.transaction.changes = 5
    persistence = fields(context, "persistence")
    assert persistence["aof_last_write_status"] == "ok"
    assert persistence["rdb_last_save_time"] == "1600000000"
    assert persistence["rdb_last_bgsave_status"] == "err"
    assert persistence["rdb_bgsave_in_progress"] == "1"
    assert persistence["rdb_last_bgsave_time_sec"] == "7"
    assert persistence["rdb_current_bgsave_time_sec"] == "3"
    assert persistence["rdb_changes_since_last_save"] == "5"


def test_counters(context: SessionContext) -> None:
    metrics = context.server.metrics
    metrics.tick(1.0)
    metrics.record("get", 2_500, False)
    metrics.record("config|get", 4_000, True)
    metrics.reject("set")
    metrics.error("ERR no")
    metrics.error("ODD:#CODE text")
    metrics.input_bytes = 1024
    metrics.swept(2, 1, 3_000)
    metrics.group_committed(3, 8_000)
    metrics.group_committed(1, 4_000)
    metrics.tick(2.0)
    found = fields(context, "everything")
    assert found["total_commands_processed"] == "2"
    assert found["instantaneous_ops_per_sec"] == "2"
    assert found["instantaneous_input_kbps"] == "1.00"
    assert found["total_error_replies"] == "2"
    assert found["expired_keys"] == "2"
    assert found["cmdstat_get"] == "calls=1,usec=2,usec_per_call=2.00,rejected_calls=0,failed_calls=0"
    assert found["cmdstat_config|get"] == "calls=1,usec=4,usec_per_call=4.00,rejected_calls=0,failed_calls=1"
    assert found["cmdstat_set"] == "calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0"
    assert found["errorstat_ERR"] == "count=1"
    assert found["errorstat_ODD__CODE"] == "count=1"
    assert found["latency_percentiles_usec_get"].startswith("p50=2.")
    assert "latency_percentiles_usec_set" not in found
    assert found["commit_groups"] == "2"
    assert found["commit_batches_per_group"] == "2.00"
    assert found["commit_usec_per_group"] == "6.00"
    assert found["commit_group_sizes"] == "1=1,4=1"
    assert found["last_sweep"] == "keys=2,elements=1,usec=3"


def test_keyspace(context: SessionContext) -> None:
    assert isinstance(context.data, WriteContext)
    strings.put(context.data.database(0), b"a", b"1")
    strings.put(context.data.database(0), b"b", b"1", NOW_US // 1000 + 1000)
    strings.put(context.data.database(3), b"a", b"1")
    assert fields(context, "keyspace") == {
        "db0": "keys=2,expires=1,avg_ttl=0",
        "db3": "keys=1,expires=0,avg_ttl=0",
    }


def test_about_itself(context: SessionContext) -> None:
    context.server.compiled = True
    context.server.sweeping = False
    found = fields(context, "keyp")
    assert found["compiled"] == "yes"
    assert found["sweeping"] == "no"
    assert found["fsync"] == "no"
    assert found["storage_format"] == "2"
    assert found["lmdb_version"].count(".") == 2
    assert all(found[name] for name in ("twisted_version", "py_lmdb_version", "python_version", "keyp_version"))
    assert process.version_of("no-such-package-anywhere") == ""
