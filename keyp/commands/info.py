"""INFO: what monitoring tools read of a server, in Redis's form.

One function a section; each gives lines `name:value`, all those of Redis 7.2 in its order. What never happens in Keyp
(a replica, an eviction, a fork) has the value that Redis shows without it. Memory is what the process takes, since the
data lives in the store: all of it is overhead, nothing of it the dataset. What Redis tells of the files of its log is
told of the data file (`base`) and of the data file with the journal (`current`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import keyp
from keyp.command.context import SECOND_NS, SessionContext, TooLong
from keyp.command.libraries import libraries_of
from keyp.command.server_state import ServerState
from keyp.command.spec import LOADING, STALE, Args
from keyp.command.table import CommandTable
from keyp.errors import CommandError
from keyp.resp.values import Reply, Verbatim
from keyp.scripting.libraries import Libraries
from keyp.server import process
from keyp.server.acl import acl_log
from keyp.server.acl.acl_log import AUTH, COMMAND, KEY
from keyp.server.metrics import Latencies, Metrics, Rate
from keyp.server.pubsub import CHANNEL, PATTERN, SHARD
from keyp.storage import function_libraries, measure
from keyp.storage.lmdb import layout

INFO = CommandTable(group="server")

Section = Callable[[SessionContext], list[str]]
DAY: Final = 86_400
_ANSWERS: Final = ("no", "yes")
_STATUS: Final = ("err", "ok")
_UNSAFE: Final = str.maketrans("#:\r\n", "____")


@INFO.session(
    "INFO",
    arity=-1,
    flags=LOADING | STALE,
    categories="dangerous",
    since="1.0.0",
    tips=("nondeterministic_output", "request_policy:all_shards", "response_policy:special"),
    syntax="[section [section ...]]",
    summary="Returns the server's state and statistics, as lines of text in sections.",
)
def info(context: SessionContext, args: Args) -> Reply:
    """Replies with the sections named; `default` without one. Unknown names are ignored."""
    wanted = {arg.decode("latin-1").lower() for arg in args[1:]} or {"default"}
    everything = not wanted.isdisjoint(("all", "everything"))
    parts: list[str] = []
    for title, is_default, section in SECTIONS:
        if everything or title.lower() in wanted or (is_default and "default" in wanted):
            parts.append("".join([f"{line}\r\n" for line in (f"# {title}", *section(context))]))
    return Verbatim("\r\n".join(parts).encode("utf-8", "surrogateescape"))


def human(size: int) -> str:
    """A number of bytes as Redis writes it for people: `918.99K`."""
    if size < 1024:
        return f"{size}B"
    value = float(size)
    for unit in "KMGTP":
        value /= 1024
        if value < 1024:
            return f"{value:.2f}{unit}"
    return f"{size}B"


def _server(context: SessionContext) -> list[str]:
    server = context.server
    settings = server.settings
    now_us = context.data.now_us
    uptime = max(0, context.now_ns - server.started_ns) // SECOND_NS
    lines = [
        f"redis_version:{keyp.REDIS_VERSION}",
        "redis_git_sha1:00000000",
        "redis_git_dirty:0",
        "redis_build_id:0",
        "redis_mode:standalone",
        f"os:{process.operating_system()}",
        f"arch_bits:{process.word_bits()}",
        "monotonic_clock:POSIX clock_gettime",
        f"multiplexing_api:{_multiplexing(server.reactor)}",
        "atomicvar_api:none",
        f"gcc_version:{process.compiler_version()}",
        f"process_id:{process.process_id()}",
        "process_supervised:no",
        f"run_id:{server.run_id}",
        f"tcp_port:{settings.port}",
        f"server_time_usec:{now_us}",
        f"uptime_in_seconds:{uptime}",
        f"uptime_in_days:{uptime // DAY}",
        f"hz:{settings.hz}",
        f"configured_hz:{settings.hz}",
        f"lru_clock:{now_us // 1_000_000 & 0xFFFFFF}",
        f"executable:{sys.executable}",
        f"config_file:{settings.config_file}",
        "io_threads_active:0",
    ]
    if settings.port:
        addresses = "".join([f"bind={address}," for address in settings.host.split()])
        lines.append(f"listener0:name=tcp,{addresses}port={settings.port}")
    if settings.unix_socket:
        lines.append(f"listener{int(settings.port > 0)}:name=unix,bind={settings.unix_socket}")
    return lines


def _multiplexing(reactor: str) -> str:
    """What a reactor, by the name of its class, waits for sockets with."""
    return next((api for api in ("epoll", "kqueue", "poll") if api in reactor.lower()), "select")


def _clients(context: SessionContext) -> list[str]:
    server = context.server
    clients = server.clients.all()
    return [
        f"connected_clients:{len(clients)}",
        "cluster_connections:0",
        f"maxclients:{server.settings.maxclients}",
        f"client_recent_max_input_buffer:{max([client.input_buffered for client in clients], default=0)}",
        f"client_recent_max_output_buffer:{max([client.output_buffered for client in clients], default=0)}",
        f"blocked_clients:{server.metrics.blocked_clients}",
        "tracking_clients:0",
        "clients_in_timeout_table:0",
        f"total_blocking_keys:{len(server.blocked_clients.blocked_keys())}",
        "total_blocking_keys_on_nokey:0",
    ]


def _memory(context: SessionContext) -> list[str]:
    metrics, settings = context.server.metrics, context.server.settings
    memory = process.memory()
    metrics.note_memory(memory.private)
    used, peak, total = memory.private, metrics.memory_peak, process.total_memory()
    limit = settings.maxmemory
    return [
        f"used_memory:{used}",
        f"used_memory_human:{human(used)}",
        f"used_memory_rss:{memory.resident}",
        f"used_memory_rss_human:{human(memory.resident)}",
        f"used_memory_peak:{peak}",
        f"used_memory_peak_human:{human(peak)}",
        f"used_memory_peak_perc:{used * 100 / peak:.2f}%",
        f"used_memory_overhead:{used}",
        f"used_memory_startup:{context.server.memory_at_start}",
        "used_memory_dataset:0",
        "used_memory_dataset_perc:0.00%",
        f"allocator_allocated:{used}",
        f"allocator_active:{used}",
        f"allocator_resident:{memory.resident}",
        f"total_system_memory:{total}",
        f"total_system_memory_human:{human(total)}",
        *_scripts(context),
        f"maxmemory:{limit}",
        f"maxmemory_human:{human(limit)}",
        f"maxmemory_policy:{settings.get('maxmemory-policy')}",
        "allocator_frag_ratio:1.00",
        "allocator_frag_bytes:0",
        f"allocator_rss_ratio:{memory.resident / used:.2f}",
        f"allocator_rss_bytes:{memory.resident - used}",
        "rss_overhead_ratio:1.00",
        "rss_overhead_bytes:0",
        f"mem_fragmentation_ratio:{memory.resident / used:.2f}",
        f"mem_fragmentation_bytes:{memory.resident - used}",
        "mem_not_counted_for_evict:0",
        "mem_replication_backlog:0",
        "mem_total_replication_buffers:0",
        "mem_clients_slaves:0",
        f"mem_clients_normal:{_client_buffers(context)}",
        "mem_cluster_links:0",
        "mem_aof_buffer:0",
        "mem_allocator:python",
        "active_defrag_running:0",
        f"lazyfree_pending_objects:{measure.garbage_entries(context.data.transaction, context.server.environment)}",
        "lazyfreed_objects:0",
    ]


def _scripts(context: SessionContext) -> list[str]:
    """Scripts and functions run in the same runtimes. Where the libraries are not known yet they are compiled."""
    scripts = context.server.scripts
    digest = function_libraries.digest(context.data.transaction)
    if digest != scripts.libraries_digest:
        if context.data.hurried:
            raise TooLong
        with scripts.runtime() as runtime:
            try:
                libraries_of(context, runtime)
            except CommandError:
                scripts.note_libraries(Libraries(digest))
    runtimes, texts = scripts.memory, scripts.cache.text_bytes + scripts.library_bytes
    return [
        f"used_memory_lua:{runtimes}",
        f"used_memory_vm_eval:{runtimes}",
        f"used_memory_lua_human:{human(runtimes)}",
        f"used_memory_scripts_eval:{scripts.cache.text_bytes}",
        f"number_of_cached_scripts:{len(scripts.cache)}",
        f"number_of_functions:{scripts.function_count}",
        f"number_of_libraries:{scripts.library_count}",
        "used_memory_vm_functions:0",
        f"used_memory_vm_total:{runtimes}",
        f"used_memory_vm_total_human:{human(runtimes)}",
        f"used_memory_functions:{scripts.library_bytes}",
        f"used_memory_scripts:{texts}",
        f"used_memory_scripts_human:{human(texts)}",
    ]


def _client_buffers(context: SessionContext) -> int:
    return sum([client.input_buffered + client.output_buffered for client in context.server.clients.all()])


def _persistence(context: SessionContext) -> list[str]:
    server = context.server
    saving_s = (context.now_ns - server.save_started_ns) // SECOND_NS if server.save_running else -1
    used = measure.StoreSize(server.environment).used
    changes = server.environment.changes + context.data.transaction.changes - server.saved_changes
    writes_ok = server.last_sync_ok and not server.write_refusal and not server.environment.is_full()
    return [
        "loading:0",
        "async_loading:0",
        "current_cow_peak:0",
        "current_cow_size:0",
        "current_cow_size_age:0",
        "current_fork_perc:0.00",
        "current_save_keys_processed:0",
        "current_save_keys_total:0",
        f"rdb_changes_since_last_save:{changes}",
        f"rdb_bgsave_in_progress:{int(server.save_running)}",
        f"rdb_last_save_time:{int(server.last_save_at)}",
        f"rdb_last_bgsave_status:{_STATUS[server.last_save_ok]}",
        f"rdb_last_bgsave_time_sec:{server.last_save_seconds}",
        f"rdb_current_bgsave_time_sec:{saving_s}",
        f"rdb_saves:{server.metrics.saves}",
        "rdb_last_cow_size:0",
        "rdb_last_load_keys_expired:0",
        "rdb_last_load_keys_loaded:0",
        "aof_enabled:1",
        "aof_rewrite_in_progress:0",
        "aof_rewrite_scheduled:0",
        "aof_last_rewrite_time_sec:-1",
        "aof_current_rewrite_time_sec:-1",
        "aof_last_bgrewrite_status:ok",
        "aof_rewrites:0",
        "aof_rewrites_consecutive_failures:0",
        f"aof_last_write_status:{_STATUS[writes_ok]}",
        "aof_last_cow_size:0",
        "module_fork_in_progress:0",
        "module_fork_last_cow_size:0",
        f"aof_current_size:{used + server.environment.journal.ring.used}",
        f"aof_base_size:{used}",
        "aof_pending_rewrite:0",
        "aof_buffer_length:0",
        f"aof_pending_bio_fsync:{int(server.sync_running)}",
        f"aof_delayed_fsync:{server.metrics.delayed_syncs}",
    ]


def _kilobytes(rate: Rate) -> str:
    return f"{rate.per_second() / 1024:.2f}"


def _stats(context: SessionContext) -> list[str]:
    metrics, pubsub = context.server.metrics, context.server.pubsub
    return [
        f"total_connections_received:{metrics.connections_received}",
        f"total_commands_processed:{metrics.commands_processed}",
        f"instantaneous_ops_per_sec:{int(metrics.commands_rate.per_second())}",
        f"total_net_input_bytes:{metrics.input_bytes}",
        f"total_net_output_bytes:{metrics.output_bytes}",
        "total_net_repl_input_bytes:0",
        "total_net_repl_output_bytes:0",
        f"instantaneous_input_kbps:{_kilobytes(metrics.input_rate)}",
        f"instantaneous_output_kbps:{_kilobytes(metrics.output_rate)}",
        "instantaneous_input_repl_kbps:0.00",
        "instantaneous_output_repl_kbps:0.00",
        f"rejected_connections:{metrics.connections_rejected}",
        "sync_full:0",
        "sync_partial_ok:0",
        "sync_partial_err:0",
        f"expired_keys:{metrics.expired_keys}",
        "expired_stale_perc:0.00",
        "expired_time_cap_reached_count:0",
        f"expire_cycle_cpu_milliseconds:{metrics.sweep_nanoseconds // 1_000_000}",
        "evicted_keys:0",
        "evicted_clients:0",
        "total_eviction_exceeded_time:0",
        "current_eviction_exceeded_time:0",
        f"keyspace_hits:{metrics.keyspace_hits}",
        f"keyspace_misses:{metrics.keyspace_misses}",
        f"pubsub_channels:{pubsub.size(CHANNEL)}",
        f"pubsub_patterns:{pubsub.size(PATTERN)}",
        f"pubsubshard_channels:{pubsub.size(SHARD)}",
        *_rarer_stats(metrics),
        *_refusals(context),
    ]


def _rarer_stats(metrics: Metrics) -> list[str]:
    return [
        "latest_fork_usec:0",
        "total_forks:0",
        "migrate_cached_sockets:0",
        "slave_expires_tracked_keys:0",
        "active_defrag_hits:0",
        "active_defrag_misses:0",
        "active_defrag_key_hits:0",
        "active_defrag_key_misses:0",
        "total_active_defrag_time:0",
        "current_active_defrag_time:0",
        "tracking_total_keys:0",
        "tracking_total_items:0",
        "tracking_total_prefixes:0",
        "unexpected_error_replies:0",
        f"total_error_replies:{metrics.total_error_replies}",
        "dump_payload_sanitizations:0",
        f"total_reads_processed:{metrics.reads}",
        f"total_writes_processed:{metrics.writes}",
        "io_threaded_reads_processed:0",
        "io_threaded_writes_processed:0",
        "reply_buffer_shrinks:0",
        "reply_buffer_expands:0",
        "eventloop_cycles:0",
        "eventloop_duration_sum:0",
        "eventloop_duration_cmd_sum:0",
        "instantaneous_eventloop_cycles_per_sec:0",
        "instantaneous_eventloop_duration_usec:0",
    ]


def _refusals(context: SessionContext) -> list[str]:
    words = {AUTH: "auth", COMMAND: "cmd", KEY: "key", acl_log.CHANNEL: "channel"}
    return [f"acl_access_denied_{word}:{context.server.acl_log.counts[reason]}" for reason, word in words.items()]


def _replication(context: SessionContext) -> list[str]:
    return [
        "role:master",
        "connected_slaves:0",
        "master_failover_state:no-failover",
        f"master_replid:{context.server.run_id}",
        f"master_replid2:{'0' * 40}",
        "master_repl_offset:0",
        "second_repl_offset:-1",
        "repl_backlog_active:0",
        f"repl_backlog_size:{context.server.settings.get('repl-backlog-size')}",
        "repl_backlog_first_byte_offset:0",
        "repl_backlog_histlen:0",
    ]


def _cpu(context: SessionContext) -> list[str]:
    spent = process.ProcessorTime()
    return [
        f"used_cpu_sys:{spent.system:.6f}",
        f"used_cpu_user:{spent.user:.6f}",
        f"used_cpu_sys_children:{spent.children_system:.6f}",
        f"used_cpu_user_children:{spent.children_user:.6f}",
        f"used_cpu_sys_main_thread:{spent.main_thread_system:.6f}",
        f"used_cpu_user_main_thread:{spent.main_thread_user:.6f}",
    ]


def _modules(context: SessionContext) -> list[str]:
    return []


def _command_stats(context: SessionContext) -> list[str]:
    lines: list[str] = []
    for name, stats in list(context.server.metrics.commands.items()):
        microseconds = stats.nanoseconds // 1000
        each = microseconds / stats.calls if stats.calls else 0.0
        lines.append(
            f"cmdstat_{name}:calls={stats.calls},usec={microseconds},usec_per_call={each:.2f},"
            f"rejected_calls={stats.rejected},failed_calls={stats.failed}"
        )
    return lines


def _error_stats(context: SessionContext) -> list[str]:
    errors = list(context.server.metrics.errors.items())
    return [f"errorstat_{word.translate(_UNSAFE)}:count={count}" for word, count in errors]


def _latency_stats(context: SessionContext) -> list[str]:
    settings, metrics = context.server.settings, context.server.metrics
    if not settings.latency_tracking:
        return []
    lines: list[str] = []
    for name, stats in list(metrics.commands.items()):
        if stats.latencies.count:
            percentiles = ",".join([_percentile(stats.latencies, percent) for percent in settings.latency_percentiles])
            lines.append(f"latency_percentiles_usec_{name}:{percentiles}")
    return lines


def _percentile(latencies: Latencies, percent: str) -> str:
    return f"p{percent}={latencies.percentile(float(percent)) / 1000:.3f}"


def _cluster(context: SessionContext) -> list[str]:
    return ["cluster_enabled:0"]


def _keyspace(context: SessionContext) -> list[str]:
    lines: list[str] = []
    for index in range(context.data.shared.databases):
        keys = context.data.database(index)
        size = keys.size()
        if size:
            lines.append(f"db{index}:keys={size},expires={keys.size_with_deadline()},avg_ttl=0")
    return lines


def _keyp(context: SessionContext) -> list[str]:
    server = context.server
    metrics = server.metrics
    size = measure.StoreSize(server.environment)
    groups, sweeps = max(metrics.commit_groups, 1), max(metrics.sweeps, 1)
    return [
        f"keyp_version:{keyp.__version__}",
        f"compiled:{_ANSWERS[server.compiled]}",
        f"reactor:{server.reactor}",
        f"python_version:{sys.version.split()[0]}",
        f"twisted_version:{process.version_of('twisted')}",
        f"py_lmdb_version:{process.version_of('lmdb')}",
        f"lmdb_version:{measure.engine_version()}",
        f"storage_format:{layout.FORMAT}",
        f"fsync:{server.environment.fsync}",
        f"store_path:{server.environment.path}",
        f"store_file_bytes:{size.file}",
        f"store_file_human:{human(size.file)}",
        f"store_used_bytes:{size.used}",
        f"store_map_bytes:{size.map}",
        f"last_sync_time:{int(server.last_sync_at)}",
        f"last_sync_status:{_STATUS[server.last_sync_ok]}",
        *_journal(server),
        f"commit_groups:{metrics.commit_groups}",
        f"commit_batches:{metrics.committed_batches}",
        f"commit_batches_per_group:{metrics.committed_batches / groups:.2f}",
        f"commit_usec_per_group:{metrics.commit_nanoseconds / groups / 1000:.2f}",
        f"commit_group_sizes:{_sizes(metrics.group_sizes)}",
        f"sweeping:{_ANSWERS[server.sweeping]}",
        f"sweeps:{metrics.sweeps}",
        f"sweep_errors:{metrics.sweep_errors}",
        f"sweep_usec_each:{metrics.sweep_nanoseconds / sweeps / 1000:.2f}",
        f"swept_keys:{metrics.swept_keys}",
        f"swept_elements:{metrics.swept_elements}",
        f"last_sweep:keys={metrics.last_sweep_keys},elements={metrics.last_sweep_elements},"
        f"usec={metrics.last_sweep_nanoseconds // 1000}",
    ]


def _journal(server: ServerState) -> list[str]:
    journal, environment = server.environment.journal, server.environment
    return [
        f"journal_size:{journal.ring.size}",
        f"journal_used_bytes:{journal.ring.used}",
        f"journal_records:{journal.records}",
        f"journal_bytes:{journal.bytes}",
        f"checkpoints:{journal.checkpoints}",
        f"last_checkpoint_usec:{server.last_checkpoint_ns // 1000}",
        f"records_since_checkpoint:{journal.ring.needed_records}",
        f"dirty_bytes_since_checkpoint:{journal.dirty_bytes}",
        f"replayed_records:{environment.replayed}",
        f"replay_usec:{environment.replay_ns // 1000}",
    ]


def _sizes(buckets: list[int]) -> str:
    """How many groups had up to 1, 2, 4, 8 … batches, each group counted once."""
    return ",".join([f"{1 << power}={count}" for power, count in enumerate(buckets) if count])


# Title, whether it is shown by default, and its lines.
SECTIONS: Final[tuple[tuple[str, bool, Section], ...]] = (
    ("Server", True, _server),
    ("Clients", True, _clients),
    ("Memory", True, _memory),
    ("Persistence", True, _persistence),
    ("Stats", True, _stats),
    ("Replication", True, _replication),
    ("CPU", True, _cpu),
    ("Modules", True, _modules),
    ("Commandstats", False, _command_stats),
    ("Errorstats", True, _error_stats),
    ("Latencystats", False, _latency_stats),
    ("Cluster", True, _cluster),
    ("Keyp", True, _keyp),
    ("Keyspace", True, _keyspace),
)
