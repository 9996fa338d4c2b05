"""All settings of Redis 7.2, and what each means in Keyp. `make readme` writes the table into the README.

A row says of its setting one of four things. It is *obeyed*; the note says what it does. CONFIG SET takes its values
and they change nothing (*inert*), because Keyp does it in another way or has no such thing; the note says why. It is
*pinned*: Redis would change it, but here another value would promise what Keyp does not do (a password, TLS, replicas
that must confirm), so CONFIG SET takes only the value it has. Or it is *fixed*: Redis does not change it while the
server runs either, and the note says what is true here. `in_file` of a row says what a configuration file does with it.

Names, bounds and defaults are those of Redis 7.2, but for defaults where Keyp's facts differ.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from keyp.server.config.setting_types import (
    INT32_MAX,
    INT32_MIN,
    INT64_MAX,
    MEGABYTE,
    UINT32_MAX,
    UINT64_MAX,
    Choice,
    Clamped,
    ClientCount,
    Directory,
    Memory,
    MemoryOrPercent,
    Number,
    Octal,
    Pinned,
    SettingType,
    ShutdownOptions,
    Text,
    Value,
    Words,
    YesOrNo,
)
from keyp.server.config.special_types import (
    EventClasses,
    HostName,
    Locale,
    Master,
    NodeName,
    OomScores,
    OutputBufferLimits,
    Percentiles,
    SavePoints,
    TitleTemplate,
)

SAVED_FILE: Final = "backup/data.mdb"  # what SAVE writes, below the data directory

# What becomes of a setting.
OBEYED: Final = "obeyed"
INERT: Final = "inert"
PINNED: Final = "pinned"
FIXED: Final = "fixed"

# What a configuration file does with a setting when the server starts.
CHANGES: Final = "changes"  # what CONFIG SET does
STARTS: Final = "starts"  # chooses its value, which then holds until the end
CHECKED: Final = "checked"  # nothing: a value of its type may stand there, and what is true stays
REFUSED: Final = "refused"  # any other value than the one it has is an error

# Names that a configuration file may use as well: those that options on the command line have.
OWN_NAMES: Final = {"host": "bind", "data-dir": "dir", "fsync": "appendfsync", "max-size": "maxmemory"}

# The name, type and default of a setting that does nothing, and its alias if there is one.
Row: TypeAlias = "tuple[str, SettingType, Value] | tuple[str, SettingType, Value, str]"


class Setting:
    """One row. `alias` is a second name, `note` says what the setting does, or why nothing.

    `protected`: CONFIG SET needs `enable-protected-configs`. `hidden`: no pattern finds it, only its name. `in_file`:
    what a configuration file does with it.
    """

    def __init__(
        self, state: str, name: str, setting_type: SettingType, default: Value, note: str, alias: str = ""
    ) -> None:
        self.state = state
        self.name = name
        self.setting_type = setting_type
        self.default = default
        self.note = note
        self.alias = alias
        self.protected = False
        self.hidden = False
        self.in_file = {OBEYED: CHANGES, INERT: CHANGES, PINNED: REFUSED, FIXED: CHECKED}[state]

    @property
    def names(self) -> list[str]:
        """The name, and the alias if there is one."""
        return [self.name, self.alias] if self.alias else [self.name]


def _obeyed(name: str, setting_type: SettingType, default: Value, note: str, alias: str = "") -> Setting:
    return Setting(OBEYED, name, setting_type, default, note, alias)


def _pinned(
    name: str, setting_type: SettingType, default: Value, note: str, alias: str = "", reason: str = ""
) -> Setting:
    return Setting(PINNED, name, Pinned(setting_type, reason or note), default, note, alias)


def _inert(note: str, *rows: Row) -> tuple[Setting, ...]:
    return tuple([Setting(INERT, row[0], row[1], row[2], note, row[3] if len(row) == 4 else "") for row in rows])


def _fixed(note: str, *rows: Row) -> tuple[Setting, ...]:
    return tuple([Setting(FIXED, row[0], row[1], row[2], note, row[3] if len(row) == 4 else "") for row in rows])


def _protected(setting: Setting) -> Setting:
    setting.protected = True
    return setting


def _in_file(in_file: str, *settings: Setting) -> tuple[Setting, ...]:
    for setting in settings:
        setting.in_file = in_file
    return settings


def _hidden(settings: tuple[Setting, ...]) -> tuple[Setting, ...]:
    for setting in settings:
        setting.hidden = True
    return settings


_TEXT: Final = Text()
_TEXT_OR_EMPTY: Final = Text(may_be_empty=True)
_SWITCH: Final = YesOrNo()
_PORT: Final = Number(0, 65535)
_INT: Final = Number(0, INT32_MAX)
_LONG: Final = Number(0, INT64_MAX)
_SIZE: Final = Memory(0, INT64_MAX)
_PERCENT: Final = Number(0, 1000)
_SHARE: Final = Number(1, 99)
_WHO: Final = Choice("no", "yes", "local")

_OUTPUT_LIMITS: Final = ((0, 0, 0), (256 * MEGABYTE, 64 * MEGABYTE, 60), (32 * MEGABYTE, 8 * MEGABYTE, 60))
_LOG_LEVELS: Final = ("debug", "verbose", "notice", "warning", "nothing")
_POLICIES: Final = (
    "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
    "allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction",
)  # fmt: skip
_FACILITIES: Final = ("user", *[f"local{number}" for number in range(8)])

_AT_START: Final = "it is chosen when Keyp starts and does not change while it runs"
_NO_REPLICAS: Final = "Keyp does not replicate"
_NO_CLUSTER: Final = "Keyp is a single server"

TABLE: Final[tuple[Setting, ...]] = (
    # Limits and times.
    _obeyed("maxclients", ClientCount(1, UINT32_MAX), 10000, "how many clients may be connected at once"),
    _obeyed("timeout", _INT, 0, "seconds after which an idle client is closed; 0 is never"),
    _obeyed("tcp-keepalive", _INT, 300, "seconds of silence after which TCP looks whether a client lives; 0 is never"),
    _obeyed("proto-max-bulk-len", Memory(MEGABYTE, INT64_MAX), 512 * MEGABYTE, "longest argument and string"),
    _obeyed("client-query-buffer-limit", Memory(MEGABYTE, INT64_MAX), 1024 * MEGABYTE, "longest request"),
    _obeyed("client-output-buffer-limit", OutputBufferLimits(), _OUTPUT_LIMITS, "bytes that may wait for a client"),
    _obeyed("maxmemory-clients", MemoryOrPercent(), 0,
            "bytes of memory that all clients may take, or a percentage of `maxmemory`: beyond it the largest are"
            " disconnected; 0 is no limit"),
    _obeyed("maxmemory", Memory(0, UINT64_MAX), 0,
            "most bytes of the store's pages in use, as `--max-size`: data is on the disk; 0 is no limit"),
    _obeyed("appendfsync", Choice("everysec", "always", "no"), "always",
            "when commits are synced to the disk, as `--fsync`"),
    _obeyed("hz", Clamped(_INT, 1, 500), 10, "how often a second the sweeper looks for what has expired, 1 to 500"),
    # Users.
    _obeyed("requirepass", _TEXT, "", "the password of the user `default`, as `--requirepass`; empty is none"),
    _obeyed("protected-mode", _SWITCH, "yes",
            "while the user `default` needs no password, only clients on this machine are served"),
    _obeyed("acl-pubsub-default", Choice("allchannels", "resetchannels"), "resetchannels",
            "which channels a new user may use"),
    _obeyed("acllog-max-len", _LONG, 128, "how many entries ACL LOG has at most"),
    # TLS. A change holds for new connections, and one of files that cannot be used is refused.
    _obeyed("tls-cert-file", _TEXT, "", "the server's certificate with its chain; each change reads it again"),
    _obeyed("tls-key-file", _TEXT, "", "its key; where there is none the certificate's file has it"),
    _obeyed("tls-key-file-pass", _TEXT, "", "the password of that file"),
    _obeyed("tls-ca-cert-file", _TEXT, "", "who signs the certificates of clients"),
    _obeyed("tls-ca-cert-dir", _TEXT, "", "a directory of such files"),
    _obeyed("tls-auth-clients", Choice("no", "yes", "optional"), "yes", "whether clients need a certificate"),
    _obeyed("tls-protocols", _TEXT, "", "versions of TLS, `TLSv1.2 TLSv1.3` where it is empty"),
    _obeyed("tls-ciphers", _TEXT, "", "ciphers up to TLS 1.2, as OpenSSL names them"),
    _obeyed("tls-ciphersuites", _TEXT, "", "ciphers of TLS 1.3"),
    _obeyed("tls-prefer-server-ciphers", _SWITCH, "no", "whether the server's order of ciphers counts"),
    _obeyed("tls-dh-params-file", _TEXT, "", "parameters of Diffie-Hellman, for old clients"),
    _obeyed("tls-session-caching", _SWITCH, "yes", "whether clients may take up a session again"),
    _obeyed("tls-session-cache-timeout", _INT, 300, "seconds for which they may"),
    # Logs and notifications.
    _obeyed("loglevel", Choice(*_LOG_LEVELS), "notice",
            "what is logged: `debug` all, `verbose` and `notice` Twisted's level info and above, `warning` warnings and"
            " errors, `nothing` nothing"),
    _obeyed("busy-reply-threshold", _LONG, 5000,
            "milliseconds that a script may run before others are answered BUSY", "lua-time-limit"),
    _obeyed("notify-keyspace-events", EventClasses(), 0, "which keyspace notifications are published"),
    _obeyed("slowlog-log-slower-than", Number(-1, INT64_MAX), 10000, "microseconds of a slow command; -1 logs none"),
    _obeyed("slowlog-max-len", _LONG, 128, "how many slow commands are remembered"),
    _obeyed("latency-monitor-threshold", _LONG, 0, "milliseconds of a latency event; 0 watches nothing"),
    _obeyed("latency-tracking", _SWITCH, "yes", "whether each command's latencies are counted"),
    _obeyed("latency-tracking-info-percentiles", Percentiles(), "50 99 99.9", "which of them INFO latencystats shows"),
    # Limits of the compact encodings. Values keep the encoding they were written with.
    _obeyed("hash-max-listpack-entries", _LONG, 512,
            "most fields of a hash that is a `listpack`", "hash-max-ziplist-entries"),
    _obeyed("hash-max-listpack-value", _SIZE, 64, "longest field or value of one", "hash-max-ziplist-value"),
    _obeyed("list-max-listpack-size", Number(INT32_MIN, INT32_MAX), -2,
            "most elements of a list that is a `listpack`, below 0: -1 to -5 for 4 to 64 KiB", "list-max-ziplist-size"),
    _obeyed("set-max-intset-entries", _LONG, 512, "most members of a set that is an `intset`"),
    _obeyed("set-max-listpack-entries", _LONG, 128, "most members of a set that is a `listpack`"),
    _obeyed("set-max-listpack-value", _LONG, 64, "longest member of one"),
    _obeyed("zset-max-listpack-entries", _LONG, 128,
            "most members of a sorted set that is a `listpack`", "zset-max-ziplist-entries"),
    _obeyed("zset-max-listpack-value", _SIZE, 64, "longest member of one", "zset-max-ziplist-value"),
    _obeyed("stream-node-max-entries", _LONG, 100,
            "how many entries of a stream are trimmed together by `~`; at most 4096, which 0 stands for"),
    _obeyed("hll-sparse-max-bytes", _SIZE, 3000, "longest HyperLogLog that is not made dense"),
    # Pinned.
    *_in_file(STARTS,
              _pinned("port", _PORT, 6377, _AT_START),
              _pinned("bind", Words(), "localhost", _AT_START),
              _pinned("tls-port", _PORT, 0, _AT_START),
              _protected(_pinned("dir", Directory(), ".", "the data directory, which is chosen when Keyp starts"))),
    _pinned("tls-replication", _SWITCH, "no", _NO_REPLICAS),
    _pinned("tls-cluster", _SWITCH, "no", _NO_CLUSTER),
    _pinned("min-replicas-to-write", _INT, 0, "Keyp does not replicate, so no write could be accepted",
            "min-slaves-to-write"),
    _pinned("activedefrag", _SWITCH, "no", "as in a Redis built without jemalloc; data is on the disk",
            reason="Active defragmentation cannot be enabled: it requires a Redis server compiled with a modified"
            " Jemalloc like the one shipped by default with the Redis source distribution"),
    _pinned("locale-collate", Locale(may_be_empty=True), "", "texts are compared byte by byte"),
    *_in_file(CHECKED, _protected(_pinned("dbfilename", _TEXT_OR_EMPTY, SAVED_FILE,
                                          "the copy that SAVE and BGSAVE write, below `dir`"))),
    # Fixed.
    *_in_file(STARTS, *_fixed("as given when Keyp starts",
                              ("databases", Number(1, INT32_MAX), 16),
                              ("unixsocket", _TEXT, ""),
                              ("unixsocketperm", Octal(0, 0o777), 0),
                              ("tcp-backlog", _INT, 511),
                              ("enable-debug-command", _WHO, "no"),
                              ("enable-protected-configs", _WHO, "no"),
                              ("aclfile", _TEXT_OR_EMPTY, ""))),
    *_in_file(STARTS, *_fixed("for `keyp` with a configuration file; `twistd` has options for them",
                              ("daemonize", _SWITCH, "no"),
                              ("pidfile", _TEXT, ""),
                              ("logfile", _TEXT_OR_EMPTY, ""),
                              ("syslog-enabled", _SWITCH, "no"),
                              ("syslog-ident", _TEXT_OR_EMPTY, "redis"))),
    *_in_file(REFUSED, *_fixed("Keyp tells nobody that it has started",
                               ("supervised", Choice("upstart", "systemd", "auto", "no"), "no"))),
    *_fixed("there are no modules", ("enable-module-command", _WHO, "no")),
    *_in_file(REFUSED, *_fixed(_NO_CLUSTER, ("cluster-enabled", _SWITCH, "no"))),
    *_fixed(_NO_CLUSTER,
            ("cluster-config-file", _TEXT_OR_EMPTY, "nodes.conf"),
            ("cluster-port", _PORT, 0)),
    *_in_file(REFUSED, *_fixed(_NO_REPLICAS, ("replicaof", Master(), "", "slaveof"))),
    *_fixed("what starts the server decides: twistd, systemd, a container",
            ("syslog-facility", Choice(*_FACILITIES), "local0"),
            ("always-show-logo", _SWITCH, "no"),
            ("set-proc-title", _SWITCH, "no"),
            ("socket-mark-id", Number(0, UINT32_MAX), 0),
            ("server-cpulist", _TEXT, "", "server_cpulist"),
            ("bio-cpulist", _TEXT, "", "bio_cpulist"),
            ("aof-rewrite-cpulist", _TEXT, "", "aof_rewrite_cpulist"),
            ("bgsave-cpulist", _TEXT, "", "bgsave_cpulist")),
    *_fixed("one thread speaks to all sockets",
            ("io-threads", Number(1, 128), 1),
            ("io-threads-do-reads", _SWITCH, "no")),
    *_fixed("the store is LMDB's file; every record in it has a checksum",
            ("rdbchecksum", _SWITCH, "yes"),
            ("appendfilename", _TEXT_OR_EMPTY, "appendonly.aof"),
            ("appenddirname", _TEXT_OR_EMPTY, "appendonlydir")),
    *_fixed("the data are not in memory", ("disable-thp", _SWITCH, "yes")),
    # Inert.
    *_inert("every write is kept in the store, without snapshots by the clock and without a log to rewrite",
            ("appendonly", _SWITCH, "yes"),
            ("save", SavePoints(), ""),
            ("stop-writes-on-bgsave-error", _SWITCH, "yes"),
            ("rdbcompression", _SWITCH, "yes"),
            ("rdb-del-sync-files", _SWITCH, "no"),
            ("rdb-save-incremental-fsync", _SWITCH, "yes"),
            ("no-appendfsync-on-rewrite", _SWITCH, "no"),
            ("auto-aof-rewrite-percentage", _INT, 100),
            ("auto-aof-rewrite-min-size", _SIZE, 64 * MEGABYTE),
            ("aof-load-truncated", _SWITCH, "yes"),
            ("aof-use-rdb-preamble", _SWITCH, "yes"),
            ("aof-rewrite-incremental-fsync", _SWITCH, "yes"),
            ("aof-timestamp-enabled", _SWITCH, "no"),
            ("sanitize-dump-payload", Choice("no", "yes", "clients"), "no")),
    *_inert("no key is removed to make room: a write that would exceed `maxmemory` is refused, whatever the policy",
            ("maxmemory-policy", Choice(*_POLICIES), "noeviction"),
            ("maxmemory-samples", Number(1, INT32_MAX), 5),
            ("maxmemory-eviction-tenacity", Number(0, 100), 10),
            ("lfu-log-factor", _INT, 10),
            ("lfu-decay-time", _INT, 1)),
    *_inert("what is removed is always cleared in the background, in bounded steps",
            ("lazyfree-lazy-eviction", _SWITCH, "no"),
            ("lazyfree-lazy-expire", _SWITCH, "no"),
            ("lazyfree-lazy-server-del", _SWITCH, "no"),
            ("lazyfree-lazy-user-del", _SWITCH, "no"),
            ("lazyfree-lazy-user-flush", _SWITCH, "no"),
            ("active-expire-effort", Number(1, 10), 1),
            ("dynamic-hz", _SWITCH, "yes")),
    *_inert("data is on the disk in LMDB's pages, not in structures in memory",
            ("list-compress-depth", _INT, 0),
            ("activerehashing", _SWITCH, "yes"),
            ("jemalloc-bg-thread", _SWITCH, "yes"),
            ("active-defrag-ignore-bytes", Memory(1, INT64_MAX), 100 * MEGABYTE),
            ("active-defrag-threshold-lower", _PERCENT, 10),
            ("active-defrag-threshold-upper", _PERCENT, 100),
            ("active-defrag-cycle-min", _SHARE, 1),
            ("active-defrag-cycle-max", _SHARE, 25),
            ("active-defrag-max-scan-fields", Number(1, INT64_MAX), 1000)),
    *_inert("runs of a stream's entries are as long as `stream-node-max-entries` says, whatever their bytes",
            ("stream-node-max-bytes", _SIZE, 4096)),
    *_inert("clients' caches are not tracked",
            ("tracking-table-max-keys", _LONG, 1_000_000)),
    *_inert("the log has one form, and the process one name",
            ("proc-title-template", TitleTemplate(), "{title} {listen-addr} {server-mode}"),
            ("ignore-warnings", _TEXT_OR_EMPTY, ""),
            ("crash-log-enabled", _SWITCH, "yes"),
            ("crash-memcheck-enabled", _SWITCH, "yes")),
    *_inert("a stop always finishes what is under way and syncs it",
            ("shutdown-timeout", _INT, 10),
            ("shutdown-on-sigint", ShutdownOptions(), "default"),
            ("shutdown-on-sigterm", ShutdownOptions(), "default")),
    *_inert("whom Linux kills when memory runs out is for the one who starts the server to say",
            ("oom-score-adj", Choice("no", "yes", "relative", "absolute", shown_as={"relative": "yes"}), "no"),
            ("oom-score-adj-values", OomScores(), "0 200 800")),
    *_inert(_NO_REPLICAS,
            ("masteruser", _TEXT, ""),
            ("masterauth", _TEXT, ""),
            ("bind-source-addr", _TEXT, ""),
            ("min-replicas-max-lag", _INT, 10, "min-slaves-max-lag"),
            ("repl-backlog-size", Clamped(Memory(1, INT64_MAX), 16 << 10, INT64_MAX), MEGABYTE),
            ("repl-backlog-ttl", _LONG, 3600),
            ("repl-disable-tcp-nodelay", _SWITCH, "no"),
            ("repl-diskless-load", Choice("disabled", "on-empty-db", "swapdb"), "disabled"),
            ("repl-diskless-sync", _SWITCH, "yes"),
            ("repl-diskless-sync-delay", _INT, 5),
            ("repl-diskless-sync-max-replicas", _INT, 0),
            ("repl-ping-replica-period", Number(1, INT32_MAX), 10, "repl-ping-slave-period"),
            ("repl-timeout", Number(1, INT32_MAX), 60),
            ("replica-announce-ip", _TEXT, "", "slave-announce-ip"),
            ("replica-announce-port", _PORT, 0, "slave-announce-port"),
            ("replica-announced", _SWITCH, "yes"),
            ("replica-ignore-disk-write-errors", _SWITCH, "no"),
            ("replica-ignore-maxmemory", _SWITCH, "yes", "slave-ignore-maxmemory"),
            ("replica-lazy-flush", _SWITCH, "no", "slave-lazy-flush"),
            ("replica-priority", _INT, 100, "slave-priority"),
            ("replica-read-only", _SWITCH, "yes", "slave-read-only"),
            ("replica-serve-stale-data", _SWITCH, "yes", "slave-serve-stale-data"),
            ("propagation-error-behavior", Choice("ignore", "panic", "panic-on-replicas"), "ignore")),
    *_inert(_NO_CLUSTER,
            ("cluster-allow-pubsubshard-when-down", _SWITCH, "yes"),
            ("cluster-allow-reads-when-down", _SWITCH, "no"),
            ("cluster-allow-replica-migration", _SWITCH, "yes"),
            ("cluster-announce-bus-port", _PORT, 0),
            ("cluster-announce-hostname", HostName(), ""),
            ("cluster-announce-human-nodename", NodeName(), ""),
            ("cluster-announce-ip", _TEXT, ""),
            ("cluster-announce-port", _PORT, 0),
            ("cluster-announce-tls-port", _PORT, 0),
            ("cluster-link-sendbuf-limit", Memory(0, UINT64_MAX), 0),
            ("cluster-migration-barrier", _INT, 1),
            ("cluster-node-timeout", _LONG, 15000),
            ("cluster-preferred-endpoint-type", Choice("ip", "hostname", "unknown-endpoint"), "ip"),
            ("cluster-replica-no-failover", _SWITCH, "no", "cluster-slave-no-failover"),
            ("cluster-replica-validity-factor", _INT, 10, "cluster-slave-validity-factor"),
            ("cluster-require-full-coverage", _SWITCH, "yes")),
    *_inert("Keyp asks no other server by TLS, and OpenSSL bounds its cache of sessions itself",
            ("tls-client-cert-file", _TEXT, ""),
            ("tls-client-key-file", _TEXT, ""),
            ("tls-client-key-file-pass", _TEXT, ""),
            ("tls-session-cache-size", _INT, 20480)),
    *_hidden(_inert("for those who test Redis itself; `CONFIG GET` finds them by their whole names only",
                    ("aof-disable-auto-gc", _SWITCH, "no"),
                    ("key-load-delay", Number(INT32_MIN, INT32_MAX), 0),
                    ("loading-process-events-interval-bytes", Number(1024, INT32_MAX), 2 * MEGABYTE),
                    ("rdb-key-save-delay", Number(INT32_MIN, INT32_MAX), 0),
                    ("use-exit-on-panic", _SWITCH, "no"),
                    ("watchdog-period", _INT, 0))),
    *_hidden(_fixed("for those who test Redis itself", ("enable-debug-assert", _SWITCH, "no"))),
)  # fmt: skip
